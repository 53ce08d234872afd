import pytest
import torch
from transformers.models.llama import modeling_llama

from fixtures.models.architectures import ARCHITECTURES, KINDS, build
from fixtures.models.by_hand import frequency
from fixtures.models.tiny import tiny_llama
from lib.definitions.rotary_pairs import letters
from lib.models.drope import drop_rope
from lib.models.tests.test_drope import run
from lib.probing.rotation import frequencies, position_response

pytestmark = pytest.mark.cpu


def expected(name):
    known = ARCHITECTURES[name]
    return torch.stack([frequency(known, layer) for layer in range(len(known.rotates))])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", ["llama", "smollm3", "gemma3_text", "gpt_neox", "cohere2", "deepseek_v3"])
def test_frequencies_are_found_in_half_precision(name, dtype):
    found = frequencies(build(name).to(dtype))
    torch.testing.assert_close(found, expected(name), rtol=0.01, atol=0)


@pytest.mark.parametrize("theta", [100.0, 10_000.0, 5_000_000.0])
@pytest.mark.parametrize("dim", [8, 64, 128])
def test_frequencies_are_those_of_the_formula(theta, dim):
    found = frequencies(tiny_llama(head_dim=dim, rope_parameters={"rope_type": "default", "rope_theta": theta}))
    pair = torch.arange(dim, dtype=torch.float64) % (dim // 2)
    torch.testing.assert_close(found[2], theta ** (-2 * pair / dim), rtol=1e-5, atol=0)


@pytest.mark.parametrize("name", ["smollm3", "cohere2", "llama4_text"])
def test_every_fourth_layer_stands_still_where_that_is_so(name):
    assert letters(frequencies(build(name, num_hidden_layers=8)).numpy()) == "RRRNRRRN"


@pytest.mark.parametrize("rotate", [[1, 0, 0, 1], [0, 0, 0, 0], [1, 1, 1, 1]])
def test_which_layers_rotate_is_read_from_the_model_and_not_from_its_name(rotate):
    found = letters(frequencies(build("smollm3", no_rope_layers=rotate)).numpy())
    assert found == "".join("R" if one else "N" for one in rotate)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_massive_channels_hide_no_frequency(dtype):
    model = tiny_llama().to(dtype)
    for layer in model.model.layers:
        layer.self_attn.k_proj.weight.data[[7, 20]] *= 1000
    torch.testing.assert_close(frequencies(model), frequencies(tiny_llama()), rtol=0.01, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_massive_dim_whose_rounding_drowns_its_partner_hides_no_frequency(dtype):
    theta = (
        torch.pi / 6
    ) ** -8  # pair 1 turns by whole half turns at the second positions, which leaves its dims alone
    model = tiny_llama(rope_parameters={"rope_type": "default", "rope_theta": theta}).to(dtype)
    for layer in model.model.layers:
        layer.self_attn.k_proj.weight.data[9::16] *= 100
    assert letters(frequencies(model).numpy()) == "RRR"


def test_of_two_sets_that_fit_the_better_one_is_taken():
    bases = {
        kind: {"rope_type": "default", "rope_theta": theta} for kind, theta in zip(KINDS, (100.0, 101.0), strict=True)
    }
    found = frequencies(build("gemma3_text", rope_parameters=bases))
    torch.testing.assert_close(found[:, 1], torch.tensor([100.0, 101.0], dtype=torch.float64) ** -0.25)


def test_one_slow_pair_that_turns_otherwise_makes_a_layer_unknown():
    model = tiny_llama()
    model.model.layers[1].self_attn.__class__ = OnePairFaster
    assert letters(frequencies(model).numpy()) == "R?R"


class OnePairFaster(modeling_llama.LlamaAttention):
    """Turns its pair 5 twice as fast, which at these positions is less than a tenth of the pair's norm."""

    def forward(self, hidden_states, position_embeddings, **kwargs):
        cos, sin = (part.clone() for part in position_embeddings)
        for dim in (5, 13):
            c, s = cos[..., dim].clone(), sin[..., dim].clone()
            cos[..., dim], sin[..., dim] = c * c - s * s, 2 * s * c
        return super().forward(hidden_states, (cos, sin), **kwargs)


def test_a_model_without_its_rotation_turns_nothing():
    assert not frequencies(drop_rope(tiny_llama())).any()


@pytest.mark.parametrize("layers", [[0], [1, 2]])
def test_a_layer_that_turns_in_a_way_of_its_own_is_not_known(layers):
    model = tiny_llama()
    for layer in layers:
        model.model.layers[layer].self_attn.__class__ = Backwards
    assert frequencies(model).isnan().all(1).tolist() == [layer in layers for layer in range(3)]


class Backwards(modeling_llama.LlamaAttention):
    """Turns its heads from the last dim to the first, which no architecture does."""

    def forward(self, hidden_states, position_embeddings, **kwargs):
        return super().forward(hidden_states, tuple(part.flip(-1) for part in position_embeddings), **kwargs)


def test_no_hook_is_left():
    model = tiny_llama()
    frequencies(model)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_stretched_positions_change_a_rotary_model(tiny, ids):
    response = position_response(tiny, ids)
    assert response["change"] > 0.01
    assert response["noise"] == 0.0


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_stretched_positions_change_nothing_without_rotation(attention, ids):
    model = drop_rope(tiny_llama(attn_implementation=attention))
    assert position_response(model, ids) == {"change": 0.0, "noise": 0.0}


def test_the_position_response_passes_an_attention_mask(tiny, ids):
    # gaps in position ids without a mask are read as packed texts: then even this model changes
    drop_rope(tiny)
    stretched = 3 * torch.arange(ids.shape[1]).expand_as(ids)
    assert not torch.allclose(run(tiny, ids, position_ids=stretched, use_cache=False), run(tiny, ids), atol=1e-4)
    masks = []
    tiny.register_forward_pre_hook(lambda m, args, options: masks.append(options["attention_mask"]), with_kwargs=True)
    assert position_response(tiny, ids)["change"] == 0.0
    assert len(masks) == 3
    assert all(mask.all() and mask.shape == ids.shape for mask in masks)


def test_a_position_response_that_is_not_finite_is_refused(ids):
    model = tiny_llama()
    torch.nn.init.constant_(model.lm_head.weight, float("inf"))
    with pytest.raises(ValueError, match="logits are not finite"):
        position_response(model, ids)
