"""Texts by kind: the mean of a sample that was drawn kind by kind, its standard error, and what resampling says of it.

The kinds are those that were chosen, in the shares that they have among the texts. What differs from kind to kind is no
chance then, and only what differs within a kind makes the mean uncertain. Source: Cochran 1977, Sampling Techniques, 5.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property

import numpy as np

RESAMPLES, SEED = 2_000, 1
"""So many resolve a level of 0.0005; at a smaller one the most extreme of all stands for it."""
FEWEST = 8
"""Of fewer observations, too many samples that are drawn again repeat one only: Student's bounds stand alone."""
ROUNDING = 1e-12
"""Numbers whose relative difference is at most this are the same number, computed in another order."""


def strata(kinds: Sequence[Hashable]) -> np.ndarray:
    """The stratum of each text, whole numbers from 0: its kind, unless that has one text only.

    One text has no spread. Kinds of one text are taken together, and a single one joins the smallest other kind: what
    differs between them then counts as chance.
    """
    groups = [[i for i, kind in enumerate(kinds) if kind == name] for name in dict.fromkeys(kinds)]
    alone = [i for group in groups if len(group) == 1 for i in group]
    groups = sorted((group for group in groups if len(group) > 1), key=len)
    if len(alone) == 1 and groups:
        groups[0] = groups[0] + alone
    elif alone:
        groups.append(alone)
    codes = np.empty(len(kinds), dtype=int)
    for code, group in enumerate(sorted(groups)):
        codes[group] = code
    return codes


@dataclass(frozen=True, eq=False)
class Strata:
    """A weighted sum of the means of groups of texts, for one or more numbers of each text.

    `data` is [text, number] and `codes` [text] the group of each text. `weights` are those of the groups' means; by
    default the share of each in the texts, which makes the sum the plain mean. With `pooled`, all groups share one
    variance; else each of several groups has two texts or more. A `direction` [number] makes one number of those of a
    text: their sum with these factors.
    """

    data: np.ndarray
    codes: np.ndarray
    weights: np.ndarray | None = None
    pooled: bool = False
    sizes: np.ndarray = field(init=False)

    def __post_init__(self):
        object.__setattr__(self, "sizes", np.bincount(self.codes))
        if self.weights is None:
            object.__setattr__(self, "weights", self.sizes / len(self.codes))

    def value(self, direction: np.ndarray) -> float:
        """The sum of the weighted means."""
        return float(self._means(self.data @ direction) @ self.weights)

    def error(self, direction: np.ndarray) -> tuple[float, float]:
        """Its standard error and degrees of freedom (Satterthwaite's unless `pooled`); (0, 1) for one text."""
        numbers = self.data @ direction
        squares = np.bincount(self.codes, (numbers - self._means(numbers)[self.codes]) ** 2)
        inner = self.sizes - 1
        if not inner.any():
            return 0.0, 1.0
        if self.pooled:
            variances, freedom = np.full(len(inner), squares.sum() / inner.sum()), float(inner.sum())
            return float((self.weights**2 * variances / self.sizes).sum() ** 0.5), freedom
        parts = self.weights**2 * squares / inner / self.sizes
        total = parts.sum()
        if not total > 0:
            return 0.0, float(inner.sum())
        shares = parts / total  # squares of squares may be too small for a float
        return float(total**0.5), float(1 / (shares**2 / inner).sum())

    def studentized(self, direction: np.ndarray, level: float) -> float:
        """The quantile, on its safe side, of errors of resampled sums in units of their own standard errors.

        The deviations of all texts from their groups' means are drawn again, with replacement and whatever the group:
        groups of few texts would often repeat one text only. Source: Efron and Tibshirani 1993, An Introduction to the
        Bootstrap, 12.5.
        """
        sums, squares = self._resampled
        found = sums @ direction
        errors = np.sqrt(np.maximum(squares @ np.array([a * b for a in direction for b in direction]), 0))
        errors[errors <= ROUNDING * np.abs(self.data @ direction).max()] = 0
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios = found / errors
        ratios[np.isnan(ratios)] = 0.0  # neither error nor spread
        place = level * (len(ratios) + 1)
        index = int(np.floor(place)) - 1 if level < 0.5 else int(np.ceil(place)) - 1
        index = min(max(index, 0), len(ratios) - 1)
        return float(np.partition(ratios, index)[index])

    @cached_property
    def _resampled(self) -> tuple[np.ndarray, np.ndarray]:
        """Resampled errors [resample, number] and their squared standard errors [resample, number x number]."""
        order = np.argsort(self.codes, kind="stable")
        codes, starts = self.codes[order], np.concatenate([[0], np.cumsum(self.sizes)[:-1]])
        means = np.stack([self._means(column) for column in self.data.T], 1)
        inner = np.maximum(self.sizes - 1, 1)
        residuals = (self.data - means[self.codes]) * np.sqrt(self.sizes / inner)[self.codes, None]
        # in an order of their own, so that the order of the texts changes nothing
        residuals = residuals[np.lexsort(residuals.T)]
        factors = self.weights**2 / self.sizes / ((self.sizes - 1).sum() if self.pooled else inner)
        of_text = np.full(len(codes), factors.sum()) if self.pooled else factors[codes]
        sums, spreads = [], []
        for column in residuals.T:
            drawn = column[_places(len(codes))]
            group_means = np.add.reduceat(drawn, starts, axis=1) / self.sizes
            sums.append(group_means @ self.weights)
            spreads.append(drawn - group_means[:, codes])
        return np.stack(sums, 1), np.stack([(a * b) @ of_text for a in spreads for b in spreads], 1)

    def _means(self, numbers: np.ndarray) -> np.ndarray:
        return np.bincount(self.codes, numbers) / self.sizes


@cache
def _places(texts: int) -> np.ndarray:
    """Texts that are drawn with replacement [resample, text]; the same for every sample of this size.

    Each draw comes with its mirror image among sorted texts, so that a sample and its negative have mirrored bounds.
    """
    drawn = np.random.default_rng([SEED, texts]).integers(texts, size=(RESAMPLES // 2, texts), dtype=np.int32)
    return np.concatenate([drawn, texts - 1 - drawn])


def largest_share(numbers: Sequence[float]) -> float | None:
    """Percent of the sum of absolute numbers that the largest one holds; None for one text, or if all are 0."""
    sizes = np.abs(np.asarray(numbers, dtype=np.float64))
    return 100 * float(sizes.max() / sizes.sum()) if len(sizes) > 1 and sizes.sum() > 0 else None
