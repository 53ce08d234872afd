"""Interventions on states: selections choose channels by their norms, replacements put other values there.

A selection is a bool mask of the shape of the norms it comes from; a replacement is a visit for `lib.probing.visiting`.
"""

import hashlib
from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lib.definitions import Name, Scope, check_norms, massive_mask, pooled_norms, slow_half
from lib.probing import Visit

Masks = dict[Name, Tensor]
"""The chosen channels of each tensor: bool [batch, layer, head, dim], one mask for each row of the batch."""


def top_of_heads(norms: Float[Tensor, "*batch head dim"], k: int = 1) -> Bool[Tensor, "*batch head dim"]:
    """The `k` channels of every head with the largest norms; the first among equals.

    Raises ValueError for norms that are not finite, or when a head has fewer than `k` channels.
    Source: Jin et al. 2025, which disrupts the top channel of every head.
    """
    return _first_of_heads(norms, k, descending=True)


def smallest_of_heads(norms: Float[Tensor, "*batch head dim"], k: int = 1) -> Bool[Tensor, "*batch head dim"]:
    """The `k` channels of every head with the smallest norms; the first among equals. Raises like `top_of_heads`."""
    return _first_of_heads(norms, k, descending=False)


def _first_of_heads(norms: Tensor, k: int, *, descending: bool) -> Tensor:
    check_norms(norms)
    if not 1 <= k <= norms.shape[-1]:
        raise ValueError(f"{k} channels of every head cannot be chosen: a head has {norms.shape[-1]}")
    order = norms.sort(dim=-1, descending=descending, stable=True).indices
    return torch.zeros_like(norms, dtype=torch.bool).scatter(-1, order[..., :k], True)


def halves(frequency: Float[Tensor, "layer dim"]) -> dict[str, Bool[Tensor, "layer dim"]]:
    """The dims of the `slow` and of the `fast` half of the rotary pairs of every layer.

    `frequency` is in radians per position, 0 for dims that do not rotate: these are in neither half. Both dims of a
    pair have the same frequency, so they are in the same half. With an odd number of pairs, the middle one is fast.
    """
    slow = torch.from_numpy(slow_half(frequency.numpy()))
    return {"slow": slow, "fast": (frequency > 0) & ~slow}


def largest_among(
    norms: Float[Tensor, "layer head dim"], among: Bool[Tensor, "layer head dim"], number: Int[Tensor, " layer"]
) -> Bool[Tensor, "layer head dim"]:
    """The `number` channels of every layer with the largest norms among those that are marked; the first of equals.

    Raises ValueError for norms that are not finite, or a layer that has fewer marked channels.
    """
    check_norms(norms)
    inside = among.flatten(1)
    if (number > inside.sum(-1)).any():
        raise ValueError(f"{int(number.max())} of the marked channels cannot be chosen: a layer has fewer")
    order = norms.flatten(1).masked_fill(~inside, -1).sort(dim=-1, descending=True, stable=True).indices
    wanted = torch.arange(order.shape[1], device=order.device) < number[:, None]
    return torch.zeros_like(inside).scatter(1, order, wanted).view_as(norms)


def next_largest(
    norms: Float[Tensor, "layer head dim"], massive: Bool[Tensor, "layer head dim"]
) -> Bool[Tensor, "layer head dim"]:
    """The largest channels that are not massive, in every layer as many as are massive there.

    Raises ValueError if a layer has more massive channels than others.
    """
    return largest_among(norms, ~massive, massive.sum((1, 2)))


def equal_energy(
    norms: Float[Tensor, "layer head dim"], massive: Bool[Tensor, "layer head dim"], seed: str
) -> Bool[Tensor, "layer head dim"]:
    """Random channels that are not massive and hold as much energy: the sum of their squared norms, layer by layer.

    Channels are drawn one after the other until their energy is at least that of the layer's massive channels. Where
    all others together hold less, all of them are chosen. `seed` names the draw, as in `random_control`.
    """
    chosen = torch.zeros_like(massive, memory_format=torch.contiguous_format)
    energy = norms.double().square()
    for layer, mask in enumerate(massive):
        others = (~mask).flatten().nonzero().squeeze(1)
        drawn = others[torch.randperm(len(others), generator=_generator(f"{seed}/{layer}"))]
        # the channels before the last one fall short of it
        short = energy[layer].flatten()[drawn].cumsum(0) < energy[layer][mask].sum()
        number = int(short.sum()) + 1 if mask.any() else 0
        chosen[layer].view(-1)[drawn[:number]] = True
    return chosen


def both_bands(
    norms: Float[Tensor, "layer head dim"],
    massive: Bool[Tensor, "layer head dim"],
    frequency: Float[Tensor, "layer dim"],
) -> dict[str, Bool[Tensor, "layer head dim"]]:
    """The largest channels of the `slow` and of the `fast` half of the rotary pairs, the same number of each.

    That number is the number of massive channels of the layer, or the size of a half if that is smaller.
    """
    bands = halves(frequency)
    room = [band.sum(-1) * norms.shape[1] for band in bands.values()]
    number = torch.stack([massive.sum((1, 2)), *room]).amin(0)
    return {name: largest_among(norms, band[:, None].expand_as(norms), number) for name, band in bands.items()}


def chosen_mask(
    norms: Float[Tensor, "text layer head dim"], *, threshold: float = 5.0, scope: Scope = "layer"
) -> Bool[Tensor, "layer head dim"]:
    """The massive channels of several texts together, by their norms over all positions of all texts."""
    return massive_mask(pooled_norms(norms), threshold=threshold, scope=scope)


def random_control(massive: Bool[Tensor, "layer head dim"], seed: str) -> Bool[Tensor, "layer head dim"]:
    """Random channels that are not massive, in every layer as many as are massive there.

    `seed` is any text; it names the draw (tensor and control number), so that no two draws share a stream and adding
    a control changes no other. Raises ValueError if a layer has more massive channels than others.
    """
    control = torch.zeros_like(massive, memory_format=torch.contiguous_format)
    for layer, mask in enumerate(massive):
        others = (~mask).flatten().nonzero().squeeze(1)
        count = int(mask.sum())
        if count > len(others):
            raise ValueError(
                f"layer {layer} has {count} massive channels and only {len(others)} others: no control of the same "
                "size can be drawn; use a higher threshold"
            )
        order = torch.randperm(len(others), generator=_generator(f"{seed}/{layer}"))
        control[layer].view(-1)[others[order[:count]].to(massive.device)] = True
    return control


def condition_masks(
    massive: Bool[Tensor, "layer head dim"], *, name: str, controls: int, seed: int
) -> Bool[Tensor, "condition layer head dim"]:
    """One mask for each of `conditions(controls)`: empty, the massive channels, and the random controls."""
    drawn = [random_control(massive, f"{seed}/{name}/{i}") for i in range(controls)]
    return torch.stack([torch.zeros_like(massive), massive, *drawn])


def _generator(seed: str) -> torch.Generator:
    """A generator for a named draw: hashing the name keeps the streams of similar names apart."""
    number = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8], "big", signed=True)
    return torch.Generator().manual_seed(number)


def zeroing(masks: Masks) -> Visit:
    """A visit that zeroes channels: `masks[name]` is bool [batch, layer, head, dim], one mask for each row.

    An all-False mask leaves the states bit-identical.
    """
    return _replacing(masks, lambda name, layer, states: torch.zeros((), dtype=states.dtype, device=states.device))


def averaging(masks: Masks) -> Visit:
    """A visit that replaces all values of a channel by their mean over the positions of the pass.

    Every row has its own mean, computed in float32. An all-False mask leaves the states bit-identical.
    Source: Jin et al. 2025.
    """
    mean = lambda name, layer, states: states.mean(1, keepdim=True, dtype=torch.float32).to(states.dtype)  # noqa: E731
    return _replacing(masks, mean)


def filling(values: Masks) -> Callable[[Masks], Visit]:
    """Makes visits that put a known value into a channel, the same at all positions: `values[name]` [layer, head, dim].

    An all-False mask leaves the states bit-identical.
    """
    return lambda masks: _replacing(masks, lambda name, layer, states: values[name][layer].to(states))


def _replacing(masks: Masks, value: Callable[[Name, int, Tensor], Tensor]) -> Visit:
    def visit(name: Name, layer: int, states: Tensor) -> Tensor | None:
        if name not in masks:
            return None
        mask = masks[name][:, layer].to(states.device)
        if mask.shape != (states.shape[0], *states.shape[2:]):
            raise ValueError(f"the {name} mask is {tuple(mask.shape)}, the states are {tuple(states.shape)}")
        return torch.where(mask[:, None], value(name, layer, states), states)

    return visit


REPLACEMENTS: dict[str, Callable[[Masks], Visit]] = {"zero": zeroing, "mean": averaging}
