"""How much texts differ: a coefficient of variation, of a typical text or of texts that are normally distributed.

What differs between kinds of text is a part of what is asked, so that neither is taken by kind.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from math import inf

import numpy as np
from scipy import stats

from lib.judging.estimates import Estimate, finite
from lib.judging.signs import Signs
from lib.judging.strata import ROUNDING

MINIMUM = 2
"""Of two texts, none is left to differ from the other without the oddest."""
SAMPLES, SEED = 20_000, 1
"""Normal samples that bounds are read off; so many resolve a level of 0.001."""


@dataclass(frozen=True)
class Variation(Estimate):
    """Coefficient of variation (standard deviation / mean) of positive observations, assumed normal.

    Bounds by Vangel's modification of McKay's interval. Source: Vangel 1996, The American Statistician 50(1).
    Where all observations are equal, every deviation from their mean is 0. The sign test is then of the median relative
    deviation of a text from this number; one text gives the number, so that n - 1 deviations are independent.
    """

    value: float
    n: int
    sample: tuple[float, ...] = ()

    @property
    def constant(self) -> bool:
        return self.value <= ROUNDING

    def exact(self, distinct: int, limits: Sequence[float]) -> Signs:
        return Signs(0.0, min(distinct, self.n) - 1)

    def lower(self, alpha: float) -> float:
        return self._bound(float(stats.chi2.isf(alpha, self.n - 1)))

    def upper(self, alpha: float) -> float:
        return self._bound(float(stats.chi2.ppf(alpha, self.n - 1)))

    def _bound(self, u: float) -> float:
        squared = ((u + 2) / self.n - 1) * self.value**2 + u / (self.n - 1)
        return self.value / squared**0.5 if squared > 0 else inf


@dataclass(frozen=True)
class TypicalVariation(Estimate):
    """Coefficient of variation of all texts but the oddest one, scaled to be that of all texts if they are normal.

    The text that lies furthest from the median is left out, so that one odd text decides nothing, however odd. Value
    and bounds compare with what the same gives for normal samples of as many texts, drawn once (see `_of_normal`); a
    variation so small is meant that the mean is known well beside it.
    Where all texts are equal, or all but one, the sign test is as in `Variation`, with the text that is left out less.
    """

    sample: tuple[float, ...]

    @property
    def n(self) -> int:
        return len(self.sample)

    @cached_property
    def _plain(self) -> float:
        """Standard deviation over mean without the oddest text."""
        numbers = np.array(self.sample)
        kept = np.delete(numbers, np.abs(numbers - np.median(numbers)).argmax())
        return float(kept.std(ddof=1) / kept.mean())

    @property
    def value(self) -> float:
        return self._plain / float(_of_normal(self.n).mean()) if self.n > MINIMUM else float("nan")

    @property
    def constant(self) -> bool:
        return self.n > MINIMUM and self._plain <= ROUNDING

    @property
    def if_normal(self) -> Variation:
        """The coefficient of variation of the same numbers: for samples of which only mean and deviation are known."""
        return variation(self.sample)

    def exact(self, distinct: int, limits: Sequence[float]) -> Signs:
        return Signs(0.0, min(distinct, self.n) - 2)

    def lower(self, alpha: float) -> float:
        return self._plain / float(np.quantile(_of_normal(self.n), 1 - alpha))

    def upper(self, alpha: float) -> float:
        return self._plain / float(np.quantile(_of_normal(self.n), alpha))


@cache
def _of_normal(texts: int) -> np.ndarray:
    """Standard deviations of standard normal samples of so many texts, each without its oddest [sample]."""
    numbers = np.random.default_rng([SEED, texts]).normal(size=(SAMPLES, texts))
    oddest = np.abs(numbers - np.median(numbers, axis=1, keepdims=True)).argmax(1)
    numbers[np.arange(SAMPLES), oddest] = np.nan
    return np.nanstd(numbers, axis=1, ddof=1)


def variation(values: Sequence[float]) -> Variation:
    """Coefficient of variation over texts. Raises ValueError when the mean is not positive."""
    sample = finite(values)
    if sample.mean() <= 0:
        raise ValueError("a coefficient of variation needs a positive mean")
    spread = float(sample.std(ddof=1)) if len(sample) > 1 else 0.0
    return Variation(spread / float(sample.mean()), len(sample), tuple(sample.tolist()))


def typical_variation(values: Sequence[float]) -> TypicalVariation:
    """Coefficient of variation over all texts but the oddest. Raises ValueError when the median is not positive."""
    sample = finite(values)
    if np.median(sample) <= 0:
        raise ValueError("a coefficient of variation needs a positive median")
    return TypicalVariation(tuple(sample.tolist()))
