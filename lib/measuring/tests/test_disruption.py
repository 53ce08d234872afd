"""Experiment 2: the loss of texts with channels replaced, directly and by the protocols' names."""

import numpy as np
import pytest
import torch

from fixtures.models.tiny import as_arm, plant, tiny_llama
from lib.definitions.protocols import PROTOCOLS
from lib.definitions.words import EDITED
from lib.measuring.disruption import measure_disruption, measure_prompts, measure_protocol, norms_of_texts
from lib.measuring.interventions import chosen_mask
from lib.measuring.scoring import score
from lib.texts.reading import Text

pytestmark = pytest.mark.cpu

TEXTS = [Text(f"t{i}", "ab"[i], "score", str(i)) for i in range(2)]
MASSIVE = {"threshold": 5.0, "scope": "layer"}
NOTHING = {"query": torch.zeros(3, 4, 16, dtype=torch.bool), "key": torch.zeros(3, 2, 16, dtype=torch.bool)}


def test_nothing_to_zero_disrupts_nothing(ids):
    nll = measure_disruption(as_arm(tiny_llama(kv_heads=2)), ids, TEXTS, NOTHING, controls=2, seed=0)["nll"]
    assert nll.condition.values.tolist() == ["baseline", "massive", "control 0", "control 1"]
    np.testing.assert_allclose(nll, nll.sel(condition="baseline").broadcast_like(nll), atol=1e-6)


def test_zeroing_a_planted_channel_moves_the_loss_and_a_control_hardly_does(ids):
    model = tiny_llama(kv_heads=2)
    plant(model, "query", 0, 0, 3)
    plant(model, "key", 0, 0, 3)
    chosen = {name: mask.clone() for name, mask in NOTHING.items()}
    chosen["query"][0, 0, 3] = chosen["key"][0, 0, 3] = True
    nll = measure_disruption(as_arm(model), ids, TEXTS, chosen, controls=3, seed=0)["nll"]
    moved = abs(nll - nll.sel(condition="baseline")).mean("text")
    assert moved.sel(condition="massive") > 10 * moved.sel(condition=["control 0", "control 1", "control 2"]).max()


@pytest.mark.parametrize("rows", [2, 5])
def test_a_second_implementation_finds_the_same_disruption(planted, ids, chosen, tables, rows):
    record = measure_disruption(as_arm(planted), ids, TEXTS, chosen, controls=3, seed=7, rows=rows)
    found = torch.from_numpy(record["nll"].values)
    by_hand = [[one_loss(planted, row, tables, i) for i in range(5)] for row in ids]
    torch.testing.assert_close(found, torch.tensor(by_hand, dtype=torch.float64), rtol=0, atol=1e-5)
    torch.testing.assert_close(found[:, 0], score(planted, ids), rtol=0, atol=1e-5)
    assert (found[:, 1] - found[:, 0]).abs().min() > 1e-4
    assert record["condition"].values.tolist() == ["baseline", "massive", "control 0", "control 1", "control 2"]


def test_another_seed_draws_other_controls_for_the_same_baseline(planted, ids, chosen):
    measured = [
        measure_disruption(as_arm(planted), ids, TEXTS, chosen, controls=2, seed=seed, rows=4)["nll"].values
        for seed in (0, 0, 1)
    ]
    assert (measured[0] == measured[1]).all()
    assert (measured[0][:, :2] == measured[2][:, :2]).all()
    assert (measured[0][:, 2:] != measured[2][:, 2:]).any()


def test_an_empty_mask_that_changes_the_loss_is_refused(planted, ids, chosen):
    broken = lambda masks: lambda name, layer, states: states * 1.01  # noqa: E731
    with pytest.raises(ValueError, match=r"with nothing replaced the loss is [\d.]+, plain it is [\d.]+$"):
        measure_disruption(as_arm(planted), ids, TEXTS, chosen, controls=2, seed=0, replacing=broken)


def test_an_empty_mask_is_tried_on_the_first_text_and_on_no_other(planted, ids, chosen, monkeypatch):
    tried = []
    check = lambda model, row, masks, **how: tried.append(row.tolist())  # noqa: E731
    monkeypatch.setattr("lib.measuring.disruption._check_that_nothing_replaced_changes_nothing", check)
    measure_disruption(as_arm(planted), ids, TEXTS, chosen, controls=1, seed=0)
    assert tried == [ids[0].tolist()]


def test_as_many_conditions_run_at_once_as_fit_with_texts_of_this_length(planted, ids, chosen, monkeypatch):
    asked = []
    fit = lambda arm, length, chunk: asked.append(length) or 3  # noqa: E731
    monkeypatch.setattr("lib.measuring.disruption.rows_that_fit", fit)
    sizes = []
    planted.register_forward_pre_hook(lambda module, given, how: sizes.append(len(how["input_ids"])), with_kwargs=True)
    measure_disruption(as_arm(planted), ids[:1], TEXTS[:1], chosen, controls=4, seed=0)
    assert asked == [ids.shape[1]]
    assert sizes[-2:] == [3, 3]


def one_loss(model, ids, tables, condition):
    """The study's protocol: one text, one condition, `output[..., channels] = 0` in every projection."""
    hooks = []
    for name, table in tables.items():
        for layer, mask in zip(model.model.layers, table[condition], strict=True):
            projection = layer.self_attn.get_submodule(f"{name[0]}_proj")
            hooks.append(projection.register_forward_hook(zero(mask.flatten().nonzero()[:, 0].tolist())))
    with torch.no_grad():
        predicted = model(ids[None]).logits[0, :-1].log_softmax(-1)
    for hook in hooks:
        hook.remove()
    return -sum(predicted[i, token].item() for i, token in enumerate(ids[1:])) / (len(ids) - 1)


def zero(channels):
    def hook(module, given, output):
        output = output.clone()
        output[..., channels] = 0
        return output

    return hook


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
    assert record.identical(measure_prompts(as_arm(model), ids, TEXTS, PROTOCOLS["jin2025"], site="attention"))


def test_norms_of_a_site_are_those_of_that_site(tiny, ids):
    arm = as_arm(tiny)
    raw, rotated = norms_of_texts(arm, ids), norms_of_texts(arm, ids, "attention")
    assert raw["key"].shape == rotated["key"].shape == (2, 3, tiny.config.num_key_value_heads, 16)
    assert not torch.allclose(raw["query"], rotated["query"])
    pairs = [norms["query"].view(2, 3, 4, 2, 8).square().sum(3) for norms in (raw, rotated)]
    torch.testing.assert_close(*pairs, rtol=1e-4, atol=1e-6)  # a rotation leaves the length of a pair alone
