from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from fixtures.models.tiny import as_arm, plant, tiny_llama
from lib.definitions.protocols import PROTOCOLS
from lib.definitions.words import BANDS, EDITED
from lib.effects.losses import Bands, Disruption
from lib.measuring.disruption import (
    measure_bands,
    measure_disruption,
    measure_prompts,
    measure_protocol,
    norms_of_texts,
)
from lib.measuring.interventions import REPLACEMENTS, averaging, chosen_mask
from lib.measuring.scoring import score, score_after_prompt, score_conditions
from lib.texts.reading import Text

pytestmark = pytest.mark.cpu

TEXTS = [Text(f"t{i}", "ab"[i], "score", str(i)) for i in range(2)]
JIN = PROTOCOLS["jin2025"]
MASSIVE = {"threshold": 5.0, "scope": "layer"}
FREQUENCY = (10000.0 ** (-2 * (torch.arange(16) % 8).double() / 16)).repeat(3, 1)


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


def test_what_is_scored_chooses_no_channel(tiny, ids):
    other = torch.cat([ids[:, :12], ids[:, 12:].flip(1)], 1)
    records = [measure_prompts(as_arm(tiny), given, TEXTS, JIN, site="attention") for given in (ids, other)]
    assert all(records[0][f"{name}_zeroed"].equals(records[1][f"{name}_zeroed"]) for name in EDITED)
    assert not records[0]["nll"].equals(records[1]["nll"])


@pytest.mark.parametrize("prompt", [1, 12, 23])
def test_a_text_read_in_two_passes_is_scored_like_its_end_in_one(tiny, ids, prompt):
    logits = tiny(ids).logits[:, prompt - 1 : -1].log_softmax(-1)
    expected = -logits.gather(2, ids[:, prompt:, None])[..., 0].mean(1)
    torch.testing.assert_close(score_after_prompt(tiny, ids, prompt).float(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("prompt", [0, 24, 30])
def test_a_text_that_is_all_prompt_or_has_none_is_refused(ids, prompt):
    with pytest.raises(ValueError, match=rf"^a text of 24 tokens cannot be split into a prompt of {prompt} and"):
        score_after_prompt(tiny_llama(), ids, prompt)


def test_a_model_that_keeps_no_cache_is_refused(ids):
    model = tiny_llama()
    model.register_forward_hook(lambda module, given, output: SimpleNamespace(past_key_values=None))
    with pytest.raises(ValueError, match=r"^LlamaForCausalLM keeps no KV cache, so nothing can be scored after"):
        score_after_prompt(model, ids, 12)


def test_a_replacement_that_never_does_nothing_is_refused(tiny, ids, monkeypatch):
    monkeypatch.setitem(REPLACEMENTS, "mean", lambda masks: lambda name, layer, states: states * 1.01)
    with pytest.raises(ValueError, match=r"with nothing replaced the loss is [\d.]+, plain it is [\d.]+$"):
        measure_prompts(as_arm(tiny), ids, TEXTS, JIN, site="attention")


@pytest.fixture
def elsewhere():
    """Norms of two counting texts in which another channel is massive than in any text that is scored."""
    norms = {name: torch.ones(2, 3, 2 if name == "key" else 4, 16) for name in EDITED}
    norms["query"][:, 2, 1, 9] = norms["key"][:, 0, 1, 4] = 100
    return norms


def by(protocol, model, ids, counted, **changed):
    how = {**MASSIVE, "controls": 2, "seed": 3, "site": "projection", **changed}
    return measure_protocol(as_arm(model), ids, TEXTS, PROTOCOLS[protocol], counted, **how)


def test_the_default_is_the_disruption_of_channels_chosen_on_other_texts(ids, elsewhere):
    model = tiny_llama(kv_heads=2)
    chosen = {name: chosen_mask(norms) for name, norms in elsewhere.items()}
    expected = measure_disruption(as_arm(model), ids, TEXTS, chosen, controls=2, seed=3)
    assert by("held-out", model, ids, elsewhere).identical(expected)
    assert chosen["query"].nonzero().tolist() == [[2, 1, 9]]


def test_africa2026_chooses_on_all_scored_texts_together(ids, elsewhere):
    model = tiny_llama(kv_heads=2)
    norms = norms_of_texts(as_arm(model), ids)
    together, first = ({n: chosen_mask(found[:k], threshold=1.2) for n, found in norms.items()} for k in (2, 1))
    record = by("africa2026", model, ids, elsewhere, threshold=1.2)
    assert record.identical(measure_disruption(as_arm(model), ids, TEXTS, together, controls=2, seed=3))
    assert together["query"].any()
    assert not together["query"].equal(first["query"])


@pytest.mark.parametrize("protocol", ["held-out", "africa2026"])
def test_threshold_and_scope_say_what_a_protocol_takes_for_massive(ids, elsewhere, protocol):
    model = tiny_llama(kv_heads=2)
    plant(model, "query", layer=1, head=0, dim=5)
    counts = [
        int(by(protocol, model, ids, elsewhere, threshold=threshold, scope=scope)["query_zeroed"].sum())
        for threshold, scope in ((5.0, "layer"), (60.0, "layer"), (1.2, "head"))
    ]
    assert counts[0] == 1
    assert counts[1] == 0
    assert counts[2] != 1 or protocol == "held-out"


def test_jin2025_looks_at_its_prompts_alone(ids, elsewhere):
    model = tiny_llama(kv_heads=2)
    record = by("jin2025", model, ids, {name: norms * torch.nan for name, norms in elsewhere.items()}, site="attention")
    assert record.identical(measure_prompts(as_arm(model), ids, TEXTS, JIN, site="attention"))


def test_norms_of_a_site_are_those_of_that_site(tiny, ids):
    arm = as_arm(tiny)
    raw, rotated = norms_of_texts(arm, ids), norms_of_texts(arm, ids, "attention")
    assert raw["key"].shape == rotated["key"].shape == (2, 3, tiny.config.num_key_value_heads, 16)
    assert not torch.allclose(raw["query"], rotated["query"])
    pairs = [norms["query"].view(2, 3, 4, 2, 8).square().sum(3) for norms in (raw, rotated)]
    torch.testing.assert_close(*pairs, rtol=1e-4, atol=1e-6)  # a rotation leaves the length of a pair alone


@pytest.mark.parametrize("site", ["projection", "attention"])
def test_conditions_are_edited_where_they_are_said_to_be(tiny, ids, site):
    masks = {"query": torch.zeros(2, 3, 4, 16, dtype=torch.bool)}
    masks["query"][1, :, :, 3] = True
    found, _ = score_conditions(tiny, ids[0], masks, 2, site=site)

    def edit(module, query, key):
        query[:, :, :, 3] = 0

    with attention(edit):
        at_attention = score(tiny, ids[:1])
    assert torch.allclose(found[1], at_attention[0], rtol=0, atol=1e-6) == (site == "attention")
    assert found[0] == score(tiny, ids[:1].expand(2, -1))[0]


@pytest.fixture
def counted():
    """Norms of two counting texts: three massive channels in layers 0 and 2, two fast and one slow, none in layer 1."""
    norms = {name: 1 + torch.rand(2, 3, 4, 16, generator=torch.Generator().manual_seed(0)) / 2 for name in EDITED}
    for name in EDITED:
        for layer in (0, 2):
            norms[name][:, layer, 1, [0, 9, 14]] = 80
    return norms


def bands_of(model, ids, counted, frequency=FREQUENCY, **changed):
    return measure_bands(as_arm(model), ids, TEXTS, counted, frequency, **{**MASSIVE, **changed})


def test_of_both_bands_as_many_channels_are_zeroed_as_are_massive(ids, counted):
    record = bands_of(tiny_llama(), ids, counted)
    for name in EDITED:
        pooled = counted[name].square().mean(0).sqrt()
        for band, dims in (("slow", [4, 5, 6, 7, 12, 13, 14, 15]), ("fast", [0, 1, 2, 3, 8, 9, 10, 11])):
            mask = torch.from_numpy(record[f"{name}_{band}"].values)
            assert mask.sum((1, 2)).tolist() == [3, 0, 3]
            for layer in (0, 2):
                inside = pooled[layer][:, dims]
                assert sorted(pooled[layer][mask[layer]].tolist()) == sorted(inside.flatten().topk(3).values.tolist())
    assert Bands({"rope": record}).zeroed("slow") == Bands({"rope": record}).zeroed("fast") == 12


def test_threshold_and_scope_say_how_many_channels_of_a_band_are_zeroed(ids, counted):
    found = [{}, {"threshold": 10.0}, {"threshold": 90.0}, {"threshold": 10.0, "scope": "head"}]
    records = [bands_of(tiny_llama(), ids, counted, **changed) for changed in found]
    assert [Bands({"rope": record}).zeroed("fast") for record in records] == [12, 12, 0, 0]


def test_a_second_implementation_finds_the_same_cost_of_bands(ids, counted):
    record = bands_of(tiny_llama(), ids, counted)
    assert record["condition"].values.tolist() == ["baseline", *BANDS]
    torch.testing.assert_close(torch.from_numpy(record["nll"].values[:, 0]), score(tiny_llama(), ids))
    for band in BANDS:
        model = tiny_llama()
        for name in EDITED:
            for layer, head, dim in np.argwhere(record[f"{name}_{band}"].values):
                plant(model, name, layer, head, dim, factor=0.0)
        expected = (score(model, ids) - score(tiny_llama(), ids)).numpy()
        np.testing.assert_allclose(Bands({"rope": record}).nats(band), expected, rtol=0, atol=1e-5)
        assert np.abs(expected).min() > 1e-5


@pytest.mark.parametrize(("still", "why"), [([0, 1, 2], "no layer of the rope arm rotates"), ([0, 2], "has a massive")])
def test_where_massive_channels_do_not_rotate_there_are_no_bands(ids, counted, still, why):
    frequency = FREQUENCY.clone()
    frequency[still] = 0
    record = bands_of(tiny_llama(), ids, counted, frequency)
    with pytest.raises(Exception, match=why):
        Bands({"rope": record}).need()
    Bands({"rope": bands_of(tiny_llama(), ids, counted)}).need()
