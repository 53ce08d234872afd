"""From one number per text to a verdict: supported, refuted or inconclusive. Pure functions on arrays."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from math import isinf
from typing import Literal, NamedTuple

from lib.judging.estimates import Estimate, Kinds, mean
from lib.judging.signs import Signs
from lib.judging.strata import largest_share

Verdict = Literal["supported", "refuted", "inconclusive"]
MINIMUM_TEXTS = 3
"""Fewer texts than this decide nothing: two numbers hardly tell a variance."""
REPEATED = "every {} gives the same number, and one measurement that is repeated counts as n = 1"
HELD = "the interval holds the threshold"
Interval = tuple[float, float]
Meets = Callable[[float, float], bool]
"""Whether an interval from `low` to `high` lies on one side of a rule."""


class Rule(NamedTuple):
    """What a claim asks of an interval. `low` and `high` say which verdict each of its ends decides, if one alone."""

    text: str
    limits: tuple[float, ...]
    supported: Meets
    refuted: Meets
    low: Verdict | None = None
    high: Verdict | None = None

    def ends(self, verdict: Verdict, of: "dict[Verdict, float]") -> tuple[float, float]:
        """Which of two numbers belongs to the lower end of the interval that is shown, and which to the upper end.

        An end that decides one verdict alone is shown at that verdict's level. The others are shown at the level of the
        verdict, and where there is none at the stricter one: so the interval shows why.
        """
        otherwise = of["supported" if verdict == "supported" else "refuted"]
        return tuple(of[end] if end else otherwise for end in (self.low, self.high))


@dataclass(frozen=True)
class Judgement:
    """A verdict with its reasons. `low` and `high` are the one-sided bounds that decided it, at the `levels` of each.

    `limits` are the numbers in `rule`: one threshold, or the two ends of a range. `largest` is the share, in percent,
    that the largest text has in the sum of all. `over_kinds` judges the same with the kinds of text as observations;
    None where kinds are not known, or where they are none. `observations` are what `n` counts: "texts", or "items".
    """

    verdict: Verdict
    rule: str
    limits: tuple[float, ...] = ()
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    alpha: float | None = None
    levels: tuple[float, float] | None = None
    n: int = 0
    unit: str = ""
    reason: str = ""
    label: str = ""
    note: str = ""
    values: tuple[float, ...] = ()
    largest: float | None = None
    observations: str = "texts"
    over_kinds: "Judgement | None" = None
    parts: tuple["Judgement", ...] = ()

    def as_dict(self) -> dict:
        """Plain JSON values, for the report; an infinite bound becomes None."""
        ends = {
            name: None if end is None or isinf(end) else end for name, end in (("low", self.low), ("high", self.high))
        }
        lists = {"values": list(self.values), "limits": list(self.limits)}
        lists["levels"] = None if self.levels is None else list(self.levels)
        kinds = None if self.over_kinds is None else self.over_kinds.as_dict()
        parts = [part.as_dict() for part in self.parts]
        return {**asdict(self), **ends, **lists, "over_kinds": kinds, "parts": parts}

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
    is repeated decides nothing, and several are judged by the sign test (`lib.judging.signs`). `kinds` are those of
    the texts, () if they are not known; `observations` is what the estimate is made of. With `over_kinds`, the
    judgement holds that on the kinds as observations, too, which takes as long again. `then` receives the judgement
    before it is returned, and may raise; by default no rule raises.
    """

    estimate: Estimate
    alpha: float = 0.05
    unit: str = ""
    label: str = ""
    note: str = ""
    parts: int = 1
    smoke: bool = False
    distinct: Callable[[], int] = lambda: 1
    kinds: Kinds = ()
    observations: str = "texts"
    over_kinds: bool = True
    then: Callable[[Judgement], Judgement] = lambda judgement: judgement

    def at_most(self, x: float) -> Judgement:
        """Supported when the upper bound is at most `x`; refuted when the lower bound is above it."""
        return self._judge(Rule(f"<= {x:g}", (x,), lambda low, high: high <= x, lambda low, high: low > x, *UPPER))

    def at_least(self, x: float) -> Judgement:
        """Supported when the lower bound is at least `x`; refuted when the upper bound is below it."""
        return self._judge(Rule(f">= {x:g}", (x,), lambda low, high: low >= x, lambda low, high: high < x, *LOWER))

    def below(self, x: float) -> Judgement:
        """Supported when the upper bound is below `x`; refuted when the lower bound is not."""
        return self._judge(Rule(f"< {x:g}", (x,), lambda low, high: high < x, lambda low, high: low >= x, *UPPER))

    def above(self, x: float) -> Judgement:
        """Supported when the lower bound is above `x`; refuted when the upper bound is not."""
        return self._judge(Rule(f"> {x:g}", (x,), lambda low, high: low > x, lambda low, high: high <= x, *LOWER))

    def within(self, lo: float, hi: float) -> Judgement:
        """Equivalence by two one-sided tests: supported when both bounds lie in [lo, hi], refuted when both miss it."""
        _check_range("within", lo, hi)
        return self._judge(
            Rule(
                f"in [{lo:g}, {hi:g}]",
                (lo, hi),
                lambda low, high: lo <= low and high <= hi,
                lambda low, high: low > hi or high < lo,
            )
        )

    def outside(self, lo: float, hi: float) -> Judgement:
        """A difference on either side: supported when both bounds lie at or beyond the same end, refuted when both lie
        between the ends.
        """
        _check_range("outside", lo, hi)
        return self._judge(
            Rule(
                f"outside ({lo:g}, {hi:g})",
                (lo, hi),
                lambda low, high: low >= hi or high <= lo,
                lambda low, high: lo < low and high < hi,
            )
        )

    def _judge(self, rule: Rule) -> Judgement:
        own = replace(self, estimate=self.estimate.by_kind(self.kinds)) if self.kinds else self
        judgement = own._decided(own._asked(rule), rule)
        if self.over_kinds and self.kinds and (over := self.estimate.over_kinds(self.kinds)) is not None:
            over = over.if_normal  # so few kinds have no distribution to draw from
            # kinds that give the same number are as many observations as there are kinds
            distinct = lambda: min(self.distinct(), over.n)  # noqa: E731
            apart = replace(self, estimate=over, distinct=distinct, observations="kinds")
            judgement = replace(judgement, over_kinds=apart._decided(apart._asked(rule), rule))
        return self.then(judgement)

    def _asked(self, rule: Rule) -> Judgement:
        """The estimate with its rule, not judged yet."""
        found = self.estimate
        base = Judgement("inconclusive", rule.text, rule.limits, n=found.n, unit=self.unit, label=self.label)
        largest = largest_share(found.sample) if found.sample else None
        found_out = {"values": found.sample, "estimate": found.value, "largest": largest}
        return replace(base, **found_out, note=self.note, observations=self.observations)

    def _decided(self, base: Judgement, rule: Rule) -> Judgement:
        estimate = self.estimate
        if estimate.fewest < MINIMUM_TEXTS:
            few = f"{estimate.fewest} {self.observations} are too few, {MINIMUM_TEXTS} are needed"
            return replace(base, reason=few)
        if estimate.constant:
            if (distinct := self.distinct()) < 2:
                return replace(base, n=1, reason=REPEATED.format(one(self.observations)))
            estimate = estimate.exact(distinct, base.limits)
        levels: dict[Verdict, float] = {"supported": self.alpha, "refuted": self.alpha / self.parts}
        at_level = {level: _bounds(estimate, level) for level in set(levels.values())}
        found = {verdict: at_level[level] for verdict, level in levels.items()}
        verdict: Verdict = "inconclusive"
        if rule.refuted(*found["refuted"]):
            verdict = "refuted"
        elif rule.supported(*found["supported"]):
            verdict = "supported"
        low, _ = rule.ends(verdict, {name: ends[0] for name, ends in found.items()})
        _, high = rule.ends(verdict, {name: ends[1] for name, ends in found.items()})
        how = estimate.how(self.observations) if isinstance(estimate, Signs) else ""
        bounded = replace(base, low=low, high=high, alpha=self.alpha, levels=rule.ends(verdict, levels), reason=how)
        if verdict == "inconclusive":
            return replace(bounded, reason=self._not_reached(estimate, rule) if how else HELD)
        if verdict == "supported" and self.smoke:
            return replace(bounded, reason="a smoke run (--limit) supports nothing")
        return replace(bounded, verdict=verdict)

    def _not_reached(self, estimate: Signs, rule: Rule) -> str:
        """Why a sign test decides nothing: all texts lie on one side of the threshold, and they are too few."""
        level = self.alpha if rule.supported(estimate.value, estimate.value) else self.alpha / self.parts
        return f"{estimate.how(self.observations)}, and the level is {level:.2g}"


UPPER, LOWER = ("refuted", "supported"), ("supported", "refuted")
"""What the two ends of an interval decide where a rule asks for a small number, and where for a large one."""


def _check_range(rule: str, lo: float, hi: float) -> None:
    if not lo < hi:
        raise ValueError(f"{rule} needs lo < hi, got {lo:g} and {hi:g}")


def _bounds(estimate: Estimate, alpha: float) -> Interval:
    return estimate.lower(alpha), estimate.upper(alpha)


def assess(
    values: Sequence[float] | Estimate, *, distinct: int | Callable[[], int] = 1, kinds: Kinds = (), **options
) -> Assessment:
    """Prepare one number per text (or a ready estimate) for a rule. Options are the fields of `Assessment`.

    `distinct` is the number of different measurements behind the values, or a function that counts them. It matters
    only for values that are all equal. Nothing can be seen in such values of where they come from, so that without it
    they are taken for one measurement repeated, which decides nothing. `kinds` are those of the texts, one for each
    value: the verdict is then one on texts of these kinds. Numbers that are none of these texts have no kinds.
    Raises ValueError for values that are not finite (a broken instrument) or a level outside (0, 0.5).
    """
    if not 0 < options.get("alpha", 0.05) < 0.5:
        raise ValueError(f"the level alpha must lie between 0 and 0.5, not {options['alpha']}")
    estimate = values if isinstance(values, Estimate) else mean(values)
    kinds = tuple(kinds) if len(kinds) == estimate.n else ()
    return Assessment(estimate, distinct=distinct if callable(distinct) else lambda: distinct, kinds=kinds, **options)


class Judge:
    """Judges one claim at its share `alpha` of its family's level, and keeps the claim's `judgement`.

    `judge(values, unit="%").at_most(-30)` judges a claim of one rule. A claim of several hands them to `all_of`:
    `judge.all_of(judge.part(a, of=2).below(0), judge.part(b, of=2).above(0))`. Both raise ClaimRefuted or
    ClaimInconclusive unless the claim is supported. A smoke run supports nothing. `distinct` counts the different
    measurements that the claim's numbers come from; unless it is given, equal numbers are one measurement repeated.
    `kinds` gives the kinds of the texts behind them, () if they are not known; without `over_kinds`, nothing is judged
    with these as observations. `observations` says what the numbers are of: "texts", or "items" of tasks.
    """

    def __init__(
        self,
        alpha: float,
        *,
        smoke: bool = False,
        distinct: Callable[[], int] = lambda: 1,
        kinds: Callable[[], Kinds] = lambda: (),
        over_kinds: bool = True,
        observations: Callable[[], str] = lambda: "texts",
    ):
        self.alpha, self.smoke, self.distinct, self.kinds, self.over_kinds = alpha, smoke, distinct, kinds, over_kinds
        self.observations = observations
        self.judgement: Judgement | None = None

    def part(self, values: Sequence[float] | Estimate, *, of: int = 1, **options) -> Assessment:
        """One of the claim's rules, `of` their number: it returns its judgement and never raises a verdict."""
        how = {"alpha": self.alpha, "smoke": self.smoke, "distinct": self.distinct, "over_kinds": self.over_kinds}
        return assess(values, **how, kinds=self.kinds(), observations=self.observations(), parts=of, **options)

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


def one(observations: str) -> str:
    """`text` of "texts"."""
    return observations.removesuffix("s")


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
