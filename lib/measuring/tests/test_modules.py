"""Losses with modules and massive activations replaced, against passes of a model that is changed by hand."""

import numpy as np
import pytest
import torch
import xarray as xr

from fixtures.models.tiny import as_arm, tiny_llama
from lib.definitions import IN_MODULES
from lib.measuring.modules import activations, massive_of, measure_modules, others, spike_layer
from lib.measuring.scoring import score
from lib.measuring.stream import measure_stream
from lib.texts.reading import Text

pytestmark = pytest.mark.cpu
TEXTS = [Text("a", "plain", "score", "x"), Text("b", "odd", "score", "y")]
PLANTED = {17: 40_000.0, 30: -90_000.0}


@pytest.fixture(scope="module")
def tokens():
    ids = torch.randint(10, 259, (2, 24), generator=torch.Generator().manual_seed(0))
    ids[:, 0] = 5
    return ids


@pytest.fixture(scope="module")
def arm():
    """A model of which layer 1's MLP writes two massive activations at token 5, which begins every text."""
    model = tiny_llama(kv_heads=2, initializer_range=0.3)
    layer = model.model.layers[1]
    with torch.no_grad():
        model.model.embed_tokens.weight[:, 40] = 0
        model.model.embed_tokens.weight[5] = 0
        model.model.embed_tokens.weight[5, 40] = 30
        for weight in (layer.mlp.gate_proj.weight, layer.mlp.up_proj.weight):
            weight[0] = 0
            weight[0, 40] = 4
        layer.mlp.down_proj.weight[:, 0] = 0
        for channel, value in PLANTED.items():
            layer.mlp.down_proj.weight[channel, 0] = value / 700
    return as_arm(model)


@pytest.fixture(scope="module")
def stream(arm, tokens):
    return measure_stream(arm, tokens, TEXTS)


@pytest.fixture(scope="module")
def record(arm, tokens, stream):
    return measure_modules(arm, tokens, TEXTS, stream, seed=3)


def by_hand(arm, tokens, *hooks):
    """Losses of all texts while outputs of modules are changed by {module name: change}."""
    handles = []
    for name, change in hooks:
        module = arm.model.get_submodule(name)

        def hook(m, args, out, change=change):
            return (change(out[0]), *out[1:]) if isinstance(out, tuple) else change(out)

        handles.append(module.register_forward_hook(hook))
    losses = score(arm.model, tokens)
    for handle in handles:
        handle.remove()
    return losses.numpy()


def first_zeroed(states):
    states = states.clone()
    states[:, 0] = 0
    return states


def replaced(value_of):
    def change(states):
        states = states.clone()
        for text in states:
            least = 1000 * np.median(text.abs().numpy())
            for channel in PLANTED:
                text[text[:, channel].abs() >= least, channel] = value_of(channel)
        return states

    return change


def test_the_planted_activations_are_found_where_they_appear_with_their_mean(stream):
    found = activations(stream)
    assert found.index == 2
    assert sorted(found.means) == sorted(PLANTED)
    assert found.means[17] > 100
    assert found.means[30] < -100
    assert spike_layer(stream) == 1


def test_every_condition_is_what_a_changed_model_loses(arm, tokens, stream, record):
    means = activations(stream).means
    zero = torch.zeros_like
    layer = "model.layers.1"
    values = [(f"model.layers.{i}.self_attn.v_proj", first_zeroed) for i in range(3)]
    expected = {
        "baseline": by_hand(arm, tokens),
        "attention": by_hand(arm, tokens, (f"{layer}.self_attn", zero)),
        "mlp": by_hand(arm, tokens, (f"{layer}.mlp", zero)),
        "both": by_hand(arm, tokens, (f"{layer}.self_attn", zero), (f"{layer}.mlp", zero)),
        "mlp at first": by_hand(arm, tokens, (f"{layer}.mlp", first_zeroed)),
        "value at first": by_hand(arm, tokens, *values),
        "massive zeroed": by_hand(arm, tokens, (layer, replaced(lambda channel: 0.0))),
        "massive at mean": by_hand(arm, tokens, (layer, replaced(means.get))),
    }
    assert record["condition"].values.tolist() == [*expected, "random zeroed"] == list(IN_MODULES)
    for condition, losses in expected.items():
        np.testing.assert_allclose(record["nll"].sel(condition=condition).values, losses, rtol=1e-5, err_msg=condition)
    for condition in expected.keys() - {"baseline", "massive at mean"}:
        assert np.abs(expected[condition] - expected["baseline"]).min() > 1e-4, condition
    assert record["replaced"].values.tolist() == [2, 4]  # in the second text, two more are large enough at channel 30


def test_random_channels_are_as_many_others_at_the_same_positions():
    chosen = torch.zeros(4, 10, dtype=torch.bool)
    chosen[0, [1, 2]] = chosen[3, 5] = True
    found = others(chosen, "1/a")
    assert found.sum(-1).tolist() == [2, 0, 0, 1]
    assert not (found & chosen).any()
    assert torch.equal(found, others(chosen, "1/a"))
    assert any(not torch.equal(found, others(chosen, f"{seed}/a")) for seed in range(2, 6))


def test_only_channels_that_the_counting_texts_know_are_massive():
    states = torch.full((3, 8), 0.01)
    states[0, 2], states[1, 5], states[2, 2] = 200.0, 300.0, 50.0
    assert massive_of(states, {2: 0.0}).nonzero().tolist() == [[0, 2]]


def test_without_massive_activations_their_conditions_are_left_out(tokens):
    plain = as_arm(tiny_llama(kv_heads=2))
    stream = measure_stream(plain, tokens, TEXTS)
    assert activations(stream) is None
    found = measure_modules(plain, tokens, TEXTS, stream, seed=0)
    assert found["condition"].values.tolist() == list(IN_MODULES[:6])
    assert found["massive_at"].item() == -1


@pytest.mark.parametrize("rows", [1, 4])
def test_fewer_conditions_at_once_give_the_same(arm, tokens, stream, record, rows):
    found = measure_modules(arm, tokens, TEXTS, stream, seed=3, rows=rows)
    np.testing.assert_allclose(found["nll"].values, record["nll"].values, rtol=1e-5)


@pytest.mark.parametrize(("of_20", "found"), [(18, True), (17, False)])
def test_a_layer_has_massive_activations_if_nine_texts_in_ten_have_some(of_20, found):
    largest = np.full((20, 2, 1), 1.0)
    largest[:of_20, 1] = 150.0
    stream = xr.Dataset(
        {
            "largest": (("text", "stream", "rank"), largest),
            "median": (("text", "stream"), np.full((20, 2), 0.15)),
            "channel": (("text", "stream", "rank"), np.zeros((20, 2, 1), int)),
        }
    )
    assert (activations(stream) is not None) is found
    stream["median"][:] = 0.151
    assert activations(stream) is None
