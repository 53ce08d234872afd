"""Attention weights, against those that transformers' eager attention gives."""

import pytest
import torch

from fixtures.models.architectures import ARCHITECTURES, build
from fixtures.models.tiny import tiny_llama
from lib.probing import weights
from lib.probing.weights import weighing

pytestmark = pytest.mark.cpu
IDS = torch.arange(1, 31).reshape(2, 15)
ON_INTERFACE = [name for name, known in ARCHITECTURES.items() if known.interface]


def weighed(model, ids=IDS, block=4):
    """The weights of every layer in one pass [batch, head, pos, key], and the logits."""
    found = {}
    with (
        torch.inference_mode(),
        weighing(model, lambda layer, start, part: found.setdefault(layer, []).append((start, part)), block),
    ):
        logits = model(input_ids=ids, use_cache=False).logits
    assert all([start for start, _ in parts] == list(range(0, ids.shape[1], block)) for parts in found.values())
    return [torch.cat([part for _, part in parts], 2) for _, parts in sorted(found.items())], logits


@pytest.mark.parametrize("name", ON_INTERFACE)
def test_weights_are_those_of_eager_attention(name):
    model = build(name)
    found, _ = weighed(model)
    model.set_attn_implementation("eager")
    with torch.inference_mode():
        expected = model(input_ids=IDS, use_cache=False, output_attentions=True).attentions
    for layer, (mine, theirs) in enumerate(zip(found, expected, strict=True)):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-5, msg=lambda text, at=layer: f"layer {at}: {text}")
    again, _ = weighed(model)
    torch.testing.assert_close(again, found, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ON_INTERFACE)
def test_weighing_changes_no_bit(name):
    model = build(name)
    with torch.inference_mode():
        plain = model(input_ids=IDS, use_cache=False).logits
    assert torch.equal(weighed(model)[1], plain)


@pytest.mark.parametrize("block", [1, 7, 15, 100])
def test_weights_do_not_depend_on_the_block(block):
    model = tiny_llama(kv_heads=2)
    blocks = []
    with torch.inference_mode(), weighing(model, lambda layer, start, part: blocks.append(part), block):
        model(input_ids=IDS, use_cache=False)
    assert max(part.shape[2] for part in blocks) == min(block, 15)
    whole, _ = weighed(model)
    torch.testing.assert_close(torch.cat(blocks[: len(blocks) // 3], 2), whole[0], rtol=0, atol=1e-6)


def test_a_model_off_the_attention_interface_is_refused():
    with pytest.raises(ValueError, match="does not use transformers' attention interface"):
        weighed(build("falcon"))


def test_weights_that_do_not_give_what_attention_gives_are_refused(monkeypatch):
    model = tiny_llama()
    true = weights.weights_of
    monkeypatch.setattr(weights, "weights_of", lambda *given: true(*given) * 1.001)
    with pytest.raises(ValueError, match="its attention weights cannot be told: times the values"):
        weighed(model)


def test_a_window_that_no_mask_tells_is_kept_to():
    model = tiny_llama()
    found = weights._allowed(model.model.layers[0].self_attn, {"sliding_window": 2}, 3, 5)
    assert found.int().tolist() == [[0, 1, 1, 0, 0], [0, 0, 1, 1, 0], [0, 0, 0, 1, 1]]
    every = weights._allowed(model.model.layers[0].self_attn, {"is_causal": False}, 2, 2)
    assert every.all()
