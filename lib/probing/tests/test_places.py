"""The stream and what is added to it, on a tiny model of every architecture."""

import pytest
import torch
from torch import nn

from fixtures.models.architectures import ARCHITECTURES, build
from fixtures.models.tiny import tiny_llama
from lib.definitions import PARTS
from lib.probing.places import adds_up, find_places, looking

pytestmark = pytest.mark.cpu
IDS = torch.arange(1, 11)[None]
every_architecture = pytest.mark.parametrize("name", ARCHITECTURES)


def seen(model, ids=IDS):
    """All that is seen in one pass, {(place, index): states}."""
    found = {}

    def keep(place, index, states):
        found[place, index] = states.clone()

    with torch.inference_mode(), looking(model, keep):
        logits = model(input_ids=ids, use_cache=False).logits
    return found, logits


@every_architecture
def test_what_attention_and_the_mlp_add_is_what_the_stream_gains(name):
    model = build(name)
    found, _ = seen(model)
    assert len(found) == 3 * len(find_places(model)) + 1
    for layer in range(len(find_places(model))):
        gained = found["stream", layer + 1] - found["stream", layer]
        parts = [found[part, layer] for part in PARTS]
        torch.testing.assert_close(gained, sum(parts), rtol=1e-4, atol=1e-5)
        assert min(part.abs().max() for part in parts) > 1e-4


@every_architecture
def test_looking_changes_no_bit(name):
    model = build(name)
    with torch.inference_mode():
        plain = model(input_ids=IDS, use_cache=False).logits
        assert torch.equal(seen(model)[1], plain)
        with looking(model, lambda place, index, states: states.clone()):
            assert torch.equal(model(input_ids=IDS, use_cache=False).logits, plain)


@every_architecture
def test_without_what_is_added_the_stream_stays_as_it_was(name):
    model, found = build(name), {}

    def nothing(place, index, states):
        if place == "stream":
            found[index] = states
            return None
        return torch.zeros_like(states)

    with torch.inference_mode(), looking(model, nothing):
        model(input_ids=IDS, use_cache=False)
    assert all(torch.equal(found[0], stream) for stream in found.values())
    assert found[0].abs().max() > 0


@every_architecture
@pytest.mark.parametrize("index", [0, 1, -1])
def test_what_replaces_a_stream_is_what_comes_after_it(name, index):
    model = build(name)
    index %= len(find_places(model)) + 1
    plain, logits = seen(model)
    moved = {}

    def move(place, at, states):
        moved[place, at] = states.clone()
        if (place, at) != ("stream", index):
            return None
        return torch.cat([states[:, :3], states[:, 3:4].flip(-1) + 1, states[:, 4:]], 1)

    with torch.inference_mode(), looking(model, move):
        other = model(input_ids=IDS, use_cache=False).logits
    for at in range(len(find_places(model)) + 1):
        # experts compute the tokens that they get together, whose rounding depends on which these are
        changed = (moved["stream", at] - plain["stream", at]).abs().amax(-1)[0] > 1e-4
        assert not changed[:3].any()
        assert changed[3] == (at > index)
    torch.testing.assert_close(other[:, :3], logits[:, :3], rtol=0, atol=1e-4)
    assert not torch.equal(other[:, 3], logits[:, 3])


def test_a_part_is_found_by_what_it_adds_and_not_by_its_name():
    model = build("gemma3_text")
    assert find_places(model).names == {
        "attention": "post_attention_layernorm",
        "mlp": "post_feedforward_layernorm",
    }
    llama = build("llama")
    assert find_places(llama).names == {"attention": "self_attn", "mlp": "mlp"}


def test_a_layer_that_adds_something_else_is_refused(monkeypatch):
    model = tiny_llama()
    plain = type(model.model.layers[0]).forward
    monkeypatch.setattr(model.model.layers[1], "forward", lambda *a, **k: 1.01 * plain(model.model.layers[1], *a, **k))
    with pytest.raises(ValueError, match="LlamaForCausalLM: its stream cannot be read, since no two modules"):
        find_places(model)


@pytest.mark.parametrize("part", ["mlp.down_proj", "self_attn.o_proj"])
def test_a_part_that_adds_nothing_proves_nothing(part):
    model = tiny_llama()
    nn.init.zeros_(model.model.layers[2].get_submodule(part).weight)
    with pytest.raises(ValueError, match="its stream cannot be read"):
        find_places(model)


def test_a_pass_that_was_not_made_is_no_look():
    model = tiny_llama()
    with (
        pytest.raises(RuntimeError, match="no pass through every layer: nothing was seen of stream 0, stream 1"),
        looking(model, lambda *given: None),
    ):
        pass


def test_hooks_do_not_outlive_the_block():
    model = tiny_llama()
    seen(model)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_rounding_is_allowed_for_and_no_more(dtype):
    generator = torch.Generator().manual_seed(0)
    before, attention, mlp = (torch.randn(1, 5, 8, generator=generator).to(dtype) for _ in range(3))
    after = before + attention + mlp
    assert adds_up(before, after, attention, mlp)
    assert not adds_up(before, after, attention, mlp * 1.2)
    wrong = after.clone()
    wrong[0, 3, 2] += 0.2
    assert not adds_up(before, wrong, attention, mlp)


def test_a_part_that_is_lost_in_the_rounding_of_a_large_stream_is_not_proven():
    before, small = torch.full((1, 2, 4), 1e6), torch.full((1, 2, 4), 1e-3)
    assert not adds_up(before, before + small + small, small, small)
