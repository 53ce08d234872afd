"""Texts that are read some positions at a time: the norms and losses of a plain pass, or a sentence why not."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from fixtures.models.architectures import ARCHITECTURES, build
from fixtures.models.tiny import as_arm, plant, tiny_llama
from lib.definitions import EDITED, NAMES, PROTOCOLS
from lib.measuring.disruption import measure_bands, measure_protocol, norms_of
from lib.measuring.interventions import filling, zeroing
from lib.measuring.logits import New, preallocate, read_through, try_parts
from lib.measuring.norms import check_chunks, measure_norms, norms_and_loss, rows_that_fit
from lib.measuring.scoring import score, score_conditions
from lib.measuring.specificity import means_of_texts
from lib.models.rescaling import rescale, turns_by_length
from lib.probing import CannotRead, geometry, survey
from lib.texts.reading import Text

pytestmark = pytest.mark.cpu

IDS = torch.randint(3, 63, (2, 40), generator=torch.Generator().manual_seed(4))
TEXTS = [Text(f"t{i}", "a", "count", str(i)) for i in range(2)]
SITES = ["projection", "attention"]
NOT_IN_CHUNKS = {"phi3 with longrope"}
"""Architectures that are refused."""


@pytest.fixture
def model():
    model = tiny_llama(kv_heads=2)
    plant(model, "query", 1, 0, 3)
    plant(model, "key", 2, 1, 5)
    return model


def apart(one, other):
    """The largest difference of two passes: of a norm, in mean norms, or of the loss, in itself."""
    norms = [
        (a[n] - b[n]).abs().max() / a[n].mean()
        for a, b in ((one.norms, other.norms), (one.rest, other.rest))
        for n in a
    ]
    return float(max(*norms, ((one.loss - other.loss) / one.loss).abs().max()))


@pytest.mark.parametrize("site", SITES)
@settings(max_examples=15, deadline=None)
@given(chunk=st.integers(1, 45))
def test_norms_and_losses_are_those_of_a_plain_pass(site, chunk):
    model = tiny_llama(kv_heads=2)
    plain = norms_and_loss(model, IDS, geometry(model), site)
    read = norms_and_loss(model, IDS, geometry(model), site, chunk)
    assert apart(plain, read) < 1e-6
    torch.testing.assert_close(read.token_loss, plain.token_loss, rtol=1e-5, atol=0)
    torch.testing.assert_close(read.token_loss.mean(1), read.loss, rtol=1e-12, atol=0)


def in_chunks(model, site):
    """The norms and losses in chunks of 7 tokens; None where they are refused."""
    try:
        check_chunks(model, IDS, geometry(model), site, 7)
    except CannotRead:
        return None
    return norms_and_loss(model, IDS, geometry(model), site, 7)


@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_every_architecture_reads_the_same_in_chunks_or_is_refused(name):
    model = build(name)
    for site in survey(model).sites:
        found = in_chunks(model, site)
        assert found is None or apart(norms_and_loss(model, IDS, geometry(model), site), found) < 1e-4
    assert (found is None) == (name in NOT_IN_CHUNKS)


def test_chunks_longer_than_a_text_are_the_plain_pass_to_the_last_bit(model):
    plain, read = (norms_and_loss(model, IDS, geometry(model), chunk=chunk) for chunk in (None, 40))
    assert torch.equal(plain.loss, read.loss)
    assert all(torch.equal(plain.norms[n], read.norms[n]) for n in NAMES)


@pytest.mark.parametrize("site", SITES)
@pytest.mark.parametrize(
    "replacing", [zeroing, filling({n: torch.full((3, h, 16), 0.7) for n, h in (("query", 4), ("key", 2))})]
)
def test_conditions_cost_the_same_in_chunks(model, site, replacing):
    masks = {"query": torch.zeros(2, 3, 4, 16, dtype=torch.bool), "key": torch.zeros(2, 3, 2, 16, dtype=torch.bool)}
    masks["query"][1, 1, 0, 3] = masks["key"][1, 2, 1, 5] = True
    how = {"replacing": replacing, "site": site}
    whole, _ = score_conditions(model, IDS[0], masks, 2, **how)
    found, _ = score_conditions(model, IDS[0], masks, 2, **how, chunk=9)
    torch.testing.assert_close(found, whole, rtol=1e-6, atol=0)
    assert abs(whole[1] - whole[0]) > 1e-4


@pytest.mark.parametrize("site", SITES)
def test_means_and_norms_of_single_texts_are_the_same_in_chunks(model, site):
    for read in (
        lambda chunk: means_of_texts(model, IDS, site, chunk),
        lambda chunk: norms_of(model, IDS[0], site, chunk),
    ):
        whole, found = read(None), read(11)
        for name in EDITED:
            torch.testing.assert_close(found[name], whole[name], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("parts", [False, True])
def test_records_are_the_same_in_chunks_and_hold_the_loss_of_each_token(model, parts):
    arm = as_arm(model)
    if parts:
        assert try_parts(model)
    whole, found = (measure_norms(arm, IDS, TEXTS, chunk=chunk) for chunk in (None, 13))
    for name in NAMES:
        np.testing.assert_allclose(found[f"{name}_norm"], whole[f"{name}_norm"], rtol=1e-5)
    np.testing.assert_allclose(found["token_nll"], whole["token_nll"], rtol=1e-5)
    assert found["token_nll"].dims == ("text", "predicted")
    expected = nn.functional.cross_entropy(
        model(IDS).logits[:, :-1].flatten(0, 1), IDS[:, 1:].flatten(), reduction="none"
    )
    np.testing.assert_allclose(found["token_nll"].values.ravel(), expected.detach(), rtol=1e-4)


def test_the_experiments_that_zero_give_the_same_losses_in_chunks(model):
    arm = as_arm(model)
    norms = measure_norms(arm, IDS, TEXTS)
    counted = {name: torch.from_numpy(norms[f"{name}_norm"].values) for name in EDITED}
    frequency = torch.from_numpy(norms["frequency"].values)
    how = {"threshold": 5.0, "scope": "layer", "site": "projection"}
    for protocol in ("held-out", "africa2026"):
        both = [
            measure_protocol(arm, IDS, TEXTS, PROTOCOLS[protocol], counted, **how, controls=2, seed=0, chunk=chunk)
            for chunk in (None, 13)
        ]
        assert both[0]["query_zeroed"].any()
        np.testing.assert_allclose(both[1]["nll"], both[0]["nll"], rtol=1e-6)
    both = [measure_bands(arm, IDS, TEXTS, counted, frequency, **how, chunk=chunk) for chunk in (None, 13)]
    np.testing.assert_allclose(both[1]["nll"], both[0]["nll"], rtol=1e-6)
    with pytest.raises(ValueError, match=r"^the protocol jin2025 reads a prompt at once: leave out --chunk$"):
        measure_protocol(arm, IDS, TEXTS, PROTOCOLS["jin2025"], counted, **how, controls=1, seed=0, chunk=13)


def test_a_model_that_forgets_its_cache_is_refused(model):
    sizes = geometry(model)
    plain = model.forward
    model.forward = lambda past_key_values=None, **inputs: plain(**inputs)
    with pytest.raises(
        CannotRead, match=r"^read 13 tokens at a time, LlamaForCausalLM gives other norms or losses than"
    ):
        check_chunks(model, IDS[:1], sizes, "projection", 20)


def test_a_rotation_that_depends_on_the_length_of_the_text_is_refused_by_name():
    model = tiny_llama()
    rescale(model.config, "dynamic:4")
    with pytest.raises(
        CannotRead, match=r"^its rotation \(dynamic\) depends on the length of the whole text: leave out"
    ):
        check_chunks(model, IDS[:1], geometry(model), "projection", 20)
    for kind in ("linear:4", "yarn:4", "ntk:4"):
        assert turns_by_length(rescale(tiny_llama().config, kind)) == ""


def test_a_model_without_a_cache_is_refused(model):
    model.config.use_cache = False
    inner = model.model.forward
    model.model.forward = lambda *args, **inputs: inner(*args, **{**inputs, "use_cache": False})
    with pytest.raises(ValueError, match=r"^LlamaForCausalLM keeps no KV cache, so nothing can be read after"):
        score(model, IDS, 10)


def test_a_pass_holds_a_chunk_and_reads_every_position_once(model):
    lengths = []
    model.model.layers[0].register_forward_hook(lambda module, given, out: lengths.append(given[0].shape[1]))
    read_through(model, IDS, 15)
    score(model, IDS, 15)
    read_through(model, IDS)
    assert lengths == [15, 15, 10, 15, 15, 10, 40]


def test_the_cache_of_a_text_lies_in_one_place_and_holds_what_a_growing_one_would(model):
    with torch.inference_mode():
        grown, preallocated = (model(input_ids=IDS[:, :15], use_cache=True).past_key_values for _ in range(2))
        preallocate(preallocated, 40)
        places = [layer.keys.data_ptr() for layer in preallocated.layers]
        for start in (15, 30):
            read = [
                model(input_ids=IDS[:, start : start + 15], past_key_values=c).logits for c in (grown, preallocated)
            ]
            torch.testing.assert_close(*read)
    assert [layer.get_seq_length() for layer in preallocated.layers] == [40] * 3
    assert [layer.keys.data_ptr() for layer in preallocated.layers] == places
    for one, other in zip(grown.layers, preallocated.layers, strict=True):
        torch.testing.assert_close((one.keys, one.values), (other.keys, other.values))


def test_new_positions_are_told_from_those_of_the_cache():
    new = New(10, 4)
    cached = torch.arange(10)[None, :, None]
    assert [new("key", cached[:, :stop])[1].flatten().tolist() for stop in (4, 8, 10)] == [
        [0, 1, 2, 3],
        [4, 5, 6, 7],
        [8, 9],
    ]
    assert new("query", cached[:, :4])[0] == 0
    assert new("query", cached[:, :4])[0] == 4


def test_a_row_of_a_text_in_chunks_needs_less_memory(model, monkeypatch):
    arm = as_arm(model)
    model.config.vocab_size = 10**6
    each = 50 * (10**6 + 4 * model.config.intermediate_size) + 500 * 2 * 48 * 3
    assert rows_that_fit(arm, 500, 50) == 5
    monkeypatch.setattr("lib.measuring.norms.AT_ONCE_ON_CPU", 10**9)
    assert rows_that_fit(arm, 500, 50) == 2 * 1024**3 // (each * 4) > rows_that_fit(arm, 500)
    assert rows_that_fit(arm, 400, 500) <= rows_that_fit(arm, 400)
