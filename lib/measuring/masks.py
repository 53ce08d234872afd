"""Which channels to zero: the massive ones, and as many random ones as a control."""

import hashlib

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lib.definitions.massive import Scope, massive_mask, pooled_norms

CONDITIONS_BESIDE_CONTROLS = ("baseline", "massive")


def chosen_mask(
    norms: Float[Tensor, "text layer head dim"], *, threshold: float = 5.0, scope: Scope = "layer"
) -> Bool[Tensor, "layer head dim"]:
    """The massive channels of several texts taken together: massive by their norm over all positions of all texts."""
    return massive_mask(pooled_norms(norms), threshold=threshold, scope=scope)


def random_control(massive: Bool[Tensor, "layer head dim"], seed: str) -> Bool[Tensor, "layer head dim"]:
    """As many random channels per layer as are massive there, none of them massive.

    `seed` is any text; it names the draw (tensor and control number), so that no two draws share a stream and adding
    a control changes no other. Raises ValueError where fewer channels are left than are massive.
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


def conditions(controls: int) -> list[str]:
    """Names of the conditions, in the order of their rows: baseline, massive, control 0, control 1, .."""
    return [*CONDITIONS_BESIDE_CONTROLS, *(f"control {i}" for i in range(controls))]


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
