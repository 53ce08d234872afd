"""Sinks, against the attentions that transformers gives, and on heads whose attention is known."""

import numpy as np
import pytest
import torch

from fixtures.models.tiny import as_arm, tiny_llama
from lib.definitions import INPUTS, refuse_short, uniform_share
from lib.measuring.sinks import measure_sinks
from lib.texts.reading import Text

pytestmark = pytest.mark.cpu
TEXTS = [Text("a", "plain", "count", "x"), Text("b", "odd", "count", "y")]


@pytest.fixture(scope="module")
def arm():
    return as_arm(tiny_llama(kv_heads=2, initializer_range=0.3))


@pytest.fixture(scope="module")
def tokens():
    return torch.randint(3, 259, (2, 30), generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def record(arm, tokens):
    return measure_sinks(arm, tokens, TEXTS, seed=7, tokens=20)


def test_shares_are_those_of_the_attentions_that_transformers_gives(arm, tokens, record):
    model = tiny_llama(kv_heads=2, initializer_range=0.3, attn_implementation="eager")
    with torch.inference_mode():
        attentions = model(input_ids=tokens[:, :20], use_cache=False, output_attentions=True).attentions
    expected = torch.stack(attentions, 1)[..., 0].mean(-1).double()
    np.testing.assert_allclose(record["first_share"].sel(input="texts").values, expected.numpy(), atol=1e-6)


def test_norms_of_keys_and_values_are_those_of_the_projections(arm, tokens, record):
    attention, given = arm.model.model.layers[0].self_attn, {}
    hooks = [
        getattr(attention, f"{name[0]}_proj").register_forward_hook(
            lambda m, a, out, name=name: given.update({name: out.unflatten(-1, (2, 16)).double().norm(dim=-1)})
        )
        for name in ("key", "value")
    ]
    with torch.inference_mode():
        arm.model(input_ids=tokens[:, :20], use_cache=False)
    for hook in hooks:
        hook.remove()
    for name, norms in given.items():  # the rotation changes no norm
        found = record[f"{name}_norm"].sel(input="texts").isel(layer=0)
        np.testing.assert_allclose(found.sel(where="first").values, norms[:, 0].numpy(), rtol=1e-5)
        np.testing.assert_allclose(found.sel(where="rest").values, norms[:, 1:].mean(1).numpy(), rtol=1e-5)


def test_repeated_tokens_give_every_position_the_same_and_others_do_not(arm, tokens, record):
    value = record["value_norm"]
    same = value.sel(where="first").values - value.sel(where="rest").values
    assert np.abs(same[INPUTS.index("repeated"), :, 0]).max() < 1e-5
    assert np.abs(same[INPUTS.index("random"), :, 0]).min() > 1e-5


def test_where_all_tokens_are_one_a_model_without_rotation_attends_alike_to_all(arm, tokens):
    model = tiny_llama(kv_heads=2, initializer_range=0.3)
    model.model.rotary_emb.inv_freq.zero_()
    found = measure_sinks(as_arm(model), tokens, TEXTS, seed=7, tokens=20)["first_share"]
    np.testing.assert_allclose(found.sel(input="repeated").values, uniform_share(20), atol=1e-5)
    assert np.abs(found.sel(input="random").values - uniform_share(20)).max() > 0.01


def test_draws_are_those_of_the_seed(arm, tokens, record):
    again = measure_sinks(arm, tokens, TEXTS, seed=7, tokens=20)
    np.testing.assert_array_equal(again["first_share"].values, record["first_share"].values)
    other = measure_sinks(arm, tokens, TEXTS, seed=8, tokens=20)["first_share"]
    assert (other.sel(input="texts").values == record["first_share"].sel(input="texts").values).all()
    assert (other.sel(input="random").values != record["first_share"].sel(input="random").values).any()


@pytest.mark.parametrize("rows", [1, 4])
def test_fewer_rows_at_once_give_the_same(arm, tokens, record, rows):
    moved = []
    found = measure_sinks(arm, tokens, TEXTS, seed=7, tokens=20, rows=rows, progress=moved.append)
    np.testing.assert_allclose(found["first_share"].values, record["first_share"].values, atol=1e-6)
    assert sum(moved) == pytest.approx(2)


def test_uniform_attention_has_the_share_of_harmonic_numbers():
    assert uniform_share(1) == 1
    assert uniform_share(8) == pytest.approx(0.3397, abs=1e-4)
    assert uniform_share(64) == pytest.approx(0.0741, abs=1e-4)


def test_a_length_at_which_uniform_attention_is_a_sink_is_refused(arm, tokens):
    refuse_short(10)
    with pytest.raises(ValueError, match=r"on 9 tokens uniform attention gives the first position 31\.4 %"):
        refuse_short(9)
    with pytest.raises(ValueError, match="measure longer texts"):
        measure_sinks(arm, tokens, TEXTS, seed=0, tokens=8)
    with pytest.raises(ValueError, match="sinks are measured on 64 tokens, and the texts have 30"):
        measure_sinks(arm, tokens, TEXTS, seed=0)
