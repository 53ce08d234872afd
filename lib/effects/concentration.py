"""How unevenly norms are spread over channels: the Gini coefficient and the Lorenz curve. Pure functions on arrays."""

import numpy as np
from jaxtyping import Float


def gini(norms: Float[np.ndarray, "*batch channel"]) -> Float[np.ndarray, "*batch"]:
    """Gini coefficient over the last dimension: 0 when all are equal, (n - 1) / n when one of n has everything.

    Half the mean absolute difference of two channels drawn at random (with replacement), divided by the mean.
    Raises ValueError for norms that are negative, not finite or all zero, which have no coefficient.
    """
    ordered, total = _ordered(norms)
    n = ordered.shape[-1]
    weights = 2 * np.arange(1, n + 1) - n - 1  # they sum to 0, so a constant added to all channels cancels
    return np.asarray((weights * (ordered - ordered[..., :1])).sum(-1) / (n * total))


def lorenz(norms: Float[np.ndarray, "*batch channel"]) -> Float[np.ndarray, "*batch point"]:
    """Share of the total that the smallest 0, 1, .. n of n channels hold: from 0 to 1, never above the diagonal.

    Raises ValueError as `gini` does. The Gini coefficient is twice the area between this curve and the diagonal.
    """
    ordered, total = _ordered(norms)
    start = np.zeros((*ordered.shape[:-1], 1))
    return np.concatenate([start, np.cumsum(ordered, -1) / total[..., None]], -1)


def _ordered(norms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The norms in ascending order and their total, in float64."""
    ordered = np.sort(np.asarray(norms, dtype=np.float64), axis=-1)
    if not np.isfinite(ordered).all() or (ordered < 0).any():
        raise ValueError("norms must be finite and not negative: the measurement failed, this is no coefficient")
    total = ordered.sum(-1)
    if not ordered.shape[-1] or not total.all():
        raise ValueError("norms that are all zero are spread in no way: there is no coefficient")
    return ordered, total
