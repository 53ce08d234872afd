"""Rotary pairs by how fast they turn, from the frequencies that a record holds (see `lib.probing.rotation`)."""

import numpy as np
from jaxtyping import Bool, Float, Int


def ranks(frequency: Float[np.ndarray, "layer dim"]) -> Int[np.ndarray, "layer dim"]:
    """Rank of each dim's pair among the pairs of its layer: 0 turns fastest; -1 is a dim that does not turn.

    Pairs turn at different speeds, so dims that turn at the same speed are a pair, wherever they lie.
    """
    found = np.full(frequency.shape, -1)
    for row, rank in zip(frequency, found, strict=True):
        speeds = np.unique(row[row > 0])
        rank[row > 0] = len(speeds) - 1 - np.searchsorted(speeds, row[row > 0])
    return found


def slow_half(frequency: Float[np.ndarray, "layer dim"]) -> Bool[np.ndarray, "layer dim"]:
    """Does this dim belong to the slower half of its layer's pairs? One that does not turn belongs to no half.

    Of an odd number of pairs the one in the middle is fast.
    """
    rank = ranks(frequency)
    return 2 * rank > rank.max(-1, keepdims=True).clip(0)


def pair_norms(
    norms: Float[np.ndarray, "*batch layer head dim"], frequency: Float[np.ndarray, "layer dim"]
) -> Float[np.ndarray, "*batch layer head pair"]:
    """Norms of rotary pairs, fastest first, from those of their two dims; dims that do not turn are left out.

    A rotation turns the two values of a pair at each position and keeps the sum of their squares, so it keeps these.
    """
    rank = ranks(frequency)
    found = np.zeros((*norms.shape[:-1], rank.max() + 1), norms.dtype)
    for layer, row in enumerate(rank):
        for pair in range(row.max() + 1):
            both = norms[..., layer, :, :][..., row == pair]
            found[..., layer, :, pair] = np.sqrt(np.square(both, dtype=np.float64).sum(-1))
    return found


def letters(frequency: Float[np.ndarray, "layer dim"]) -> str:
    """One letter per layer: R rotates, N does not, ? depends on positions in a way that is not known."""
    return "".join("?" if np.isnan(row).any() else "R" if row.any() else "N" for row in frequency)


def order(frequency: Float[np.ndarray, "layer dim"]) -> Int[np.ndarray, " dim"]:
    """Dims in the order of their pairs in the first layer that rotates, fastest first, those that do not turn last."""
    turning = [rank for rank in ranks(frequency) if rank.max() >= 0]
    if not turning:
        return np.arange(frequency.shape[-1])
    return np.argsort(np.where(turning[0] < 0, frequency.shape[-1], turning[0]), kind="stable")
