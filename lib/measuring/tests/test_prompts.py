"""Experiment 2 by a protocol that edits prompts: Jin et al. 2025."""

from contextlib import contextmanager

import numpy as np
import pytest
import torch
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from fixtures.models.tiny import as_arm, tiny_llama
from lib.definitions.protocols import PROTOCOLS
from lib.definitions.words import EDITED
from lib.effects.losses import Disruption
from lib.measuring.disruption import CHECKED, measure_prompts
from lib.measuring.interventions import REPLACEMENTS, averaging
from lib.measuring.scoring import score_after_prompt
from lib.measuring.tests.test_disruption import TEXTS

pytestmark = pytest.mark.cpu

JIN = PROTOCOLS["jin2025"]


@contextmanager
def attention(edit):
    """Shows `edit` (module, query, key), each [batch, head, pos, dim], what attention receives; it may edit a copy."""
    plain = ALL_ATTENTION_FUNCTIONS["sdpa"]

    def edited(module, query, key, value, *rest, **options):
        query, key = query.clone(), key.clone()
        edit(module, query, key)
        return plain(module, query, key, value, *rest, **options)

    ALL_ATTENTION_FUNCTIONS["sdpa"] = edited
    try:
        yield
    finally:
        ALL_ATTENTION_FUNCTIONS["sdpa"] = plain


@pytest.fixture(params=[4, 2, 1], ids=["MHA", "GQA", "MQA"])
def lively(request):
    """A tiny model whose weights are so large that every edit is felt."""
    return tiny_llama(kv_heads=request.param, initializer_range=0.3)


def by_hand(model, ids, prompt, channels):
    """Jin et al.'s protocol, one row and one token at a time: `channels[tensor][layer]` are those of every head.

    Returns the mean loss of what follows the prompt.
    """

    def edit(module, query, key):
        if query.shape[2] > 1:
            for states, chosen in ((query, channels["query"]), (key, channels["key"])):
                for head, dim in enumerate(chosen[module.layer_idx]):
                    states[0, head, :, dim] = states[0, head, :, dim].mean()

    with torch.no_grad(), attention(edit):
        read, losses = model(ids[None, :prompt], use_cache=True), []
        for token in ids[prompt:]:
            losses.append(-read.logits[0, -1].log_softmax(-1)[token].item())
            read = model(token[None, None], past_key_values=read.past_key_values, use_cache=True)
    return sum(losses) / len(losses)


def extremes(model, ids, prompt):
    """The top and the smallest channel of every head over a prompt, found by hand: {tensor: [layer][head]} of both."""
    norms = {"query": [], "key": []}

    def look(module, query, key):
        norms["query"].append(query[0].norm(dim=1))
        norms["key"].append(key[0].norm(dim=1))

    with torch.no_grad(), attention(look):
        model(ids[None, :prompt])
    tables = (torch.Tensor.argmax, torch.Tensor.argmin)
    return [{name: [find(n, -1).tolist() for n in layers] for name, layers in norms.items()} for find in tables]


NOTHING = {"query": [[]] * 3, "key": [[]] * 3}


@pytest.mark.parametrize("rows", [1, 2, 3])
@pytest.mark.parametrize("tokens", [24, 23, 2])
def test_a_plain_loop_over_rows_and_tokens_finds_the_same_as_jin2025(lively, ids, rows, tokens):
    record = measure_prompts(as_arm(lively), ids[:, :tokens], TEXTS, JIN, site="attention", rows=rows)
    prompt = tokens // 2
    found = [
        [by_hand(lively, row, prompt, channels) for channels in (NOTHING, *extremes(lively, row, prompt))]
        for row in ids[:, :tokens]
    ]
    np.testing.assert_allclose(record["nll"], found, rtol=0, atol=1e-4)
    assert record["condition"].values.tolist() == ["baseline", "massive", "control 0"]
    changed = np.abs(np.diff(record["nll"]))
    assert changed.min() > 1e-3 if tokens > 2 else changed.max() < 1e-4  # the mean over one position is what was there


def test_a_record_by_jin2025_holds_each_texts_own_top_channels(tiny, ids):
    record = measure_prompts(as_arm(tiny), ids, TEXTS, JIN, site="attention")
    for i, row in enumerate(ids):
        top, _ = extremes(tiny, row, 12)
        for name in EDITED:
            assert record[f"{name}_zeroed"].values[i].argmax(-1).tolist() == top[name]
            assert (record[f"{name}_zeroed"].sum("dim") == 1).all()
    assert Disruption({"rope": record}).zeroed("rope") == 3 * (4 + tiny.config.num_key_value_heads)


@pytest.mark.parametrize("rows", [1, 3])
def test_the_baseline_of_jin2025_is_the_same_two_passes_unprobed(tiny, ids, rows):
    record = measure_prompts(as_arm(tiny), ids, TEXTS, JIN, site="attention", rows=rows)
    plain = [score_after_prompt(tiny, row.expand(rows, -1), 12)[0] for row in ids]
    assert record["nll"].sel(condition="baseline").values.tolist() == [loss.item() for loss in plain]


def test_nothing_is_replaced_while_what_follows_the_prompt_is_read(tiny, ids, monkeypatch):
    lengths = []

    def noting(masks):
        visit = averaging(masks)
        return lambda name, layer, states: (lengths.append(states.shape[1]), visit(name, layer, states))[1]

    monkeypatch.setitem(REPLACEMENTS, "mean", noting)
    measure_prompts(as_arm(tiny), ids, TEXTS, JIN, site="attention", rows=3)
    assert lengths == [12] * (3 * 3) * 3  # layers x tensors; both texts and the check of the empty mask


def test_an_empty_mask_is_tried_on_the_beginning_of_a_long_prompt(tiny, monkeypatch):
    """Its first half stands for the prompt, since the prompt itself is longer."""
    ids = torch.randint(3, 259, (1, 2 * CHECKED + 6), generator=torch.Generator().manual_seed(1))
    prompts = []

    def noting(model, ids, prompt, *reading):
        prompts.append((ids.shape[1], prompt))
        return score_after_prompt(model, ids, prompt, *reading)

    monkeypatch.setattr("lib.measuring.disruption.score_after_prompt", noting)
    measure_prompts(as_arm(tiny), ids, TEXTS[:1], JIN, site="attention")
    assert prompts == [(CHECKED, CHECKED // 2)]


def test_what_is_scored_chooses_no_channel(tiny, ids):
    other = torch.cat([ids[:, :12], ids[:, 12:].flip(1)], 1)
    records = [measure_prompts(as_arm(tiny), given, TEXTS, JIN, site="attention") for given in (ids, other)]
    assert all(records[0][f"{name}_zeroed"].equals(records[1][f"{name}_zeroed"]) for name in EDITED)
    assert not records[0]["nll"].equals(records[1]["nll"])


def test_a_replacement_that_never_does_nothing_is_refused(tiny, ids, monkeypatch):
    monkeypatch.setitem(REPLACEMENTS, "mean", lambda masks: lambda name, layer, states: states * 1.01)
    with pytest.raises(ValueError, match=r"with nothing replaced the loss is [\d.]+, plain it is [\d.]+$"):
        measure_prompts(as_arm(tiny), ids, TEXTS, JIN, site="attention")
