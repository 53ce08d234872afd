import pytest
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from fixtures.models.tiny import DIM, plant, tiny_llama
from lib.definitions.words import NAMES
from lib.measuring.interventions import zeroing
from lib.probing.probe import _edited, geometry, visiting

pytestmark = pytest.mark.cpu

SMALL = {"vocab_size": 260, "hidden_size": 32, "num_hidden_layers": 2}


def run(model, ids):
    with torch.no_grad():
        return model(ids).logits


def edited(model, ids, masks):
    with visiting(model, zeroing(masks)):
        return run(model, ids)


def empty_masks(model, batch=2):
    sizes = geometry(model)
    return {name: torch.zeros(batch, sizes.layers, *sizes.shape(name), dtype=torch.bool) for name in NAMES}


def hooks_on(model):
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules())


def test_sizes_are_those_of_the_config(tiny):
    sizes = geometry(tiny)
    assert (sizes.layers, sizes.heads, sizes.kv_heads, sizes.dim) == (3, 4, tiny.config.num_key_value_heads, DIM)
    assert sizes.shape("query") == (4, DIM)
    assert sizes.shape("key") == sizes.shape("value") == (sizes.kv_heads, DIM)


def test_an_empty_mask_leaves_the_logits_bit_identical(tiny, ids):
    assert torch.equal(edited(tiny, ids, empty_masks(tiny)), run(tiny, ids))


@pytest.mark.parametrize("name", NAMES)
def test_a_full_mask_changes_the_logits(tiny, ids, name):
    full = {name: ~empty_masks(tiny)[name]}
    assert (edited(tiny, ids, full) - run(tiny, ids)).abs().amax((1, 2)).min() > 1e-4


@pytest.mark.parametrize("name", NAMES)
def test_a_zeroed_channel_changes_only_the_row_whose_mask_says_so(tiny, ids, name):
    plant(tiny, name, layer=1, head=0, dim=5)
    masks, plain = empty_masks(tiny), run(tiny, ids)
    masks[name][1, 1, 0, 5] = True
    changed = edited(tiny, ids, masks)
    assert torch.equal(changed[0], plain[0])
    assert not torch.allclose(changed[1], plain[1], atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_zeroing_a_channel_equals_a_projection_without_its_row(tiny, ids, name):
    masks = empty_masks(tiny)
    masks[name][:, 2, 0, 5] = True
    found = edited(tiny, ids, masks)
    plant(tiny, name, layer=2, head=0, dim=5, factor=0.0)
    torch.testing.assert_close(found, run(tiny, ids))
    assert not torch.equal(found, edited(tiny_llama(kv_heads=tiny.config.num_key_value_heads), ids, {}))


@pytest.mark.parametrize("visit", [lambda name, layer, states: None, zeroing({})], ids=["reading", "no masks"])
def test_reading_changes_nothing(tiny, ids, visit):
    plain = run(tiny, ids)
    with visiting(tiny, visit):
        assert torch.equal(run(tiny, ids), plain)


def test_hooks_are_gone_after_the_block(tiny, ids):
    with visiting(tiny, lambda name, layer, states: None):
        assert hooks_on(tiny) == 9
        run(tiny, ids)
    assert hooks_on(tiny) == 0


def test_hooks_are_gone_after_an_exception_in_the_block(tiny):
    with pytest.raises(KeyError, match="mine"), visiting(tiny, lambda name, layer, states: None):
        raise KeyError("mine")
    assert hooks_on(tiny) == 0


def test_hooks_are_gone_after_an_exception_in_the_visit(tiny, ids):
    with pytest.raises(ZeroDivisionError), visiting(tiny, lambda name, layer, states: 1 / 0):
        run(tiny, ids)
    assert hooks_on(tiny) == 0


def test_hooks_of_others_stay(tiny, ids):
    tiny.model.layers[0].self_attn.q_proj.register_forward_hook(lambda module, given, output: None)
    edited(tiny, ids, empty_masks(tiny))
    assert hooks_on(tiny) == 1


def test_a_hook_of_others_sees_the_edited_states(tiny, ids):
    seen = []
    tiny.model.layers[0].self_attn.q_proj.register_forward_hook(lambda module, given, output: seen.append(output))
    edited(tiny, ids, {"query": ~empty_masks(tiny)["query"]})
    assert not seen[-1].any()


def test_a_block_without_a_pass_is_an_error(tiny):
    missed = pytest.raises(RuntimeError, match="never saw 9 states, the first is query of layer 0")
    with missed, visiting(tiny, lambda name, layer, states: None):
        pass
    assert hooks_on(tiny) == 0


def test_a_pass_that_stops_early_is_an_error(tiny, ids):
    missed = pytest.raises(RuntimeError, match="never saw 3 states, the first is query of layer 2")
    with missed, visiting(tiny, lambda name, layer, states: None):
        tiny.config.num_hidden_layers = 2
        run(tiny, ids)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("wrong", ["batch", "head", "dim"])
def test_a_mask_of_another_shape_is_refused(tiny, ids, name, wrong):
    mask = torch.zeros(2, 3, 8, DIM, dtype=torch.bool)  # no tiny model has 8 heads
    right = empty_masks(tiny)[name]
    mask = {"batch": right[:1], "head": mask, "dim": right[..., :1]}[wrong]
    with pytest.raises(ValueError, match=f"the {name} mask is"):
        edited(tiny, ids, {name: mask})


def test_a_mask_of_one_head_is_not_spread_over_all_heads(tiny, ids):
    with pytest.raises(ValueError, match="the query mask is"):
        edited(tiny, ids, {"query": empty_masks(tiny)["query"][:, :, :1]})


def test_states_are_the_projections_of_what_enters_the_layer(tiny, ids):
    assert_states_by_hand(tiny, ids)


def test_states_of_a_model_with_bias_hold_the_bias(ids):
    model = tiny_qwen2()
    assert_states_by_hand(model, ids)
    assert model.model.layers[0].self_attn.q_proj.bias.any()


def test_an_empty_mask_changes_nothing_of_a_model_with_bias(ids):
    model = tiny_qwen2()
    assert torch.equal(edited(model, ids, empty_masks(model)), run(model, ids))
    full = {name: ~mask for name, mask in empty_masks(model).items()}
    assert not torch.allclose(edited(model, ids, full), run(model, ids), atol=1e-3)


def tiny_qwen2():
    torch.manual_seed(0)
    sizes = {**SMALL, "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 32}
    model = Qwen2ForCausalLM(Qwen2Config(**sizes)).eval()
    for layer in model.model.layers:
        for name in NAMES:
            torch.nn.init.normal_(layer.self_attn.get_submodule(f"{name[0]}_proj").bias)
    return model


def assert_states_by_hand(model, ids):
    """Compare what a visit sees with weights applied to what enters each layer's attention."""
    entered, seen = [], {}
    geometry(model)  # looks at the model in passes of its own
    for layer in model.model.layers:
        layer.input_layernorm.register_forward_hook(lambda module, given, output: entered.append(output))
    with visiting(model, lambda name, layer, states: seen.update({(name, layer): states})):
        run(model, ids)
    for (name, layer), states in seen.items():
        part = model.model.layers[layer].self_attn.get_submodule(f"{name[0]}_proj")
        by_hand = entered[layer] @ part.weight.T + (0 if part.bias is None else part.bias)
        torch.testing.assert_close(states, by_hand.unflatten(-1, (*geometry(model).shape(name),)))
    assert len(seen) == 3 * len(model.model.layers)


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
def test_another_model_that_runs_in_the_block_is_left_alone(ids, implementation):
    first, other = (tiny_llama(seed=seed, attn_implementation=implementation) for seed in (0, 1))
    plain, seen = run(other, ids), []
    with visiting(first, lambda name, layer, states: seen.append(0) or 0 * states, "attention"):
        assert torch.equal(run(other, ids), plain)
        assert not seen
        run(first, ids)
    assert len(seen) == 9


def test_an_attention_function_of_the_users_own_is_called_and_stays(ids, monkeypatch):
    plain, called = ALL_ATTENTION_FUNCTIONS["sdpa"], []
    own = lambda *args, **kwargs: called.append(0) or plain(*args, **kwargs)  # noqa: E731
    monkeypatch.setitem(ALL_ATTENTION_FUNCTIONS, "sdpa", own)
    model = tiny_llama()
    with visiting(model, lambda name, layer, states: None, "attention"):
        called.clear()
        run(model, ids)
    assert len(called) == 3
    assert ALL_ATTENTION_FUNCTIONS["sdpa"] is own


def test_edited_states_lie_in_memory_as_before():
    states = torch.randn(2, 4, 5, 8)  # batch, head, pos, dim
    edited = _edited("query", 0, states, lambda name, layer, shown: 2 * shown.contiguous())
    assert torch.equal(edited, 2 * states)
    assert edited.stride() == states.stride()


def test_a_block_around_another_goes_on_after_it(tiny, ids):
    outer, inner = [], []
    with visiting(tiny, lambda name, layer, states: outer.append(0), "attention"):
        with visiting(tiny, lambda name, layer, states: inner.append(0), "attention"):
            run(tiny, ids)
        run(tiny, ids)
    assert (len(outer), len(inner)) == (18, 9)
