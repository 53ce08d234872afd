"""What a massive value is: channel norms and the mask of channels far above the mean. Pure functions on tensors."""

from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor

Scope = Literal["layer", "head"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
POSITIONS_AT_ONCE = 128


def channel_norms(states: Float[Tensor, "*batch pos head dim"]) -> Float[Tensor, "*batch head dim"]:
    """L2 norm of every channel over positions, divided by sqrt(positions), in float32.

    The division makes texts of different length comparable; it changes no mask. Half-precision states are widened
    before they are squared, so that a large channel cannot overflow.
    Raises ValueError when a norm is not finite: the forward pass broke, and no count may be made from it.
    Source: Jin et al. 2025, "Massive Values in Self-Attention Modules", equation 3, up to the constant factor.
    """
    if states.shape[-3] == 0:
        raise ValueError("the states have no positions: the text is empty after tokenizing")
    # some positions at a time, because widening copies; torch's vector_norm is eight times slower over this dimension
    squares = sum(part.float().square().sum(-3) for part in states.split(POSITIONS_AT_ONCE, dim=-3))
    norms = (squares / states.shape[-3]).sqrt()
    if not torch.isfinite(norms).all():
        raise ValueError("a channel norm is not finite: the forward pass overflowed; try dtype=bfloat16 or float32")
    return norms


def massive_mask(
    norms: Float[Tensor, "*batch head dim"], *, threshold: float = 5.0, scope: Scope = "layer"
) -> Bool[Tensor, "*batch head dim"]:
    """Mark the channels whose norm exceeds `threshold` times the mean norm.

    The mean is taken over the whole [head, dim] matrix (scope "layer") or over the dims of one head (scope "head").
    At most one channel in `threshold` can be marked, whatever the model (Markov's inequality).
    Raises ValueError for a threshold <= 1, an unknown scope, or norms that are not finite or negative.
    Source: Jin et al. 2025, definition of massive values; scope "layer" is Africa 2026's reading of it.
    """
    check_threshold(threshold)
    if scope not in SCOPES:
        raise ValueError(f"scope must be one of {', '.join(SCOPES)}, not {scope!r}")
    if not (torch.isfinite(norms) & (norms >= 0)).all():
        raise ValueError("norms must be finite and not negative: the capture failed, not the claim")
    dims = (-2, -1) if scope == "layer" else (-1,)
    # float64, so that the mean of many equal float32 norms is that norm and not a rounding of it
    wide = norms.double()
    return wide > threshold * wide.mean(dims, keepdim=True)


def check_threshold(threshold: float) -> None:
    """Raise ValueError unless `threshold` is a finite number above 1 (below it "massive" would mean "ordinary")."""
    if not 1 < threshold < float("inf"):
        raise ValueError(f"the threshold must be a number above 1 (the study uses 5.0), not {threshold}")


def pooled_norms(norms: Float[Tensor, "text *rest"]) -> Float[Tensor, "*rest"]:
    """Norms over all positions of several texts of equal length, from each text's own norms (root mean square)."""
    return norms.double().square().mean(0).sqrt().to(norms.dtype)
