"""The shapes in the signatures are true: right ones are accepted and a wrong one is refused."""

from functools import partial

import jaxtyping
import numpy as np
import pytest
import torch
from beartype import beartype

from fixtures.models.tiny import tiny_llama
from lib.definitions import massive, rotary_pairs
from lib.effects import concentration
from lib.measuring import answers, interventions, logits, norms, scoring, specificity
from lib.probing import taps

pytestmark = pytest.mark.cpu

states, bools = torch.ones(2, 3, 4, 8), torch.zeros(2, 3, 4, 8, dtype=torch.bool)  # text layer head dim
ids = torch.zeros(2, 5, dtype=torch.long)
frequency = torch.ones(3, 8)  # layer dim
tables = {"query": torch.zeros(3, 3, 4, 16, dtype=torch.bool)}  # condition layer head dim

RIGHT = {
    "channel_norms of one text": (norms.channel_norms, torch.ones(5, 4, 8)),
    "channel_norms of a batch": (norms.channel_norms, torch.ones(2, 5, 4, 8)),
    "channel_norms of layers of a batch": (norms.channel_norms, torch.ones(2, 3, 5, 4, 8, dtype=torch.bfloat16)),
    "massive_mask of one layer": (massive.massive_mask, states[0, 0]),
    "massive_mask of texts": (partial(massive.massive_mask, threshold=3.0, scope="head"), states),
    "massive_mask of an array": (massive.massive_mask, np.ones((4, 8))),
    "mean_norm of texts": (partial(massive.mean_norm, scope="head"), states),
    "check_norms of one layer": (massive.check_norms, states[0, 0]),
    "pooled_norms": (massive.pooled_norms, states),
    "pooled_norms of arrays": (massive.pooled_norms, np.ones((2, 8), np.float32)),
    "ranks": (rotary_pairs.ranks, frequency.numpy()),
    "slow_half": (rotary_pairs.slow_half, frequency.numpy()),
    "pair_norms of texts": (partial(rotary_pairs.pair_norms, frequency=frequency.numpy()), states.numpy()),
    "letters": (rotary_pairs.letters, frequency.numpy()),
    "order": (rotary_pairs.order, frequency.numpy()),
    "part": (partial(taps.part, torch.nn.Linear(3, 4)), torch.arange(4).view(2, 2)),
    "chosen_mask": (interventions.chosen_mask, states),
    "random_control": (partial(interventions.random_control, seed="a"), bools[0]),
    "condition_masks": (partial(interventions.condition_masks, name="query", controls=2, seed=0), bools[0]),
    "top_of_heads": (interventions.top_of_heads, states),
    "smallest_of_heads of one head": (interventions.smallest_of_heads, states[0, 0, :1]),
    "halves": (interventions.halves, frequency),
    "largest_among": (
        partial(interventions.largest_among, among=bools[0], number=torch.zeros(3, dtype=torch.long)),
        states[0],
    ),
    "next_largest": (partial(interventions.next_largest, massive=torch.zeros_like(bools[0])), states[0]),
    "equal_energy": (partial(interventions.equal_energy, massive=bools[0], seed="a"), states[0]),
    "energy_share": (partial(specificity.energy_share, masks=bools), states[0]),
    "means_of_texts": (partial(specificity.means_of_texts, tiny_llama()), ids),
    "both_bands": (partial(interventions.both_bands, massive=bools[0], frequency=frequency), states[0]),
    "nll_per_text": (partial(scoring.nll_per_text, ids=ids), torch.zeros(2, 5, 7)),
    "score": (partial(scoring.score, tiny_llama()), ids),
    "losses_of_tokens in chunks": (partial(scoring.losses_of_tokens, tiny_llama(), chunk=2), ids),
    "in_parts": (partial(logits.in_parts, tiny_llama()), ids),
    "read_through": (partial(logits.read_through, tiny_llama(), chunk=2), ids),
    "squares": (norms.squares, states),
    "roots": (partial(norms.roots, positions=5), states),
    "gain_of_bos": (partial(scoring.gain_of_bos, tiny_llama(), bos=1), ids),
    "score_after_prompt": (partial(scoring.score_after_prompt, tiny_llama(), prompt=2), ids),
    "score_conditions": (partial(scoring.score_conditions, tiny_llama(), masks=tables, rows=2), ids[0]),
    "score_choices": (partial(answers.score_choices, tiny_llama(), choices=[[1], [2, 3]], rows=2), ids[0]),
    "row_norms": (norms.row_norms, torch.nn.Linear(3, 4)),
    "gini of one layer": (concentration.gini, np.ones(8)),
    "gini of layers of texts": (concentration.gini, np.ones((2, 3, 8), dtype=np.float32)),
    "lorenz": (concentration.lorenz, np.ones((2, 3, 8))),
}
WRONG = {
    "channel_norms without heads": (norms.channel_norms, torch.ones(5, 8)),
    "channel_norms of integers": (norms.channel_norms, torch.ones(5, 4, 8, dtype=torch.long)),
    "massive_mask without heads": (massive.massive_mask, torch.ones(8)),
    "massive_mask of a mask": (massive.massive_mask, bools),
    "massive_mask of another scope": (partial(massive.massive_mask, scope="model"), states),
    "massive_mask of a list": (massive.massive_mask, [[1.0, 2.0]]),
    "mean_norm without heads": (partial(massive.mean_norm, scope="head"), torch.ones(8)),
    "ranks of one layer": (rotary_pairs.ranks, frequency[0].numpy()),
    "slow_half of a tensor": (rotary_pairs.slow_half, frequency),
    "pair_norms of fewer layers": (partial(rotary_pairs.pair_norms, frequency=frequency[:2].numpy()), states.numpy()),
    "letters of integers": (rotary_pairs.letters, np.ones((3, 8), int)),
    "order of one layer": (rotary_pairs.order, frequency[0].numpy()),
    "part of one head": (partial(taps.part, torch.nn.Linear(3, 4)), torch.arange(4)),
    "check_norms of a mask": (massive.check_norms, bools),
    "pooled_norms of integers": (massive.pooled_norms, states.long()),
    "pooled_norms of a number": (massive.pooled_norms, torch.ones(())),
    "chosen_mask without texts": (interventions.chosen_mask, states[0]),
    "random_control of texts": (partial(interventions.random_control, seed="a"), bools),
    "random_control of norms": (partial(interventions.random_control, seed="a"), states[0]),
    "condition_masks of texts": (partial(interventions.condition_masks, name="query", controls=2, seed=0), bools),
    "top_of_heads of a mask": (interventions.top_of_heads, bools),
    "smallest_of_heads without heads": (interventions.smallest_of_heads, torch.ones(8)),
    "halves of one layer": (interventions.halves, frequency[0]),
    "largest_among of a number": (
        partial(interventions.largest_among, among=bools[0], number=torch.tensor(1)),
        states[0],
    ),
    "next_largest of texts": (partial(interventions.next_largest, massive=bools), states),
    "equal_energy of texts": (partial(interventions.equal_energy, massive=bools, seed="a"), states),
    "energy_share of norms": (partial(specificity.energy_share, masks=states), states[0]),
    "means_of_texts of one text": (partial(specificity.means_of_texts, tiny_llama()), ids[0]),
    "both_bands of texts": (partial(interventions.both_bands, massive=bools[0], frequency=frequency), states),
    "nll_per_text of another length": (partial(scoring.nll_per_text, ids=ids), torch.zeros(2, 4, 7)),
    "nll_per_text of another batch": (partial(scoring.nll_per_text, ids=ids), torch.zeros(3, 5, 7)),
    "score of one text": (partial(scoring.score, tiny_llama()), ids[0]),
    "losses_of_tokens of one text": (partial(scoring.losses_of_tokens, tiny_llama()), ids[0]),
    "in_parts of one text": (partial(logits.in_parts, tiny_llama()), ids[0]),
    "read_through of one text": (partial(logits.read_through, tiny_llama()), ids[0]),
    "squares without heads": (norms.squares, torch.ones(5, 8)),
    "roots of one head": (partial(norms.roots, positions=5), torch.ones(8)),
    "gain_of_bos of one text": (partial(scoring.gain_of_bos, tiny_llama(), bos=1), ids[0]),
    "score_after_prompt of one text": (partial(scoring.score_after_prompt, tiny_llama(), prompt=2), ids[0]),
    "score_conditions of a batch": (partial(scoring.score_conditions, tiny_llama(), masks=tables, rows=2), ids),
    "score_choices of a batch": (partial(answers.score_choices, tiny_llama(), choices=[[1], [2, 3]]), ids),
    "row_norms of a weight": (norms.row_norms, torch.ones(4, 3)),
    "gini of integers": (concentration.gini, np.ones(8, dtype=int)),
    "lorenz of a number": (concentration.lorenz, np.ones(())),
}


def fits(call, argument):
    """Does the argument have a shape that the signature allows, and what comes back, too?"""
    given = call if isinstance(call, partial) else partial(call)
    plain = getattr(given.func, "__wrapped__", given.func)
    checked = jaxtyping.jaxtyped(plain, typechecker=beartype)
    try:
        with torch.no_grad():
            checked(*given.args, argument, **given.keywords)
    except jaxtyping.TypeCheckError:
        return False
    return True


@pytest.mark.parametrize(("call", "argument"), RIGHT.values(), ids=RIGHT)
def test_a_right_shape_is_accepted(call, argument):
    assert fits(call, argument)


@pytest.mark.parametrize(("call", "argument"), WRONG.values(), ids=WRONG)
def test_a_wrong_shape_is_refused(call, argument):
    assert not fits(call, argument)


def test_every_shape_in_a_signature_is_checked_here():
    modules = (massive, rotary_pairs, taps, norms, interventions, logits, scoring, specificity, answers, concentration)
    shaped = {
        name
        for module in modules
        for name, call in vars(module).items()
        if getattr(call, "__module__", "") == module.__name__
        and "jaxtyping" in str(getattr(call, "__annotations__", ""))
    }
    for table in (RIGHT, WRONG):
        assert shaped == {(call.func if isinstance(call, partial) else call).__name__ for call, _ in table.values()}
