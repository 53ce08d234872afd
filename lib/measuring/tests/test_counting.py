"""Massive values counted in a model: norms from its states, and the definition applied to them."""

import numpy as np
import pytest
import torch

from fixtures.models.tiny import DIM, plant, tiny_llama
from lib.definitions.massive import massive_mask, pooled_norms
from lib.definitions.words import NAMES
from lib.measuring.norms import channel_norms, norms_and_loss
from lib.probing.probe import geometry

pytestmark = pytest.mark.cpu


@pytest.mark.parametrize("name", NAMES)
def test_the_mask_finds_exactly_the_planted_channel(tiny, ids, name):
    plant(tiny, name, layer=1, head=0, dim=5)
    norms = norms_and_loss(tiny, ids, geometry(tiny)).norms
    assert massive_mask(norms[name]).nonzero().tolist() == [[text, 1, 0, 5] for text in range(2)]


def test_pooled_norms_are_the_norms_of_the_concatenated_texts():
    states = (
        torch.randn(5, 7, 2, 4, generator=torch.Generator().manual_seed(0)) * torch.arange(1, 6)[:, None, None, None]
    )
    pooled = pooled_norms(channel_norms(states))
    assert pooled.dtype == torch.float32
    torch.testing.assert_close(pooled, channel_norms(states.flatten(0, 1)), rtol=1e-6, atol=0)


PLANTED = [
    (0, "query", 1, 9),
    (0, "query", 2, 7),
    (1, "query", 3, 4),
    (2, "key", 0, 9),
    (1, "key", 5, 6),
    (0, "value", 4, 8),
]


@pytest.mark.parametrize("kv_heads", [4, 2, 1], ids=["MHA", "GQA", "MQA"])
def test_a_second_implementation_counts_the_same(kv_heads, ids):
    model = tiny_llama(kv_heads=kv_heads)
    for layer, name, dim, factor in PLANTED:
        plant(model, name, layer, head=0, dim=dim, factor=factor)
    norms = norms_and_loss(model, ids, geometry(model)).norms
    ours = {name: massive_mask(norms[name]).sum((-2, -1)).tolist() for name in NAMES}
    assert ours == {name: second_count(model, ids, name) for name in NAMES}
    assert all(0 < np.sum(ours[name]) < np.size(ours[name]) * 2 for name in NAMES)


def second_count(model, ids, name, threshold=5.0):
    """Massive values [text][layer], from the words of the definition and nothing else."""
    return [
        [count_massive(states, threshold) for states in text] for text in zip(*captured(model, ids, name), strict=True)
    ]


def captured(model, ids, name):
    """Outputs of one projection, [layer][text], each [pos, width] in float64."""
    outputs = []
    keep = lambda module, given, output: outputs.append(output.numpy().astype(np.float64))  # noqa: E731
    hooks = [
        layer.self_attn.get_submodule(f"{name[0]}_proj").register_forward_hook(keep) for layer in model.model.layers
    ]
    with torch.no_grad():
        model(ids)
    for hook in hooks:
        hook.remove()
    return outputs


def count_massive(states, threshold):
    heads = np.split(states, states.shape[1] // DIM, axis=1)
    norms = [sum(x * x for x in head[:, dim]) ** 0.5 for head in heads for dim in range(DIM)]
    return sum(norm > threshold * sum(norms) / len(norms) for norm in norms)
