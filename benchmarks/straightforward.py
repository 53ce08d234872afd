"""The plain way to do both experiments: capture whole states to count, one forward pass per condition and seed."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


@torch.no_grad()
def count(model: nn.Module, ids: Tensor) -> dict[str, Tensor]:
    """Massive channels of one text, {name: [layer]}: capture the states of all layers, then take their norms."""
    return counts_of(capture(model, ids))


def counts_of(states: dict[str, list[Tensor]]) -> dict[str, Tensor]:
    """Massive channels {name: [layer]} of states [batch, pos, channel] of one text, layer by layer."""
    counts = {}
    for name, layers in states.items():
        norms = torch.stack([torch.norm(of_layer[0].float(), dim=0) for of_layer in layers])
        counts[name] = (norms > 5 * norms.mean(-1, keepdim=True)).sum(-1)
    return counts


@torch.no_grad()
def capture(model: nn.Module, ids: Tensor) -> dict[str, list[Tensor]]:
    """Outputs of the projections of all layers, {name: [states [batch, pos, channel] of layer 0, ..]}."""
    states = {"query": [], "key": [], "value": []}
    with hooks(model, lambda name, layer, output: states[name].append(output)):
        model(input_ids=ids, use_cache=False)
    return states


@torch.no_grad()
def disrupt(model: nn.Module, ids: Tensor, massive: dict[str, Tensor], random: dict[str, Tensor]) -> Tensor:
    """Losses of one text [seed, condition] with nothing, the massive and the random channels zeroed, for every seed.

    `massive[name]` is bool [layer, head, dim], `random[name]` bool [seed, layer, head, dim].
    """
    losses = []
    for seed in range(len(random["query"])):
        drawn = {name: masks[seed] for name, masks in random.items()}
        losses.append([loss(model, ids), loss_without(model, ids, massive), loss_without(model, ids, drawn)])
    return torch.tensor(losses)


def loss_without(model: nn.Module, ids: Tensor, masks: dict[str, Tensor]) -> float:
    """Loss with the channels of `masks` zeroed."""

    def zero(name: str, layer: int, output: Tensor) -> Tensor | None:
        if name not in masks:
            return None
        output = output.clone()
        output[..., masks[name][layer].flatten()] = 0
        return output

    with hooks(model, zero):
        return loss(model, ids)


def loss(model: nn.Module, ids: Tensor) -> float:
    """The model's own loss, nats per predicted token."""
    return model(input_ids=ids, labels=ids, use_cache=False).loss.item()


@contextmanager
def hooks(model: nn.Module, visit: Callable[[str, int, Tensor], Tensor | None]) -> Iterator[None]:
    """Call `visit` with (name, layer, output) of every projection; its result, if any, replaces the output."""
    handles = []
    for number, layer in enumerate(model.model.layers):
        attention = layer.self_attn
        for name, part in (("query", attention.q_proj), ("key", attention.k_proj), ("value", attention.v_proj)):
            handles.append(part.register_forward_hook(_hook(visit, name, number)))
    yield
    for handle in handles:
        handle.remove()


def _hook(visit: Callable, name: str, layer: int) -> Callable:
    return lambda module, inputs, output: visit(name, layer, output)
