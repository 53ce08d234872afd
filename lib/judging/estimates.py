"""Estimates of a mean, a ratio of means, or a difference of two kinds of text, each with one-sided confidence bounds.

A bound is the wider one of Student's t and of the bootstrap-t: on skewed data Student's bound is too near on the side
of the long tail. How often they are wrong on which data stands in docs/verdicts.md.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import inf

import numpy as np
from scipy import optimize, special

from lib.judging.signs import Signs, at_limit
from lib.judging.strata import FEWEST, ROUNDING, Strata, strata

Kinds = Sequence[Hashable]
DOUBLINGS = 40
"""How often the search for a bound goes twice as far before there is none."""
FURTHEST = 1e6
"""Standard errors beyond which a bound is as good as none; a search for a root needs finite numbers."""
ONE = np.ones(1)
"""The direction of a sample with one number per text."""


class Estimate:
    """A number from a sample, with confidence bounds. `sample` has one number for each text, none if it is of no texts.

    `constant` says that all observations are equal, so that they may be one measurement repeated.
    """

    value: float
    n: int
    sample: tuple[float, ...]
    constant: bool

    @property
    def fewest(self) -> int:
        """Size of the smallest group of observations behind the estimate."""
        return self.n

    @property
    def if_normal(self) -> "Estimate":
        """The estimate of normal texts, for a sample of which mean and deviation alone are known."""
        return self

    def exact(self, distinct: int, limits: Sequence[float]) -> "Estimate | Signs":
        """The estimate with bounds that hold where all observations are equal, and come of `distinct` measurements.

        `limits` are the thresholds it is compared with. A value that equals one but for rounding becomes that one.
        """
        return self

    def by_kind(self, kinds: Kinds) -> "Estimate":
        """The estimate of texts of these kinds, each meant as it is: see `lib.judging.strata`."""
        return self

    def over_kinds(self, kinds: Kinds) -> "Estimate | None":
        """The estimate with the kinds as the observations, of which there may be others; None if it has no such."""
        return None

    def lower(self, alpha: float) -> float:
        """A lower bound of the true value, wrong with probability `alpha` at most."""
        raise NotImplementedError

    def upper(self, alpha: float) -> float:
        """An upper bound of the true value, wrong with probability `alpha` at most."""
        raise NotImplementedError


class _Bounded(Estimate):
    """Bounds from a value, its standard error with degrees of freedom, and the studentized errors of resamples."""

    error: float
    freedom: float
    resampled: bool
    _strata: Strata

    @property
    def if_normal(self) -> "_Bounded":
        return replace(self, resampled=False)

    @property
    def constant(self) -> bool:
        return not _varies(self._strata.error(ONE)[0], self._scale)

    @property
    def _scale(self) -> float:
        return max(abs(number) for number in (self.value, *self.sample))

    def exact(self, distinct: int, limits: Sequence[float]) -> "Signs | _Bounded":
        value = at_limit(self.value, limits, self._scale)
        return Signs(value, min(distinct, self.fewest))

    def lower(self, alpha: float) -> float:
        return self.value - self._reach(alpha, 1 - alpha)

    def upper(self, alpha: float) -> float:
        return self.value + self._reach(alpha, alpha)

    def _reach(self, alpha: float, end: float) -> float:
        """The distance of a bound from the value; `end` is the side of the bootstrap-t's distribution, and how far."""
        reach = student(alpha, self.freedom)
        # what differs within rounding has no distribution to draw from
        resampled = self.resampled and not self.constant and self.n >= FEWEST
        return max(reach, abs(self._strata.studentized(ONE, end)) if resampled else 0.0) * self.error


@dataclass(frozen=True, eq=False)
class Mean(_Bounded):
    """Mean of one number per text, of texts of these `kinds` where they are known.

    With `draws`, the mean over a random draw as well: the error of the draws' mean is added to that of the texts'.
    Where all numbers are equal, the sign test is of the median.
    """

    sample: tuple[float, ...]
    kinds: tuple[Hashable, ...] = ()
    draws: "Mean | None" = None
    resampled: bool = True

    @property
    def n(self) -> int:
        return len(self.sample)

    @cached_property
    def value(self) -> float:
        return float(np.mean(self.sample))

    @property
    def error(self) -> float:
        return self._errors[0]

    @property
    def freedom(self) -> float:
        return self._errors[1]

    @cached_property
    def _errors(self) -> tuple[float, float]:
        error, freedom = self._strata.error(ONE)
        error = 0.0 if self.constant else error
        return (error, freedom) if self.draws is None else _together((error, freedom), self.draws)

    @cached_property
    def _strata(self) -> Strata:
        data = np.array(self.sample)[:, None]
        plain = Strata(data, np.zeros(self.n, dtype=int))
        by_kind = Strata(data, strata(self.kinds)) if self.kinds else plain
        # numbers that differ from kind to kind alone leave nothing to estimate an error from
        return by_kind if _varies(by_kind.error(ONE)[0], self._scale) else plain

    def exact(self, distinct: int, limits: Sequence[float]) -> "Signs | Mean":
        differing = self.draws is not None and not self.draws.constant  # then the error of the draws stands
        return self if differing else super().exact(distinct, limits)

    def by_kind(self, kinds: Kinds) -> "Mean":
        return replace(self, kinds=tuple(kinds))

    def over_kinds(self, kinds: Kinds) -> "Mean":
        return Mean(tuple(_kind_means(self.sample, kinds)), draws=self.draws)


@dataclass(frozen=True, eq=False)
class Difference(_Bounded):
    """Mean of one kind of text minus that of another. All kinds share one variance, so that few texts of each suffice.

    Where no kind varies, the sign test is of the difference between a text of one and a text of the other: the smaller
    group makes as many independent pairs as it has texts.
    """

    groups: Mapping[str, tuple[float, ...]]
    first: str
    second: str
    resampled: bool = True

    @property
    def n(self) -> int:
        return len(self.groups[self.first]) + len(self.groups[self.second])

    @property
    def fewest(self) -> int:
        return min(len(self.groups[self.first]), len(self.groups[self.second]))

    @property
    def sample(self) -> tuple[float, ...]:
        return (*self.groups[self.first], *self.groups[self.second])

    @cached_property
    def value(self) -> float:
        return self._strata.value(ONE)

    @property
    def error(self) -> float:
        return self._strata.error(ONE)[0]

    @property
    def freedom(self) -> float:
        return self._strata.error(ONE)[1]

    @cached_property
    def _strata(self) -> Strata:
        numbers = np.concatenate([np.array(group) for group in self.groups.values()])
        codes = np.repeat(np.arange(len(self.groups)), [len(group) for group in self.groups.values()])
        signs = {self.first: 1.0, self.second: -1.0}
        weights = np.array([signs.get(name, 0.0) for name in self.groups])
        return Strata(numbers[:, None], codes, weights, pooled=True)


@dataclass(frozen=True, eq=False)
class Ratio(Estimate):
    """Mean of `above` over mean of `below`, in percent: two numbers for each text. Bounds by Fieller's method.

    A ratio is beyond a bound when the mean of `above - ratio x below` is clear of 0, so that nothing small is divided
    by. The mean of the texts' own ratios is another number, which is too large where `below` is a small count.
    Where the mean of `below` is not clear of 0, there are no bounds. `sample` is each text's `above` in percent of the
    mean of `below`. Source: Fieller 1954, Journal of the Royal Statistical Society B 16(2).
    """

    above: tuple[float, ...]
    below: tuple[float, ...]
    kinds: tuple[Hashable, ...] = ()
    resampled: bool = True

    @property
    def if_normal(self) -> "Ratio":
        return replace(self, resampled=False)

    @property
    def n(self) -> int:
        return len(self.above)

    @cached_property
    def value(self) -> float:
        return 100 * float(np.mean(self.above) / np.mean(self.below))

    @cached_property
    def sample(self) -> tuple[float, ...]:
        return tuple((100 * np.array(self.above) / np.mean(self.below)).tolist())

    @property
    def deviations(self) -> np.ndarray:
        """How far each text is from the ratio [text], in percent of the mean of `below`: to first order, its error."""
        return (100 * np.array(self.above) - self.value * np.array(self.below)) / np.mean(self.below)

    @property
    def constant(self) -> bool:
        return bool((np.abs(self.deviations) <= ROUNDING * max(100.0, abs(self.value))).all())

    def exact(self, distinct: int, limits: Sequence[float]) -> Signs:
        value = at_limit(self.value, limits, max(100.0, abs(self.value)))
        return Signs(value, min(distinct, self.n))

    def by_kind(self, kinds: Kinds) -> "Ratio":
        return replace(self, kinds=tuple(kinds))

    def over_kinds(self, kinds: Kinds) -> "Ratio":
        return Ratio(*(tuple(_kind_means(numbers, kinds)) for numbers in (self.above, self.below)))

    def lower(self, alpha: float) -> float:
        return self._bound(alpha, -1)

    def upper(self, alpha: float) -> float:
        return self._bound(alpha, 1)

    def _bound(self, alpha: float, side: int) -> float:
        if self.constant:
            return self.value
        return fieller(self.value, lambda ratio: self._clearance(ratio, alpha, side), side)

    def _clearance(self, ratio: float, alpha: float, side: int) -> float:
        """The end nearest to 0 of the interval of `above - ratio x below`, for a ratio above (1) or below (-1)."""
        direction = np.array([1.0, -ratio / 100])
        chosen = self._strata
        error, freedom = chosen.error(direction)
        if error <= 0 and chosen is not self._plain:
            chosen = self._plain
            error, freedom = chosen.error(direction)
        reach = student(alpha, freedom)
        if self.resampled and self.n >= FEWEST:
            end = chosen.studentized(direction, alpha if side > 0 else 1 - alpha)
            reach = max(reach, min(-side * end, FURTHEST))
        return chosen.value(direction) + side * reach * error

    @cached_property
    def _strata(self) -> Strata:
        return Strata(self._data, strata(self.kinds)) if self.kinds else self._plain

    @cached_property
    def _plain(self) -> Strata:
        return Strata(self._data, np.zeros(self.n, dtype=int))

    @cached_property
    def _data(self) -> np.ndarray:
        return np.stack([self.above, self.below], 1)


def fieller(value: float, clearance: Callable[[float], float], side: int) -> float:
    """The ratio above (`side` 1) or below (-1) a value at which a difference is just clear of 0; infinite if none is.

    `clearance` gives the end that is nearest to 0 of the interval of `above - ratio x below`.
    """
    clear = lambda ratio: -side * clearance(ratio)  # noqa: E731
    start, step = value, max(abs(value), 1.0) / 16
    for _ in range(DOUBLINGS):
        end = value + side * step
        if clear(end) > 0:
            return float(optimize.brentq(clear, start, end, xtol=1e-9, rtol=1e-9))
        start, step = end, 2 * step
    return side * inf


def mean(values: Sequence[float]) -> Mean:
    """Mean of one observation per text. Raises ValueError for an empty sample and for values that are not finite."""
    return Mean(tuple(finite(values).tolist()))


def crossed(values: np.ndarray) -> Mean:
    """Mean of values [text, draw] over texts and draws that are both random samples: crossed random effects.

    The squared error is that of the texts' means and that of the draws' means together. What varies with text and draw
    alike is in both, so that it is rather too large than too small. Degrees of freedom by Satterthwaite.
    Raises ValueError for values that are not finite.
    """
    table = np.asarray(values, dtype=np.float64)
    if table.ndim != 2:
        raise ValueError(f"crossed effects need texts and draws, got an array of shape {table.shape}")
    return replace(mean(table.mean(1)), draws=mean(table.mean(0)))


def ratio(above: Sequence[float], below: Sequence[float]) -> Ratio:
    """Mean of `above` over mean of `below`, in percent, from one number of each per text.

    Raises ValueError for numbers that are not finite, or a mean of `below` that is not positive.
    """
    first, second = finite(above), finite(below)
    if first.shape != second.shape or second.mean() <= 0:
        raise ValueError("a ratio needs as many numbers above as below, and a positive mean of those below")
    return Ratio(tuple(first.tolist()), tuple(second.tolist()))


def difference_of_ratios(first: Ratio, second: Ratio) -> Mean:
    """One ratio minus another of the same texts, to first order (the delta method): one number per text."""
    return mean(first.deviations - second.deviations + first.value - second.value)


def difference(groups: Mapping[str, Sequence[float]], first: str, second: str) -> Difference:
    """Mean of the group `first` minus that of `second`, with the variance of all groups.

    Raises ValueError for an empty group and for values that are not finite.
    """
    return Difference({name: tuple(finite(group).tolist()) for name, group in groups.items()}, first, second)


def finite(values: Sequence[float]) -> np.ndarray:
    """The values as float64. Raises ValueError for an empty sample and for values that are not finite."""
    sample = np.asarray(values, dtype=np.float64)
    if sample.ndim != 1 or not sample.size:
        raise ValueError(f"judging needs one number per text, got an array of shape {sample.shape}")
    if not np.isfinite(sample).all():
        raise ValueError("a value to be judged is not finite: the measurement failed, this is no verdict")
    return sample


def student(alpha: float, freedom: float) -> float:
    """The number that Student's t exceeds with probability `alpha`; scipy.stats gives the same, twenty times slower."""
    return -float(special.stdtrit(freedom, alpha))


def _varies(error: float, scale: float) -> bool:
    # a spread within rounding of the values is no spread: 0.1 repeated has a standard error of 1e-17
    return error > ROUNDING * scale


def _kind_means(numbers: Sequence[float], kinds: Kinds) -> list[float]:
    return [
        float(np.mean([number for number, own in zip(numbers, kinds, strict=True) if own == kind]))
        for kind in dict.fromkeys(kinds)
    ]


def _together(texts: tuple[float, float], draws: Mean) -> tuple[float, float]:
    """Error and degrees of freedom of texts and draws together."""
    parts, freedom = np.array([texts[0], draws.error]) ** 2, np.array([texts[1], draws.freedom])
    total = parts.sum()
    if not total > 0:
        return 0.0, float(freedom.min())
    return float(total**0.5), float(1 / ((parts / total) ** 2 / freedom).sum())
