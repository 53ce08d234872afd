"""What cannot be read for certain is refused: attention that nobody thought of is never measured wrongly."""

import gc
import weakref
from functools import partial

import pytest
import torch
from transformers.models.llama.modeling_llama import LlamaAttention

from fixtures.models.architectures import REFUSED as NOT_READ
from fixtures.models.architectures import build
from fixtures.models.tiny import DIM, tiny_llama
from lib.definitions.words import SITES
from lib.probing.anatomy import short_ids, survey
from lib.probing.probe import geometry, visiting

pytestmark = pytest.mark.cpu


class Own(LlamaAttention):
    """Llama's attention with a softmax of its own in place of transformers' interface."""

    def forward(self, hidden_states, **kwargs):
        query, key, value = (getattr(self, f"{letter}_proj")(hidden_states) for letter in "qkv")
        return self.o_proj((query @ key.mT).softmax(-1) @ value), None


class Twice(LlamaAttention):
    """Attends twice, as differential attention does."""

    def forward(self, hidden_states, **kwargs):
        first, second = super().forward(hidden_states, **kwargs), super().forward(-hidden_states, **kwargs)
        return first[0] - second[0], None


class Elsewhere(LlamaAttention):
    """No attention at all, as in layers of a hybrid model."""

    def forward(self, hidden_states, **kwargs):
        return self.o_proj(hidden_states @ self.o_proj.weight), None


def odd(kind, layers=(0, 1, 2)):
    model = tiny_llama()
    for layer in layers:
        model.model.layers[layer].self_attn.__class__ = kind
    return model


def changed(name, change):
    """A Llama in which something is done between a projection and attention."""
    model = tiny_llama()
    projection = model.model.layers[1].self_attn.get_submodule(f"{name}_proj")
    projection.register_forward_hook(lambda module, given, out: change(out))
    return model


def refused(model, site):
    with pytest.raises(ValueError, match=r"\w") as caught, visiting(model, lambda name, layer, states: None, site):
        pass
    return str(caught.value)


REFUSED = {
    "a softmax of its own": (lambda: odd(Own), "does not use transformers' attention interface"),
    "two attentions in a layer": (lambda: odd(Twice), "its 3 layers called transformers' attention interface 6 times"),
    "two in one layer": (lambda: odd(Twice, [1]), "its 3 layers called transformers' attention interface 4 times"),
    "a layer without": (lambda: odd(Elsewhere, [2]), "its 3 layers called transformers' attention interface 2 times"),
    **{name: (partial(build, name), "does not use transformers' attention interface") for name in NOT_READ},
}


@pytest.mark.parametrize("site", SITES)
@pytest.mark.parametrize(("make", "why"), REFUSED.values(), ids=REFUSED)
def test_attention_that_cannot_be_seen_is_refused_at_every_site(make, why, site):
    found = refused(make(), site)
    assert why in found
    assert "cannot be measured" in found
    assert "\n" not in found


HIDDEN = {
    "heads change places": ("q", lambda out: out.unflatten(-1, (4, DIM)).flip(2).flatten(2)),
    "dims change places": ("k", lambda out: out.unflatten(-1, (4, DIM)).flip(3).flatten(2)),
    "dims are scaled one by one": ("q", lambda out: out * torch.linspace(0.5, 2, out.shape[-1])),
    "positions change places": ("v", lambda out: out.roll(1, 1)),
    "later positions change places": ("v", lambda out: torch.cat([out[:, :1], out[:, 1:].roll(1, 1)], 1)),
    "a key is added to": ("k", lambda out: out + 1),
    "one head of a value is another": ("v", lambda out: torch.cat([out[..., DIM : 2 * DIM], out[..., DIM:]], -1)),
}


@pytest.mark.parametrize(("name", "change"), HIDDEN.values(), ids=HIDDEN)
def test_projections_that_are_not_what_attention_receives_are_refused_but_attention_is_read(name, change):
    model = changed(name, change)
    for site in ("projection", "normed"):
        assert f"cannot be measured at the site {site}: no projection of layer 1 gives the states" in refused(
            model, site
        )
    seen = []
    with torch.inference_mode(), visiting(model, lambda name, layer, states: seen.append(states), "attention"):
        model(torch.arange(1, 9)[None])
    assert len(seen) == 9


@pytest.mark.parametrize("change", [lambda out: out.flip(-1), lambda out: out + 1], ids=["turned round", "added to"])
def test_norms_that_are_not_what_attention_receives_are_refused_but_attention_is_read(change):
    model = build("qwen3")
    model.model.layers[1].self_attn.k_norm.register_forward_hook(lambda module, given, out: change(out))
    for site in ("projection", "normed"):
        assert "no projection of layer 1 gives the states that attention receives" in refused(model, site)
    assert survey(model).sites == ("attention",)


def test_norms_that_get_something_else_than_the_projections_give_are_refused():
    model = build("qwen3")
    later = lambda module, given: torch.cat([given[0][:, :1], given[0][:, 1:].flip(-1)], 1)  # noqa: E731
    model.model.layers[1].self_attn.k_norm.register_forward_pre_hook(later)
    assert "no projection of layer 1" in refused(model, "normed")


@pytest.mark.parametrize("change", [lambda given: given.flip(-1), lambda given: given + 1])
def test_norms_after_the_rotation_that_get_something_else_than_the_projections_give_are_refused(change):
    model = build("hunyuan_v1_dense")
    norm = model.model.layers[1].self_attn.key_layernorm
    norm.register_forward_pre_hook(lambda module, given: change(given[0]))
    assert "no projection of layer 1" in refused(model, "projection")


@pytest.mark.parametrize("name", ["hunyuan_v1_dense", "nanochat"])
def test_norms_after_the_rotation_are_no_site_before_it(name):
    assert "has no norms of query and key before the rotation" in refused(build(name), "normed")


@pytest.mark.parametrize("name", ["phi3 with longrope", "gpt_neox with yarn"])
def test_a_factor_on_dims_that_turn_is_accepted_only_where_the_rotary_embedding_declares_it(name):
    model = build(name)
    assert "projection" in survey(model).taps
    other = build(name)
    other.base_model.rotary_emb.register_forward_hook(lambda module, given, out: tuple(1.5 * part for part in out))
    assert "no projection of layer 0" in refused(other, "projection")


def test_a_declared_factor_on_other_dims_than_those_that_turn_is_refused():
    model = build("phi3 with longrope")
    factor = model.model.rotary_emb.attention_scaling
    model.model.rotary_emb.register_forward_hook(lambda module, given, out: tuple(part / factor for part in out))
    even = torch.where(torch.arange(96) % 2 == 0, factor, 1.0)
    model.model.layers[0].self_attn.qkv_proj.register_forward_hook(lambda module, given, out: out * even)
    assert "no projection of layer 0" in refused(model, "projection")


@pytest.mark.parametrize("factor", [0.25, 8.0])
def test_a_factor_on_all_dims_is_no_other_state(factor):
    assert "projection" in survey(changed("q", lambda out: factor * out)).taps


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_rounding_is_no_reason_to_refuse(dtype):
    assert "projection" in survey(tiny_llama().to(dtype)).taps


def test_a_head_of_zeros_is_read_like_any_other():
    model = tiny_llama()
    model.model.layers[0].self_attn.v_proj.weight.data[:DIM] = 0
    assert "projection" in survey(model).taps


@pytest.mark.parametrize("pad", [[1], [1, 2, 5]])
def test_a_token_whose_embedding_is_zero_proves_nothing(pad):
    model = changed("q", lambda out: out.flip(-1))  # another query than attention receives, unless all of it is zero
    model.model.embed_tokens.weight.data[pad] = 0
    assert not set(pad) & set(short_ids(model)[0].tolist())
    assert "no projection of layer 1" in refused(model, "projection")


def test_a_model_without_any_embedding_that_is_not_zero_is_refused():
    model = tiny_llama()
    model.model.embed_tokens.weight.data[:] = 0
    assert "the embeddings of its first tokens are all zero" in refused(model, "projection")


def test_a_projection_of_zeros_proves_nothing():
    model = tiny_llama()
    model.model.layers[0].self_attn.q_proj.weight.data[:] = 0
    assert "no projection of layer 0" in refused(model, "projection")


@pytest.mark.parametrize("order", [[1, 0, 2], [2, 1, 0], [0, 2, 1]])
def test_a_fused_projection_in_an_order_that_is_not_known_is_refused(order):
    model = build("phi3")
    fused = model.model.layers[0].self_attn.qkv_proj
    fused.register_forward_hook(lambda module, given, out: torch.cat([out.chunk(3, -1)[i] for i in order], -1))
    assert "no projection of layer 0" in refused(model, "projection")


def test_a_model_of_a_known_type_with_other_code_is_not_taken_for_it():
    model = build("falcon")
    for block in model.transformer.h:
        kind = type(block.self_attention)
        block.self_attention.__class__ = type("FalconAttention", (kind,), {"__module__": "somebody.modeling_falcon"})
    assert "does not use transformers' attention interface" in refused(model, "projection")


def test_layers_of_different_shape_are_refused():
    model = build("gpt2")
    model.transformer.h[1].attn.num_heads, model.transformer.h[1].attn.head_dim = 2, 16
    assert "its layers, or their query, key and value, differ in shape" in refused(model, "attention")


@pytest.mark.parametrize("heads", [11, 12, 13])
def test_as_many_heads_as_positions_are_not_taken_for_positions(heads):
    model = build("stablelm with norms", num_attention_heads=heads, num_key_value_heads=heads, hidden_size=8 * heads)
    assert survey(model).sites == SITES


@pytest.mark.parametrize("site", ["normed", "attention"])
def test_off_the_interface_only_the_projections_can_be_read(site):
    assert refused(build("gptj"), site).endswith("only the site projection can be read")


def test_without_norms_the_site_after_them_is_refused():
    assert "has no norms of query and key before the rotation: use --site projection" in refused(tiny_llama(), "normed")


def test_a_norm_after_the_rotation_is_no_site_before_it():
    assert "has no norms of query and key" in refused(build("llama4_text", use_qk_norm=True), "normed")


def test_a_model_that_overflows_is_told_so():
    model = tiny_llama()
    model.model.layers[1].mlp.down_proj.weight.data.fill_(torch.inf)
    assert "states are not finite" in refused(model, "attention")


def test_a_model_whose_forward_pass_fails_is_refused_in_a_sentence():
    model = build("mistral", num_key_value_heads=8)  # of four heads
    assert "its forward pass fails: The size of tensor a" in refused(model, "projection")


def test_looking_leaves_no_hook_and_is_done_once():
    model, passes = tiny_llama(), []
    model.register_forward_hook(lambda *_: passes.append(1))
    assert survey(model) is survey(model)
    assert len(passes) == 2
    assert sum(len(module._forward_hooks) for module in model.modules()) == 1


def test_a_model_that_was_looked_at_can_be_freed():
    model = tiny_llama()
    geometry(model)
    alive = weakref.ref(model)
    del model
    gc.collect()
    assert alive() is None


def test_a_site_that_there_is_not_is_refused_by_its_name():
    assert refused(tiny_llama(), "values") == (
        "states cannot be read at 'values', only at projection or normed or attention"
    )
