"""Likelihoods of choices with channels replaced, against plain passes over the whole text."""

import pytest
import torch

from fixtures.models.tiny import tiny_llama
from lib.definitions.words import EDITED
from lib.measuring.answers import Edit, encode_pair, score_choices
from lib.measuring.interventions import averaging, zeroing
from lib.probing.probe import visiting

pytestmark = pytest.mark.cpu
CHOICES = [[7, 8, 9], [7], [200, 3], [8, 7, 9]]


@pytest.fixture(params=[4, 2, 1], ids=["MHA", "GQA", "MQA"])
def lively(request):
    """A tiny model whose weights are so large that every edit is felt."""
    return tiny_llama(kv_heads=request.param, initializer_range=0.3)


@pytest.fixture
def chosen(lively):
    """Half of the channels of each tensor's first head, {name: bool [layer, head, dim]}."""
    heads = {"query": 4, "key": lively.config.num_key_value_heads}
    masks = {name: torch.zeros(3, heads[name], 16, dtype=torch.bool) for name in EDITED}
    for mask in masks.values():
        mask[:, 0, ::2] = True
    return masks


@pytest.fixture
def edits(chosen):
    """Two rows: nothing, and the chosen channels zeroed."""
    return [Edit({name: torch.stack([torch.zeros_like(m), m]) for name, m in chosen.items()}, zeroing, "projection")]


def by_hand(model, context, choice, masks=None, where="prompt"):
    """The likelihood of one choice in one pass over everything, and whether it is the most likely text."""
    until, end = len(context), len(context) + len(choice) - 1
    edited = {"prompt": range(until), "answer": range(until - 1, end), "both": range(end)}[where]

    def visit(name, layer, states):
        if masks is None or name not in masks:
            return None
        states = states.clone()
        for position in edited:
            states[0, position][masks[name][layer]] = 0
        return states

    ids = torch.cat([context, torch.tensor(choice)])[None, :end]
    with torch.inference_mode(), visiting(model, visit):
        predicted = model(input_ids=ids, use_cache=False).logits[0, until - 1 :].double().log_softmax(-1)
    likely = sum(predicted[i, token].item() for i, token in enumerate(choice))
    return likely, predicted.argmax(-1).tolist() == choice


def test_likelihoods_are_those_of_a_pass_over_context_and_choice(tiny, ids):
    likelihood, written = score_choices(tiny, ids[0], CHOICES)
    expected = [by_hand(tiny, ids[0], choice) for choice in CHOICES]
    torch.testing.assert_close(
        likelihood[0], torch.tensor([e for e, _ in expected], dtype=torch.float64), rtol=0, atol=1e-4
    )
    assert written.tolist() == [[e for _, e in expected]]


@pytest.mark.parametrize("where", ["prompt", "answer", "both"])
def test_channels_are_replaced_where_it_is_said_and_in_their_row_alone(lively, ids, chosen, edits, where):
    likelihood, _ = score_choices(lively, ids[0], CHOICES, 2, edits, where)
    plain = [by_hand(lively, ids[0], choice)[0] for choice in CHOICES]
    edited = [by_hand(lively, ids[0], choice, chosen, where)[0] for choice in CHOICES]
    expected = torch.tensor([plain, edited], dtype=torch.float64)
    torch.testing.assert_close(likelihood, expected, rtol=0, atol=1e-4)
    assert (expected[0] - expected[1]).abs().min() > 1e-3


def test_edits_of_several_sites_are_made_together(lively, ids, chosen, edits):
    averaged = Edit({name: mask.flip(0) for name, mask in edits[0].masks.items()}, averaging, "attention")
    together, _ = score_choices(lively, ids[0], CHOICES, 2, [*edits, averaged])
    zeroed, _ = score_choices(lively, ids[0], CHOICES, 2, edits)
    alone, _ = score_choices(lively, ids[0], CHOICES, 2, [averaged])
    torch.testing.assert_close(together, torch.stack([alone[0], zeroed[1]]), rtol=0, atol=1e-5)
    assert (alone[0] - zeroed[0]).abs().max() > 1e-3


def test_nothing_replaced_changes_no_bit(tiny, ids):
    heads = {"query": 4, "key": tiny.config.num_key_value_heads}
    nothing = {name: torch.zeros(1, 3, heads[name], 16, dtype=torch.bool) for name in EDITED}
    for where in ("prompt", "answer", "both"):
        plain, _ = score_choices(tiny, ids[0], CHOICES, where=where)
        empty = [Edit(nothing, zeroing, "projection"), Edit(nothing, averaging, "attention")]
        assert torch.equal(score_choices(tiny, ids[0], CHOICES, 1, empty, where)[0], plain)


@pytest.mark.parametrize("where", ["prompt", "answer", "both"])
def test_a_choice_scores_the_same_beside_longer_ones(lively, ids, edits, where):
    beside, _ = score_choices(lively, ids[0], CHOICES, 2, edits, where)
    alone = [score_choices(lively, ids[0], [choice], 2, edits, where)[0] for choice in CHOICES]
    torch.testing.assert_close(beside, torch.cat(alone, 1), rtol=0, atol=1e-4)


def test_a_context_of_one_token_cannot_be_read_before_the_answer(tiny, ids):
    score_choices(tiny, ids[0, :1], CHOICES)
    with pytest.raises(ValueError, match="its context is a single token"):
        score_choices(tiny, ids[0, :1], CHOICES, where="answer")


def test_a_choice_is_written_that_greedy_decoding_begins_with(ids):
    model = tiny_llama(kv_heads=2, initializer_range=0.3)
    greedy = model.generate(ids[:1], max_new_tokens=3, do_sample=False, pad_token_id=0)[0, 24:].tolist()
    wrong = [*greedy[:2], (greedy[2] + 1) % 259]
    _, written = score_choices(model, ids[0], [greedy, greedy[:1], wrong])
    assert written.tolist() == [[True, True, False]]


def test_a_likelihood_that_is_not_finite_is_refused(tiny, ids):
    tiny.lm_head.weight.data[7] = float("nan")
    with pytest.raises(ValueError, match="likelihood of an answer is not finite"):
        score_choices(tiny, ids[0], CHOICES)


def test_a_model_without_a_cache_is_refused(tiny, ids):
    plain = tiny.forward
    tiny.forward = lambda input_ids, use_cache, logits_to_keep=0: plain(input_ids=input_ids, use_cache=False)
    with pytest.raises(ValueError, match="keeps no KV cache"):
        score_choices(tiny, ids[0], CHOICES)


def words(text, add_special_tokens):
    """A tokenizer whose tokens are words with the blank before them."""
    found, word = [], ""
    for letter in text:
        if letter == " " and word.strip():
            found.append(word)
            word = ""
        word += letter
    found += [word] if word else []
    return {"input_ids": ["<s>"] * add_special_tokens + found}


def test_a_choice_has_the_tokens_beyond_those_of_its_context():
    assert encode_pair(words, "a bc", " de f", special=True) == (["<s>", "a", " bc"], [" de", " f"])
    assert encode_pair(words, "a bc ", "de", special=False) == (["a", " bc"], [" de"])


def test_a_choice_without_a_token_of_its_own_is_refused():
    with pytest.raises(ValueError, match="'d' has no token of its own"):
        encode_pair(words, "a bc", "d", special=True)
