"""The share of items that have a property, with Wilson's bounds."""

from collections.abc import Sequence
from dataclasses import dataclass

from scipy import stats

from lib.judging.estimates import Estimate


@dataclass(frozen=True)
class Proportion(Estimate):
    """`hits` of `n` items, in percent. Bounds come from Wilson's score interval, and are never without an end.

    Items are taken for one sample, whatever they are asked about. Where all items hit, or none, they still bound the
    share: no spread is estimated. Source: Wilson 1927, Journal of the American Statistical Association 22(158).
    """

    hits: int
    n: int
    sample: tuple[float, ...] = ()

    @property
    def constant(self) -> bool:
        return self.hits in (0, self.n)

    @property
    def value(self) -> float:
        return 100 * self.hits / self.n

    def exact(self, distinct: int, limits: Sequence[float]) -> "Proportion":
        """The same share of the items that differ: one that is repeated counts once."""
        return Proportion(min(self.hits, distinct), min(self.n, distinct))

    def lower(self, alpha: float) -> float:
        return 100 * float(self._interval(alpha).low)

    def upper(self, alpha: float) -> float:
        return 100 * float(self._interval(alpha).high)

    def _interval(self, alpha: float):
        return stats.binomtest(self.hits, self.n).proportion_ci(1 - 2 * alpha, method="wilson")


def proportion(hits: int, n: int) -> Proportion:
    """The share of items that hit. Raises ValueError for no items, or for more hits than items."""
    if not 0 <= hits <= n or not n:
        raise ValueError(f"a share needs items, and no more hits than items: got {hits} of {n}")
    return Proportion(hits, n)
