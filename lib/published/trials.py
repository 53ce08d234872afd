"""Tests on published trials: p and Cohen's d anew, with the range that the rounding of the trials leaves them.

A series that is one number repeated is taken for one number: its rounding moves all trials together, and adds nothing
to how they vary. Nothing is recomputed where the baseline varies, for then nobody can tell whether perplexities or
percents were tested, nor where nothing varies.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

from lib.definitions import ARMS
from lib.published.figures import CONDITIONS, Column, Figure, Quantity

PAIRED, STUDENT, WELCH = "a paired t test", "Student's t test of two samples", "Welch's t test of two samples"
"""The usual tests of two series of trials."""


@dataclass(frozen=True)
class Trials:
    """The trials of an arm: how much more a perplexity is with massive than with random channels zeroed, on average.

    `values` and `halves` [trial] are those differences and how exactly each is known; `squares` are sums of squared
    deviations from the mean, of the massive series, of the random one, and of the differences. `baseline` is the
    perplexity with nothing zeroed, None if it is not published.
    """

    values: np.ndarray
    halves: np.ndarray
    difference: Quantity
    squares: Mapping[str, Quantity]
    baseline: Figure | None

    @property
    def n(self) -> int:
        return len(self.values)


def trials(column: Column, arm: str) -> Trials | None:
    """The trials of an arm, None where nothing can be tested: see the top of this file."""
    series = {c: s for c in CONDITIONS if (s := column.series("perplexity", arm, c))}
    constant = {c: len({figure.value for figure in s}) == 1 for c, s in series.items()}
    if "massive" not in series or "random" not in series or not constant.get("baseline", True):
        return None
    values = {c: np.array([figure.value for figure in s]) for c, s in series.items()}
    halves = {c: np.array([figure.half for figure in s]) for c, s in series.items()}
    own = {c: np.zeros_like(h) if constant[c] else h for c, h in halves.items()}
    difference, varying = values["massive"] - values["random"], own["massive"] + own["random"]
    half = float(sum(halves[c].mean() for c in ("massive", "random")))
    squares = {c: squared(values[c], own[c]) for c in ("massive", "random")}
    squares["difference"] = squared(difference, varying)
    if np.ptp(difference) <= 1e-9 * np.abs(difference).max():  # floats
        return None
    mean = float(difference.mean())
    baseline = series["baseline"][0] if "baseline" in series else None
    return Trials(difference, varying, Quantity(mean, mean - half, mean + half), squares, baseline)


def squared(values: np.ndarray, halves: np.ndarray) -> Quantity:
    """The sum of squared deviations from their mean of numbers [n] known to `halves` [n], with exact bounds."""
    centered = values - values.mean()
    low, high = centered - halves, centered + halves

    def slope(center: float) -> float:
        return float((center - np.clip(center, low, high)).sum())

    # the least is convex in the center that the numbers are drawn to
    center = optimize.brentq(slope, low.min(), high.max()) if low.min() < high.max() else low[0]
    least = float(((center - np.clip(center, low, high)) ** 2).sum())
    # in the greatest, all numbers below some point lie at their low end and all others at their high end
    order = np.argsort(centered)
    below, above = low[order], high[order]
    sums, powers = (_either_end(below**k, above**k) for k in (1, 2))
    greatest = float((powers - sums**2 / len(values)).max())
    return Quantity(float((centered**2).sum()), least, greatest)


def _either_end(below: np.ndarray, above: np.ndarray) -> np.ndarray:
    """Sums [n + 1] of the first 0, 1, .. n entries of `below` with the others of `above`."""
    start = np.zeros(1)
    return np.concatenate([start, below.cumsum()]) + np.concatenate([above[::-1].cumsum()[::-1], start])


def p_of_arm(column: Column, arm: str) -> dict[str, Quantity]:
    """p of massive against random channels by test; {} where the trials cannot be tested."""
    if (found := trials(column, arm)) is None:
        return {}
    return {
        PAIRED: _paired(found.n, found.difference, found.squares["difference"]),
        **_two_samples(found.n, found.difference, found.squares["massive"], found.squares["random"]),
    }


def p_of_arms(column: Column) -> dict[str, Quantity]:
    """p of the arms' differences between massive and random, in percent of the baseline's perplexity, by test.

    {} where the trials cannot be tested or the arms have different numbers of them.
    """
    both = [_in_percent(found) for arm in ARMS if (found := trials(column, arm)) and found.baseline]
    if len(both) < len(ARMS) or both[0].n != both[1].n:
        return {}
    rope, drope = both
    low, high = (rope.difference.low - drope.difference.high, rope.difference.high - drope.difference.low)
    difference = Quantity(rope.difference.value - drope.difference.value, low, high)
    paired = squared(rope.values - drope.values, rope.halves + drope.halves)
    return {
        PAIRED: _paired(rope.n, difference, paired),
        **_two_samples(rope.n, difference, *(found.squares["difference"] for found in both)),
    }


def d_of_arm(column: Column, arm: str) -> Quantity | None:
    """Cohen's d of paired differences: their mean over their standard deviation.

    The value has n in the denominator of the variance. The range admits n - 1 as well: both are in use.
    """
    if (found := trials(column, arm)) is None:
        return None
    n, squares = found.n, found.squares["difference"]
    if not squares.low or found.difference.low <= 0:
        return None
    low = found.difference.low / (squares.high / (n - 1)) ** 0.5
    high = found.difference.high / (squares.low / n) ** 0.5
    return Quantity(found.difference.value / (squares.value / n) ** 0.5, low, high)


def that_gives(p: Figure | None, by_test: Mapping[str, Quantity]) -> str | None:
    """The first test that gives a published p within the rounding of p and of the trials; None if none does."""
    if p is None:
        return None
    return next((n for n, q in by_test.items() if q.low <= p.value + p.half and p.value - p.half <= q.high), None)


def _in_percent(found: Trials) -> Trials:
    """The same trials in percent of the baseline. Its rounding stretches all of them alike."""
    value, low, high = (100 / (found.baseline.value + end * found.baseline.half) for end in (0, 1, -1))
    squares = {name: _times(q, Quantity(value**2, low**2, high**2)) for name, q in found.squares.items()}
    difference = _times(found.difference, Quantity(value, low, high))
    return Trials(found.values * value, found.halves * high, difference, squares, found.baseline)


def _times(one: Quantity, scale: Quantity) -> Quantity:
    ends = [end * by for end in (one.low, one.high) for by in (scale.low, scale.high)]
    return Quantity(one.value * scale.value, min(ends), max(ends))


def _paired(n: int, difference: Quantity, squares: Quantity) -> Quantity:
    return _p_of(n, difference, (squares,), Quantity(n - 1, n - 1, n - 1))


def _two_samples(n: int, difference: Quantity, one: Quantity, other: Quantity) -> dict[str, Quantity]:
    student = Quantity(2 * n - 2, 2 * n - 2, 2 * n - 2)
    return {
        STUDENT: _p_of(n, difference, (one, other), student),
        WELCH: _p_of(n, difference, (one, other), _welch(n, one, other)),
    }


def _welch(n: int, one: Quantity, other: Quantity) -> Quantity:
    """Welch's degrees of freedom: from n - 1, if one series alone varies, to 2 n - 2, if both do alike."""

    def freedom(of_one: float, of_other: float) -> float:
        powers = of_one**2 + of_other**2
        return (n - 1) * (of_one + of_other) ** 2 / powers if powers else n - 1

    ends = [freedom(one.low, other.high), freedom(one.high, other.low)]
    alike = one.low <= other.high and other.low <= one.high
    return Quantity(freedom(one.value, other.value), min(ends), 2 * n - 2 if alike else max(ends))


def _p_of(n: int, difference: Quantity, squares: Sequence[Quantity], freedom: Quantity) -> Quantity:
    """Two-sided p of a difference of means, from what the rounding leaves most of it to what it leaves least."""
    variance, least, most = (sum(getattr(q, end) for q in squares) / (n - 1) / n for end in ("value", "low", "high"))
    near, far = sorted((abs(difference.low), abs(difference.high)))
    if difference.low <= 0 <= difference.high:
        near = 0.0
    low, high = _p(far, least, freedom.high), _p(near, most, freedom.low)
    return Quantity(_p(difference.value, variance, freedom.value), low, high)


def _p(difference: float, variance: float, freedom: float) -> float:
    """Two-sided p of a difference with the variance of its mean; 0 without any variance."""
    return float(2 * stats.t.sf(abs(difference) / variance**0.5, freedom)) if variance > 0 else 0.0
