"""The definition of a massive value: a channel whose norm is far above the mean. Works on arrays and on tensors."""

from typing import Any

from array_api_compat import array_namespace
from jaxtyping import Bool, Float

from lib.definitions.words import SCOPES, Scope


def massive_mask(
    norms: Float[Any, "*batch head dim"], *, threshold: float = 5.0, scope: Scope = "layer"
) -> Bool[Any, "*batch head dim"]:
    """Mark the channels whose norm exceeds `threshold` times the mean norm.

    `norms` is a numpy array or a torch tensor; the mask is of the same kind and shape. The mean is taken over the whole
    [head, dim] matrix (scope "layer") or over the dims of one head (scope "head").
    At most one channel in `threshold` can be marked, whatever the model (Markov's inequality).
    Raises ValueError for a threshold <= 1, an unknown scope, or norms that are negative or not finite.
    Source: Jin et al. 2025, definition of massive values; scope "layer" is Africa 2026's reading of it.
    """
    check_threshold(threshold)
    xp = array_namespace(norms)
    check_norms(norms)
    return xp.astype(norms, xp.float64) > threshold * mean_norm(norms, scope)


def mean_norm(norms: Float[Any, "*batch head dim"], scope: Scope) -> Float[Any, "*batch #head 1"]:
    """The mean norm of the layer or head, in float64: there the mean of equal float32 norms is exactly that norm."""
    if scope not in SCOPES:
        raise ValueError(f"scope must be one of {', '.join(SCOPES)}, not {scope!r}")
    xp = array_namespace(norms)
    return xp.mean(xp.astype(norms, xp.float64), axis=(-2, -1) if scope == "layer" else -1, keepdims=True)


def check_threshold(threshold: float) -> None:
    """Raise ValueError unless `threshold` is a finite number above 1 (below it "massive" would mean "ordinary")."""
    if not 1 < threshold < float("inf"):
        raise ValueError(f"the threshold must be a number above 1 (the study uses 5.0), not {threshold}")


def check_norms(norms: Float[Any, "*shape"]) -> None:
    """Raise ValueError for norms that are negative or not finite: the measurement went wrong."""
    xp = array_namespace(norms)
    if not xp.all(xp.isfinite(norms) & (norms >= 0)):
        raise ValueError("norms must be finite and not negative: the capture failed, not the claim")


def pooled_norms(norms: Float[Any, "text *rest"]) -> Float[Any, "*rest"]:
    """Norms over all positions of several texts of equal length: the root mean square of the texts' own norms."""
    xp = array_namespace(norms)
    wide = xp.astype(norms, xp.float64)
    return xp.astype(xp.sqrt(xp.mean(wide * wide, axis=0)), norms.dtype)
