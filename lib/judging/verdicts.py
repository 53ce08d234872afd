"""From one number per text to a verdict: supported, refuted or inconclusive. Pure functions on arrays."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from math import isinf
from typing import Literal

from lib.judging.estimates import Estimate, Mean, Trend, Variation, mean
from lib.judging.signs import Signs

Verdict = Literal["supported", "refuted", "inconclusive"]
MINIMUM_TEXTS = 3
"""Fewer texts than this decide nothing: two numbers hardly tell a variance."""
REPEATED = "every text gives the same number, and one measurement that is repeated counts as n = 1"
HELD = "the interval holds the threshold"
Meets = Callable[[float, float], bool]
"""Whether an interval from `low` to `high` lies on one side of a rule."""


@dataclass(frozen=True)
class Judgement:
    """A verdict with its reasons. `low` and `high` are one-sided bounds, each wrong with probability `alpha`.

    `limits` are the numbers in `rule`: one threshold, or the two ends of a range.
    """

    verdict: Verdict
    rule: str
    limits: tuple[float, ...] = ()
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    alpha: float | None = None
    n: int = 0
    unit: str = ""
    reason: str = ""
    label: str = ""
    note: str = ""
    values: tuple[float, ...] = ()
    parts: tuple["Judgement", ...] = ()

    def as_dict(self) -> dict:
        """Plain JSON values, for the report; an infinite bound becomes None."""
        ends = {
            name: None if end is None or isinf(end) else end for name, end in (("low", self.low), ("high", self.high))
        }
        lists = {"values": list(self.values), "limits": list(self.limits)}
        return {**asdict(self), **ends, **lists, "parts": [part.as_dict() for part in self.parts]}

    def __str__(self) -> str:
        if self.estimate is None:
            return f"{self.verdict}: {self.reason}"
        interval = f"{self.estimate:.4g}" + (f" [{self.low:.4g}, {self.high:.4g}]" if self.low is not None else "")
        label = f"{self.label}: " if self.label else ""
        text = f"{label}{interval} {self.unit}, needed {self.rule}, n = {self.n}: {self.verdict}"
        return f"{text} ({self.reason})" if self.reason else text


class ClaimRefuted(AssertionError):
    """The whole interval lies on the wrong side of the threshold."""

    def __init__(self, judgement: Judgement):
        super().__init__(str(judgement))
        self.judgement = judgement


class ClaimInconclusive(AssertionError):
    """The measurement decides nothing."""

    def __init__(self, judgement: Judgement):
        super().__init__(str(judgement))
        self.judgement = judgement


class NoSubject(ClaimInconclusive):
    """The model lacks the subject of a claim: the claim is inconclusive, whatever the arithmetic would give."""

    def __init__(self, reason: str):
        super().__init__(undecided(reason))


@dataclass(frozen=True)
class Assessment:
    """An estimate waiting for its rule; every rule returns a Judgement.

    `parts` is the number of rules judged together (see `all_of`): each is refuted at `alpha / parts`. `distinct` counts
    the different measurements behind the numbers, and is asked only where all numbers are equal: one measurement that
    is repeated decides nothing, and several are judged by the sign test (`lib.judging.signs`). `then` receives the
    judgement before it is returned, and may raise; by default no rule raises.
    """

    estimate: Estimate
    alpha: float = 0.05
    unit: str = ""
    label: str = ""
    note: str = ""
    parts: int = 1
    smoke: bool = False
    distinct: Callable[[], int] = lambda: 1
    then: Callable[[Judgement], Judgement] = lambda judgement: judgement

    def at_most(self, x: float) -> Judgement:
        """Supported when the upper bound is at most `x`; refuted when the lower bound is above it."""
        return self._judge(self._asked(f"<= {x:g}", x), lambda low, high: high <= x, lambda low, high: low > x)

    def at_least(self, x: float) -> Judgement:
        """Supported when the lower bound is at least `x`; refuted when the upper bound is below it."""
        return self._judge(self._asked(f">= {x:g}", x), lambda low, high: low >= x, lambda low, high: high < x)

    def below(self, x: float) -> Judgement:
        """Supported when the upper bound is below `x`; refuted when the lower bound is not."""
        return self._judge(self._asked(f"< {x:g}", x), lambda low, high: high < x, lambda low, high: low >= x)

    def above(self, x: float) -> Judgement:
        """Supported when the lower bound is above `x`; refuted when the upper bound is not."""
        return self._judge(self._asked(f"> {x:g}", x), lambda low, high: low > x, lambda low, high: high <= x)

    def within(self, lo: float, hi: float) -> Judgement:
        """Equivalence by two one-sided tests: supported when both bounds lie in [lo, hi], refuted when both miss it."""
        if not lo < hi:
            raise ValueError(f"within needs lo < hi, got {lo:g} and {hi:g}")
        return self._judge(
            self._asked(f"in [{lo:g}, {hi:g}]", lo, hi),
            lambda low, high: lo <= low and high <= hi,
            lambda low, high: low > hi or high < lo,
        )

    def _asked(self, rule: str, *limits: float) -> Judgement:
        """The estimate with its rule, not judged yet."""
        base = Judgement("inconclusive", rule, limits, n=self.estimate.n, unit=self.unit, label=self.label)
        return replace(base, values=self.estimate.sample, estimate=self.estimate.value, note=self.note)

    def _judge(self, base: Judgement, supported: Meets, refuted: Meets) -> Judgement:
        return self.then(self._decided(base, supported, refuted))

    def _decided(self, base: Judgement, supported: Meets, refuted: Meets) -> Judgement:
        estimate = self.estimate
        if estimate.fewest < MINIMUM_TEXTS:
            few = f"{estimate.fewest} texts are too few, {MINIMUM_TEXTS} are needed"
            return replace(base, reason=few)
        if estimate.constant:
            if (distinct := self.distinct()) < 2:
                return replace(base, n=1, reason=REPEATED)
            estimate = estimate.exact(distinct, base.limits)
        (low, high), strict = (_bounds(estimate, alpha) for alpha in (self.alpha, self.alpha / self.parts))
        how = estimate.how if isinstance(estimate, Signs) else ""
        bounded = replace(base, low=low, high=high, alpha=self.alpha, reason=how)
        if refuted(*strict):
            return replace(bounded, verdict="refuted")
        if not supported(low, high):
            return replace(bounded, reason=self._not_reached(estimate, supported) if how else HELD)
        if self.smoke:
            return replace(bounded, reason="a smoke run (--limit) supports nothing")
        return replace(bounded, verdict="supported")

    def _not_reached(self, estimate: Signs, supported: Meets) -> str:
        """Why a sign test decides nothing: all texts lie on one side of the threshold, and they are too few."""
        level = self.alpha if supported(estimate.value, estimate.value) else self.alpha / self.parts
        return f"{estimate.how}, and the level is {level:.2g}"


def _bounds(estimate: Estimate, alpha: float) -> tuple[float, float]:
    return estimate.lower(alpha), estimate.upper(alpha)


def assess(values: Sequence[float] | Estimate, *, distinct: int | Callable[[], int] = 1, **options) -> Assessment:
    """Prepare one number per text (or a ready estimate) for a rule. Options are the fields of `Assessment`.

    `distinct` is the number of different measurements behind the values, or a function that counts them. It matters
    only for values that are all equal. Nothing can be seen in such values of where they come from, so that without it
    they are taken for one measurement repeated, which decides nothing.
    Raises ValueError for values that are not finite (a broken instrument) or a level outside (0, 0.5).
    """
    if not 0 < options.get("alpha", 0.05) < 0.5:
        raise ValueError(f"the level alpha must lie between 0 and 0.5, not {options['alpha']}")
    estimate = values if isinstance(values, (Mean, Variation, Trend)) else mean(values)
    return Assessment(estimate, distinct=distinct if callable(distinct) else lambda: distinct, **options)


class Judge:
    """Judges one claim at its share `alpha` of its family's level, and keeps the claim's `judgement`.

    `judge(values, unit="%").at_most(-30)` judges a claim of one rule. A claim of several hands them to `all_of`:
    `judge.all_of(judge.part(a, of=2).below(0), judge.part(b, of=2).above(0))`. Both raise ClaimRefuted or
    ClaimInconclusive unless the claim is supported. A smoke run supports nothing. `distinct` counts the different
    measurements that the claim's numbers come from; unless it is given, equal numbers are one measurement repeated.
    """

    def __init__(self, alpha: float, *, smoke: bool = False, distinct: Callable[[], int] = lambda: 1):
        self.alpha, self.smoke, self.distinct = alpha, smoke, distinct
        self.judgement: Judgement | None = None

    def part(self, values: Sequence[float] | Estimate, *, of: int = 1, **options) -> Assessment:
        """One of the claim's rules, `of` their number: it returns its judgement and never raises a verdict."""
        return assess(values, alpha=self.alpha, smoke=self.smoke, distinct=self.distinct, parts=of, **options)

    def __call__(self, values: Sequence[float] | Estimate, **options) -> Assessment:
        """The claim's only rule."""
        return replace(self.part(values, **options), then=self._end)

    def all_of(self, *judgements: Judgement) -> Judgement:
        """The verdict on a claim of several rules."""
        return self._end(all_of(judgements))

    def _end(self, judgement: Judgement) -> Judgement:
        self.judgement = judgement
        return conclude(judgement)


def all_of(judgements: Sequence[Judgement]) -> Judgement:
    """One verdict for a claim that says several things at once.

    Supported when every part is (no correction needed: an intersection-union test). Refuted when one part is; the
    parts must have been assessed with `parts=len(judgements)`, which keeps the chance of a false refutation at alpha.
    """
    if not judgements:
        raise ValueError("all_of needs at least one judgement")
    verdicts = [part.verdict for part in judgements]
    verdict: Verdict = "supported"
    if "refuted" in verdicts:
        verdict = "refuted"
    elif "inconclusive" in verdicts:
        verdict = "inconclusive"
    telling = judgements[verdicts.index(verdict)]
    return replace(telling, verdict=verdict, parts=tuple(judgements))


def undecided(reason: str, rule: str = "") -> Judgement:
    """Inconclusive before any arithmetic, for lack of a subject or of a figure."""
    return Judgement("inconclusive", rule, reason=reason)


def conclude(judgement: Judgement) -> Judgement:
    """Return a supported judgement; raise ClaimRefuted or ClaimInconclusive for the others."""
    if judgement.verdict == "refuted":
        raise ClaimRefuted(judgement)
    if judgement.verdict == "inconclusive":
        raise ClaimInconclusive(judgement)
    return judgement
