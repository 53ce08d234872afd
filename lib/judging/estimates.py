"""Estimates with one-sided confidence bounds: a mean, a contrast of two groups, a coefficient of variation, a trend."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from scipy import stats

from lib.judging.signs import ROUNDING, Signs, at_limit


class Estimate(Protocol):
    """A number from a sample, with confidence bounds."""

    value: float
    n: int
    fewest: int
    """Size of the smallest group of observations behind the estimate."""
    sample: tuple[float, ...]

    @property
    def constant(self) -> bool:
        """Are all observations equal, so that they may be one measurement repeated?"""

    def exact(self, distinct: int, limits: Sequence[float]) -> "Estimate":
        """The estimate with bounds that hold where all observations are equal, and come of `distinct` measurements.

        `limits` are the thresholds it is compared with. A value that equals one but for rounding becomes that one.
        """

    def lower(self, alpha: float) -> float:
        """A lower bound of the true value, wrong with probability `alpha` at most."""

    def upper(self, alpha: float) -> float:
        """An upper bound of the true value, wrong with probability `alpha` at most."""


@dataclass(frozen=True)
class Mean:
    """Mean of independent observations (a linear contrast of group means); bounds from Student's t.

    Where all observations are equal, the sign test is of the median. Of two groups it is that of the difference between
    a text of one and a text of the other: the smaller group makes as many independent pairs as it has texts.
    """

    value: float
    error: float
    freedom: float
    n: int
    fewest: int
    sample: tuple[float, ...] = ()

    @property
    def constant(self) -> bool:
        # a spread within rounding of the values is no spread: 0.1 repeated has a standard error of 1e-17
        return self.error <= ROUNDING * max(self._scale, 1e-300)

    @property
    def _scale(self) -> float:
        return max(abs(value) for value in (self.value, *self.sample))

    def exact(self, distinct: int, limits: Sequence[float]) -> Signs:
        value = at_limit(self.value, limits, self._scale)
        return Signs(value, min(distinct, self.fewest), self.n, self.fewest, self.sample)

    def lower(self, alpha: float) -> float:
        return self.value - self._reach(alpha)

    def upper(self, alpha: float) -> float:
        return self.value + self._reach(alpha)

    def _reach(self, alpha: float) -> float:
        return 0.0 if self.constant else float(stats.t.isf(alpha, self.freedom)) * self.error


@dataclass(frozen=True)
class Variation:
    """Coefficient of variation (standard deviation / mean) of positive observations, assumed normal.

    Bounds by Vangel's modification of McKay's interval. Source: Vangel 1996, The American Statistician 50(1).
    Where all observations are equal, every deviation from their mean is 0. The sign test is then of the median relative
    deviation of a text from this number; one text gives the number, so that n - 1 deviations are independent.
    """

    value: float
    n: int
    fewest: int
    sample: tuple[float, ...] = ()

    @property
    def constant(self) -> bool:
        return self.value <= ROUNDING

    def exact(self, distinct: int, limits: Sequence[float]) -> Signs:
        return Signs(0.0, min(distinct, self.fewest) - 1, self.n, self.fewest, self.sample)

    def lower(self, alpha: float) -> float:
        return self._bound(float(stats.chi2.isf(alpha, self.n - 1)))

    def upper(self, alpha: float) -> float:
        return self._bound(float(stats.chi2.ppf(alpha, self.n - 1)))

    def _bound(self, u: float) -> float:
        squared = ((u + 2) / self.n - 1) * self.value**2 + u / (self.n - 1)
        return self.value / squared**0.5 if squared > 0 else float("inf")


@dataclass(frozen=True)
class Trend:
    """Agreement of each text's values with an order, from -1 (they fall) to 1 (they rise): Page's test as an estimate.

    `value` is Page's L, scaled: without ties, the mean over texts of Spearman's rho. Its standard error without a trend
    is 1 / sqrt(texts (points - 1)), so a bound is clear of 0 exactly when Page's test rejects at that level (normal
    approximation; ties make it conservative). Source: Page 1963, Journal of the ASA 58(301).
    The error does not come from the texts' spread, so the bounds hold as they are where all texts take the same course.
    """

    value: float
    error: float
    n: int
    fewest: int
    sample: tuple[float, ...]
    constant: bool
    p_falling: float
    p_rising: float

    def exact(self, distinct: int, limits: Sequence[float]) -> "Trend":
        return replace(self, error=self.error * (self.n / min(distinct, self.n)) ** 0.5)

    def lower(self, alpha: float) -> float:
        return max(-1.0, self.value - float(stats.norm.isf(alpha)) * self.error)

    def upper(self, alpha: float) -> float:
        return min(1.0, self.value + float(stats.norm.isf(alpha)) * self.error)


def mean(values: Sequence[float]) -> Mean:
    """Mean of one observation per text."""
    sample = finite(values)
    n = len(sample)
    error = float(sample.std(ddof=1) / n**0.5) if n > 1 else 0.0
    return Mean(float(sample.mean()), error, n - 1, n, n, tuple(sample.tolist()))


def contrast(first: Sequence[float], second: Sequence[float], weight: float) -> Mean:
    """Mean of `first` minus `weight` x mean of `second`, two independent groups of texts (Welch's degrees of freedom).

    A ratio of the means compared with `weight` becomes a difference compared with 0: nothing is divided.
    """
    a, b = mean(first), mean(second)
    parts = np.array([a.error, weight * b.error]) ** 2
    freedom = np.array([max(a.freedom, 1), max(b.freedom, 1)])
    spread = parts.sum()
    welch = float(spread**2 / (parts**2 / freedom).sum()) if spread > 0 else float(freedom.sum())
    return Mean(a.value - weight * b.value, float(spread**0.5), welch, a.n + b.n, min(a.n, b.n), a.sample + b.sample)


def crossed(values: np.ndarray) -> Mean:
    """Mean of values [text, draw] over texts and draws that are both random samples: crossed random effects.

    The squared error is that of the texts' means and that of the draws' means together. What varies with text and draw
    alike is in both, so that it is rather too large than too small. Degrees of freedom by Satterthwaite.
    Raises ValueError for values that are not finite.
    """
    table = np.asarray(values, dtype=np.float64)
    if table.ndim != 2:
        raise ValueError(f"crossed effects need texts and draws, got an array of shape {table.shape}")
    texts, draws = mean(table.mean(1)), mean(table.mean(0))
    parts, freedom = np.array([texts.error, draws.error]) ** 2, np.maximum([texts.freedom, draws.freedom], 1)
    spread = parts.sum()
    welch = float(spread**2 / (parts**2 / freedom).sum()) if spread > 0 else float(freedom.min())
    return Mean(texts.value, float(spread**0.5), welch, texts.n, texts.n, texts.sample)


def variation(values: Sequence[float]) -> Variation:
    """Coefficient of variation over texts. Raises ValueError when the mean is not positive."""
    sample = finite(values)
    if sample.mean() <= 0:
        raise ValueError("a coefficient of variation needs a positive mean")
    spread = float(sample.std(ddof=1)) if len(sample) > 1 else 0.0
    return Variation(spread / float(sample.mean()), len(sample), len(sample), tuple(sample.tolist()))


def trend(values: np.ndarray) -> Trend:
    """Trend of values [text, point] over their points, which must be in order.

    Raises ValueError for values that are not finite, no texts, or fewer than 3 points.
    """
    table = np.asarray(values, dtype=np.float64)
    if table.ndim != 2 or not table.shape[0] or table.shape[1] < 3:
        raise ValueError(f"a trend needs texts at 3 points or more, got an array of shape {table.shape}")
    if not np.isfinite(table).all():
        raise ValueError("a value of a trend is not finite: the measurement failed, this is no verdict")
    texts, points = table.shape
    ranks = stats.rankdata(table, axis=1) - (points + 1) / 2
    order = np.arange(points) - (points - 1) / 2
    rho = ranks @ order / (order @ order)
    rising, falling = (
        float(stats.page_trend_test(t, ranked=True, method="asymptotic").pvalue) if texts > 1 else 1.0
        for t in (ranks + (points + 1) / 2, (points + 1) / 2 - ranks)
    )
    same = bool((table == table[0]).all())
    error = (texts * (points - 1)) ** -0.5
    return Trend(float(rho.mean()), error, texts, texts, tuple(rho.tolist()), same, falling, rising)


def finite(values: Sequence[float]) -> np.ndarray:
    """The values as float64. Raises ValueError for an empty sample and for values that are not finite."""
    sample = np.asarray(values, dtype=np.float64)
    if sample.ndim != 1 or not sample.size:
        raise ValueError(f"judging needs one number per text, got an array of shape {sample.shape}")
    if not np.isfinite(sample).all():
        raise ValueError("a value to be judged is not finite: the measurement failed, this is no verdict")
    return sample
