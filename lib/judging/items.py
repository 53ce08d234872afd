"""Means over tasks of numbers that items take: few values each, such as lost, kept or gained.

A bound is the wider one of two. Student's t is too near where nearly all items give one number. There stands the bound
that is made of Wilson's bounds for the share of items with each number: of a number that no item gave as well, for an
item might. Each is too near where the other is not. How often they are wrong on which data stands in docs/verdicts.md.
Sources: Zou and Donner 2008, Statistics in Medicine 27(10), for bounds of a sum from those of its parts (MOVER); Wilson
1927, Journal of the American Statistical Association 22(158).
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import special

from lib.judging.estimates import ONE, Estimate, fieller, finite, student

DIGITS = 9
"""Decimals to which two numbers of items are the same."""
Possible = Sequence[float] | Mapping[Hashable, Sequence[Sequence[float]]]


@dataclass(frozen=True, eq=False)
class Outcomes:
    """How many items of each task had each outcome: `counts` [task, outcome].

    `worth` [task, outcome, number] are the numbers that an outcome stands for, and `weights` [task] those of the tasks'
    means. A `direction` [number] makes one number of them: their sum with these factors.
    """

    counts: np.ndarray
    worth: np.ndarray
    weights: np.ndarray

    @property
    def sizes(self) -> np.ndarray:
        """The number of items of each task [task]."""
        return self.counts.sum(1)

    @property
    def alike(self) -> bool:
        """Do all items of a task give the same, in every task?"""
        return bool((self.counts.max(1) == self.sizes).all())

    def value(self, direction: np.ndarray) -> float:
        """The weighted sum of the tasks' means."""
        shares = self.counts / self.sizes[:, None]
        return float(self.weights @ (shares * (self.worth @ direction)).sum(1))

    def reach(self, direction: np.ndarray, alpha: float, side: int) -> float:
        """The distance of a bound above (`side` 1) or below (-1) the value."""
        worth = self.worth @ direction
        return max(self._student(worth, alpha), self._of_shares(worth, alpha, side))

    def _student(self, worth: np.ndarray, alpha: float) -> float:
        inner = self.sizes - 1
        means = (self.counts * worth).sum(1) / self.sizes
        squares = (self.counts * (worth - means[:, None]) ** 2).sum(1)
        parts = self.weights**2 * squares / np.maximum(inner, 1) / self.sizes
        if not parts.sum() > 0:
            return 0.0
        freedom = parts.sum() ** 2 / (parts**2 / np.maximum(inner, 1)).sum()
        return student(alpha, float(freedom)) * float(parts.sum() ** 0.5)

    def _of_shares(self, worth: np.ndarray, alpha: float, side: int) -> float:
        deviate = -float(special.ndtri(alpha))
        squares = 0.0
        for counts, of_task, weight in zip(self.counts, worth, self.weights, strict=True):
            values, place = np.unique(np.round(of_task, DIGITS), return_inverse=True)
            shares = np.bincount(place.ravel(), counts) / counts.sum()
            # what most items give is what the others differ from
            factors = side * weight * (values - values[shares.argmax()])
            up, down = wilson(shares, int(counts.sum()), deviate)
            reaches = factors * np.where(factors > 0, up - shares, shares - down)
            odds = np.sqrt(shares / np.maximum(1 - shares, np.finfo(float).tiny))
            correlated = np.where(np.eye(len(values), dtype=bool), 1.0, -np.minimum(np.outer(odds, odds), 1.0))
            squares += max(float(reaches @ correlated @ reaches), 0.0)
        return squares**0.5

    def cut(self, most: int) -> "Outcomes":
        """The same of at most so many items of each task, all of which gave the same."""
        return replace(self, counts=np.minimum(self.counts, most))


def wilson(shares: np.ndarray, n: int, deviate: float) -> tuple[np.ndarray, np.ndarray]:
    """Wilson's upper and lower bounds of shares of n items, so many standard deviations away."""
    square = deviate**2 / n
    center = (shares + square / 2) / (1 + square)
    half = np.sqrt(square * (shares * (1 - shares) + square / 4)) / (1 + square)
    return center + half, center - half


@dataclass(frozen=True, eq=False)
class _OfItems(Estimate):
    outcomes: Outcomes
    sample: tuple[float, ...]

    @property
    def n(self) -> int:
        return len(self.sample)

    @property
    def fewest(self) -> int:
        return int(self.outcomes.sizes.min())

    @property
    def constant(self) -> bool:
        return self.outcomes.alike

    def exact(self, distinct: int, limits: Sequence[float]) -> "_OfItems":
        return replace(self, outcomes=self.outcomes.cut(distinct))


@dataclass(frozen=True, eq=False)
class ItemMean(_OfItems):
    """Weighted sum of the means of tasks. `sample` has a number for each item, whose mean it is."""

    @property
    def value(self) -> float:
        return self.outcomes.value(ONE)

    def lower(self, alpha: float) -> float:
        return self.value - self.outcomes.reach(ONE, alpha, -1)

    def upper(self, alpha: float) -> float:
        return self.value + self.outcomes.reach(ONE, alpha, 1)


@dataclass(frozen=True, eq=False)
class ItemRatio(_OfItems):
    """One mean over tasks in percent of another one, of the same items. Bounds by Fieller's method, see `Ratio`."""

    @property
    def value(self) -> float:
        return 100 * self.outcomes.value(np.array([1.0, 0.0])) / self.outcomes.value(np.array([0.0, 1.0]))

    def lower(self, alpha: float) -> float:
        return fieller(self.value, self._clearance(alpha, -1), -1)

    def upper(self, alpha: float) -> float:
        return fieller(self.value, self._clearance(alpha, 1), 1)

    def _clearance(self, alpha: float, side: int):
        def clearance(ratio: float) -> float:
            direction = np.array([1.0, -ratio / 100])
            return self.outcomes.value(direction) + side * self.outcomes.reach(direction, alpha, side)

        return clearance


def item_mean(numbers: Sequence[float], tasks: Sequence[Hashable], possible: Sequence[float] = ()) -> ItemMean:
    """Mean over tasks of the means of their items, from one number and the task of each item.

    `possible` are numbers that an item might give, though perhaps none does. Raises ValueError for numbers that are not
    finite, or are not as many as the tasks.
    """
    outcomes = _outcomes(finite(numbers)[:, None], tasks, {task: [[number] for number in possible] for task in tasks})
    return ItemMean(outcomes, _contributions(finite(numbers), tasks, outcomes))


def item_difference(first: ItemMean, second: ItemMean) -> ItemMean:
    """One mean over tasks minus that over other tasks, which share no item."""
    parts, signs = (first.outcomes, second.outcomes), (1.0, -1.0)
    width = max(part.counts.shape[1] for part in parts)
    outcomes = Outcomes(
        np.concatenate([np.pad(part.counts, [(0, 0), (0, width - part.counts.shape[1])]) for part in parts]),
        np.concatenate([np.pad(p.worth, [(0, 0), (0, width - p.worth.shape[1]), (0, 0)], mode="edge") for p in parts]),
        np.concatenate([sign * part.weights for sign, part in zip(signs, parts, strict=True)]),
    )
    n = first.n + second.n
    sample = [sign * n / part.n * x for sign, part in zip(signs, (first, second), strict=True) for x in part.sample]
    return ItemMean(outcomes, tuple(sample))


def item_ratio(
    above: Sequence[float],
    below: Sequence[float],
    tasks: Sequence[Hashable],
    possible: Mapping[Hashable, Sequence[tuple[float, float]]],
) -> ItemRatio:
    """Mean over tasks of `above` in percent of that of `below`, from two numbers and the task of each item.

    `possible` are the pairs of numbers that an item of each task might give, though perhaps none does.
    Raises ValueError for numbers that are not finite, or a mean of `below` that is not positive.
    """
    pairs = np.stack([finite(above), finite(below)], 1)
    outcomes = _outcomes(pairs, tasks, possible)
    mean = outcomes.value(np.array([0.0, 1.0]))
    if mean <= 0:
        raise ValueError("a ratio needs a positive mean of the numbers below")
    return ItemRatio(outcomes, _contributions(100 * pairs[:, 0] / mean, tasks, outcomes))


def _outcomes(numbers: np.ndarray, tasks: Sequence[Hashable], possible: Mapping) -> Outcomes:
    """Numbers [item, number] counted by task; every task has the same weight."""
    if len(numbers) != len(tasks):
        raise ValueError(f"{len(numbers)} numbers of items need as many tasks, got {len(tasks)}")
    found = []
    for task in dict.fromkeys(tasks):
        own = np.round(numbers[[other == task for other in tasks]], DIGITS)
        might = np.round(np.reshape(possible[task], (-1, numbers.shape[1])), DIGITS)
        worth, place = np.unique(np.concatenate([own, might]), axis=0, return_inverse=True)
        found.append((np.bincount(place.ravel()[: len(own)], minlength=len(worth)), worth))
    width = max(len(worth) for _, worth in found)
    # an outcome that comes twice, the second time without items, changes nothing
    counts = np.stack([np.pad(counts, (0, width - len(counts))) for counts, _ in found])
    worths = np.stack([np.pad(worth, [(0, width - len(worth)), (0, 0)], mode="edge") for _, worth in found])
    return Outcomes(counts, worths, np.full(len(found), 1 / len(found)))


def _contributions(numbers: np.ndarray, tasks: Sequence[Hashable], outcomes: Outcomes) -> tuple[float, ...]:
    """The numbers of items, with factors with which their mean is one over tasks."""
    order = list(dict.fromkeys(tasks))
    factors = len(numbers) * outcomes.weights / outcomes.sizes
    return tuple((numbers * factors[[order.index(task) for task in tasks]]).tolist())
