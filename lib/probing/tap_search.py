"""Which of an attention module's parts give the states that attention then receives, by comparing them."""

import torch
from torch import Tensor, nn

from lib.probing import taps
from lib.probing.taps import NAMES, Geometry, Name, Tap

SEPARATE = ("q_proj", "k_proj", "v_proj")
NORMS = (("q_norm", "k_norm"), ("q_layernorm", "k_layernorm"))
"""What architectures call the norms of query and key."""
AGREE = 0.999
"""Least cosine between a head's states read in two places that are the same states. Rounding to bfloat16 costs 1e-5."""
Outputs = dict[nn.Module, tuple[Tensor, Tensor]]
"""What every part of the attention module got and gave in one pass."""


def norm_taps(attention: nn.Module, outputs: Outputs, received: dict[str, Tensor], sizes: Geometry) -> dict[Name, Tap]:
    """The norms of query and key whose outputs are what attention receives at the first position."""
    found: dict[Name, Tap] = {}
    for names in NORMS:
        for name, attribute in zip(NAMES, names, strict=False):
            module = getattr(attention, attribute, None)
            if module not in outputs or name in found:
                continue
            forms = (taps.headwise(module, heads_first=True), taps.headwise(module, heads_first=False))
            for tap in (*forms, taps.whole(module, sizes.shape(name))):
                states = _read(tap, outputs[module][1], received[name].shape)
                if states is not None and _agree(states[:, :1], received[name][:, :1]):
                    found[name] = tap
                    break
    return found


def projection_taps(
    attention: nn.Module, outputs: Outputs, normed: dict[Name, Tap], received: dict[str, Tensor], sizes: Geometry
) -> dict[Name, Tap] | None:
    """The projections whose outputs are what the norms, or where there are none attention, receives; None if none."""

    def proven(found: dict[Name, Tap]) -> bool:
        for name, tap in found.items():
            states = _read(tap, outputs[tap.module][1], received[name].shape)
            if states is None:
                return False
            wanted, first = received[name], slice(None if name == "value" else 1)
            if name in normed:
                wanted, first = normed[name].read(outputs[normed[name].module][0]), slice(None)
            if not _agree(states[:, first], wanted[:, first]):
                return False
        return True

    separate = [getattr(attention, attribute, None) for attribute in SEPARATE]
    if all(module in outputs for module in separate):
        candidates = [{n: taps.whole(m, sizes.shape(n)) for n, m in zip(NAMES, separate, strict=True)}]
    else:
        width = sum(heads * dim for heads, dim in map(sizes.shape, NAMES))
        inside = set(attention.modules())
        fused = [module for module, (_, out) in outputs.items() if module in inside and out.shape[-1] == width]
        candidates = [
            {name: taps.part(module, index) for name, index in layout.items()}
            for module in fused
            for layout in taps.layouts(sizes)
        ]
    return next((found for found in candidates if proven(found)), None)


def _read(tap: Tap, output: Tensor, shape: torch.Size) -> Tensor | None:
    """The states in the output, unless they do not have this shape [batch, pos, head, dim] there."""
    try:
        states = tap.read(output)
    except (RuntimeError, IndexError):
        return None
    return states if states.shape == shape else None


def _agree(a: Tensor, b: Tensor) -> bool:
    """Are these the same states, head by head, but for a factor? Two zeros agree."""
    a, b = a.float(), b.float()
    lengths = a.norm(dim=-1) * b.norm(dim=-1)
    both_zero = (a.norm(dim=-1) == 0) & (b.norm(dim=-1) == 0)
    return bool((((a * b).sum(-1) > AGREE * lengths) | both_zero).all())
