"""The sign test, for a number that is the same in every text: exact bounds where there is no spread to estimate."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from lib.judging.strata import ROUNDING


@dataclass(frozen=True)
class Signs:
    """One number in every text, with the bounds that the sign test gives for the median over all texts.

    `value` is a bound on either side, wrong with probability 2^-`signs`: were half of all texts (or more) beyond it,
    so many independent texts would show it with that probability at most. At a smaller level there is no bound.
    Nothing is assumed of the distribution. It is the median that is bounded, and rare texts may move a mean far
    from it. Source: Dixon and Mood 1946, Journal of the ASA 41(236).
    """

    value: float
    signs: int

    @property
    def p(self) -> float:
        """The one-sided p of the test, 2^-signs."""
        return 0.5**self.signs

    def how(self, observations: str) -> str:
        """The test in words, of "texts" or whatever the observations are."""
        return f"{self.signs} of {self.signs} {observations}, sign test p = {self.p:.2g}"

    def lower(self, alpha: float) -> float:
        return self.value if self.p <= alpha else -inf

    def upper(self, alpha: float) -> float:
        return self.value if self.p <= alpha else inf


def at_limit(value: float, limits: Sequence[float], scale: float) -> float:
    """The limit that the value equals but for rounding, else the value: a tie must not be decided by the last bit.

    `scale` is the size of the numbers that the value was computed from.
    """
    return next((limit for limit in limits if abs(value - limit) <= ROUNDING * max(scale, abs(limit))), value)
