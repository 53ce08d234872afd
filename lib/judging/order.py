"""Whether numbers follow an order: the rank correlation of the points of one series with their places."""

from dataclasses import dataclass
from functools import cache
from itertools import permutations
from math import inf

import numpy as np
from scipy import stats

from lib.judging.estimates import Estimate, finite

EXACT = 8
"""Up to so many points all orders are counted; beyond, Student's t is near enough."""


@dataclass(frozen=True)
class Order(Estimate):
    """Spearman's rho of the points of one series with their places, from -1 (they fall) to 1 (they rise).

    The points are the observations: what happens to a point happens to all texts that were measured there. The bounds
    are those of the test that there is no order: an upper one is below 0 exactly when that test rejects. All orders are
    equally probable then, which a series of checkpoints whose noise lasts from one to the next does not fulfil.
    """

    value: float
    n: int
    texts: int
    constant: bool
    sample: tuple[float, ...] = ()

    @property
    def fewest(self) -> int:
        return min(self.n, self.texts)

    def lower(self, alpha: float) -> float:
        return max(-1.0, self.value - critical(self.n, alpha))

    def upper(self, alpha: float) -> float:
        return min(1.0, self.value + critical(self.n, alpha))


def order(values: np.ndarray) -> Order:
    """The order of the points of values [text, point], by their means over texts.

    Equal means share their ranks, and where all are equal rho is 0. Where all texts take one course, they may be one
    measurement repeated. Raises ValueError for values that are not finite, no texts, or fewer than 3 points.
    """
    table = np.asarray(values, dtype=np.float64)
    if table.ndim != 2 or not table.shape[0] or table.shape[1] < 3:
        raise ValueError(f"an order needs texts at 3 points or more, got an array of shape {table.shape}")
    means = finite(table.mean(0))
    points = len(means)
    places = _places(points)
    # the places' spread in both factors: ties make rho smaller, and so the test careful
    rho = float(stats.rankdata(means) @ places / (places @ places))
    return Order(rho, points, len(table), constant=bool((table == table[0]).all()))


@cache
def critical(points: int, alpha: float) -> float:
    """A rho between the largest one that a series without an order reaches more often than `alpha`, and the next."""
    if points > EXACT:
        reach = float(stats.t.isf(alpha, points - 2))
        return reach / (points - 2 + reach**2) ** 0.5
    found = _all(points)
    # of equal numbers the last: the share of orders that reach it or more
    share = 1 - np.searchsorted(found, found - 1e-9) / len(found)
    reached, rarer = found[share > alpha].max(), found[share <= alpha]
    # in the middle, so that a bound is never exactly 0; beyond all orders if none is rare enough
    return float((reached + (rarer.min() if len(rarer) else inf)) / 2)


@cache
def _all(points: int) -> np.ndarray:
    """Rho of every order of so many points, rising."""
    places = _places(points)
    return np.sort(np.array([places[list(p)] @ places for p in permutations(range(points))]) / (places @ places))


def _places(points: int) -> np.ndarray:
    """Places from first to last, with mean 0."""
    return np.arange(points) - (points - 1) / 2
