"""Rotary pairs ordered by their speed, from the frequencies in a record (see `lib.probing.rotation`)."""

import numpy as np
from jaxtyping import Bool, Float, Int


def ranks(frequency: Float[np.ndarray, "layer dim"]) -> Int[np.ndarray, "layer dim"]:
    """Rank of each dim's pair among the pairs of its layer: 0 turns fastest; -1 marks a dim that does not turn.

    Pairs turn at different speeds, so dims that turn at the same speed are a pair, wherever they lie.
    """
    ranks_of_layers = np.full(frequency.shape, -1)
    for row, rank in zip(frequency, ranks_of_layers, strict=True):
        speeds = np.unique(row[row > 0])
        rank[row > 0] = len(speeds) - 1 - np.searchsorted(speeds, row[row > 0])
    return ranks_of_layers


def slow_half(frequency: Float[np.ndarray, "layer dim"]) -> Bool[np.ndarray, "layer dim"]:
    """Does this dim belong to the slower half of its layer's pairs? A dim that does not turn belongs to neither half.

    With an odd number of pairs, the middle one is fast.
    """
    rank = ranks(frequency)
    return 2 * rank > rank.max(-1, keepdims=True).clip(0)


def pair_norms(
    norms: Float[np.ndarray, "*batch layer head dim"], frequency: Float[np.ndarray, "layer dim"]
) -> Float[np.ndarray, "*batch layer head pair"]:
    """Norms of rotary pairs, fastest first, from the norms of their two dims; dims that do not turn are left out.

    A rotation turns the two values of a pair at each position and keeps the sum of their squares, and so this norm.
    """
    rank = ranks(frequency)
    of_pairs = np.zeros((*norms.shape[:-1], rank.max() + 1), norms.dtype)
    for layer, row in enumerate(rank):
        for pair in range(row.max() + 1):
            both = norms[..., layer, :, :][..., row == pair]
            of_pairs[..., layer, :, pair] = np.sqrt(np.square(both, dtype=np.float64).sum(-1))
    return of_pairs


def letters(frequency: Float[np.ndarray, "layer dim"]) -> str:
    """One letter per layer: R rotates, N does not, ? depends on positions in an unknown way."""
    return "".join("?" if np.isnan(row).any() else "R" if row.any() else "N" for row in frequency)


def order(frequency: Float[np.ndarray, "layer dim"]) -> Int[np.ndarray, " dim"]:
    """Dims ordered by their pairs in the first layer that rotates: fastest first, dims that do not turn last."""
    turning = [rank for rank in ranks(frequency) if rank.max() >= 0]
    if not turning:
        return np.arange(frequency.shape[-1])
    return np.argsort(np.where(turning[0] < 0, frequency.shape[-1], turning[0]), kind="stable")
