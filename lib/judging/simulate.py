"""How often a verdict is wrong on data of many kinds, by simulation: the table in docs/verdicts.md.

Every cell draws texts whose true value is exactly the threshold, judges them as a claim does, and counts the verdicts
`supported` and `refuted` of the rule "at most": both are then said with the help of a bound that missed the truth, the
upper one or the lower one. A verdict that keeps its level does either in `LEVEL` of all draws at most. For a rule "at
least" the two change places.

Run by `python -m lib.judging.simulate`, which takes minutes.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import e, exp
from pathlib import Path

import numpy as np
from numpy.random import Generator, default_rng

from lib.judging.estimates import Estimate, crossed, difference, difference_of_ratios, mean, ratio
from lib.judging.items import ItemMean, item_difference, item_mean, item_ratio
from lib.judging.order import order
from lib.judging.proportions import proportion
from lib.judging.spread import typical_variation
from lib.judging.verdicts import Judgement, assess

PAGE = Path(__file__).parents[2] / "docs" / "verdicts.md"
START, END = "<!-- made by python -m lib.judging.simulate -->\n", "<!-- end -->\n"
LEVEL = 0.01
"""About that of one claim: 0.05 divided by the claims of its family."""
TEXTS, KINDS, STEPS, DRAWN, CHANCE = 20, 4, 8, 10, 0.25
DRAWS, SEED = 4_000, 20_261
TWICE = 2
"""A rate of up to twice its level is called near it: so much a small sample of odd data may cost."""

SKEWED = "twenty texts do not show the whole of a long tail; Student's bound alone is wrong in 9 %"
RARE = "most samples lack the texts that carry the effect: no interval can tell"
OTHERS = "the verdict is one on these kinds; of other kinds the second line speaks"
CAREFUL = "what varies with text and draw alike counts twice"
WIDE = "the wide kind raises the variance that all share"
NARROW = "the narrow kind lowers the variance that all share"
ODD = "the odd text takes the place of the normal one that would have been left out"
AGREED = "bounds that hold where all items agree are wide where few differ"
LASTING = "noise that lasts from checkpoint to checkpoint looks like a course"


@dataclass(frozen=True)
class Cell:
    """A rule on a kind of data: `draw` gives the estimate of one sample, whose true value is `truth`.

    `kinds` are those of the texts; `over_kinds` judges them as the observations. `reason` says why the level is not
    kept, where that is known.
    """

    rule: str
    data: str
    truth: float
    draw: Callable[[Generator], Estimate]
    reason: str = ""
    kinds: Sequence[str] = ()
    over_kinds: bool = False

    @property
    def name(self) -> str:
        return f"{self.rule}, {self.data}"


FOUR = tuple("abcd"[i // 5] for i in range(TEXTS))
"""The kinds of twenty texts."""


def kinds_of(means: np.ndarray, spread: float, rng: Generator) -> np.ndarray:
    """Numbers of TEXTS texts in as many kinds as there are means."""
    return np.repeat(means, TEXTS // len(means)) + rng.normal(0, spread, TEXTS)


SAMPLES: dict[str, tuple[float, Callable[[Generator], np.ndarray], str]] = {
    "normal": (0.0, lambda rng: rng.normal(size=TEXTS), ""),
    "heavy tails (t with 3 degrees)": (0.0, lambda rng: rng.standard_t(3, TEXTS), ""),
    "skewed (lognormal)": (e**0.5, lambda rng: rng.lognormal(size=TEXTS), SKEWED),
    "counts (Poisson, mean 3)": (3.0, lambda rng: rng.poisson(3, TEXTS).astype(float), ""),
    "one text in twenty carries it": (1.0, lambda rng: 20.0 * (rng.random(TEXTS) < 0.05), RARE),
}
"""Kinds of data: the true mean, a sample of TEXTS texts, and why a mean over texts does not keep its level."""


def _means() -> Iterator[Cell]:
    for data, (truth, draw, reason) in SAMPLES.items():
        yield Cell("mean over texts", data, truth, lambda rng, draw=draw: mean(draw(rng)), reason)
    fixed = np.array([-1.5, -0.5, 0.5, 1.5])
    yield Cell(
        "mean by kind", "four kinds, and no others meant", 0.0, lambda rng: mean(kinds_of(fixed, 0.5, rng)), kinds=FOUR
    )
    uneven = np.repeat([0.2, 0.2, 0.2, 2.0], 5)
    yield Cell(
        "mean by kind",
        "four kinds, one of them ten times as wide",
        0.0,
        lambda rng: mean(np.repeat(fixed, 5) + uneven * rng.normal(size=TEXTS)),
        kinds=FOUR,
    )
    skewed = lambda rng: mean(np.repeat(fixed, 5) + rng.lognormal(size=TEXTS))  # noqa: E731
    yield Cell("mean by kind", "four kinds, skewed (lognormal)", e**0.5, skewed, SKEWED, kinds=FOUR)
    many = lambda rng: mean(kinds_of(rng.normal(size=KINDS), 1.0, rng))  # noqa: E731
    yield Cell("mean by kind", "four kinds of many", 0.0, many, OTHERS, kinds=FOUR)
    yield Cell("mean over kinds, the second line", "four kinds of many", 0.0, many, kinds=FOUR, over_kinds=True)


def _differences() -> Iterator[Cell]:
    """The damage to one kind of text, compared with that to another; twelve texts of each of three kinds."""

    def of(spreads: Sequence[float], draw: Callable[[Generator], np.ndarray]) -> Callable[[Generator], Estimate]:
        return lambda rng: difference({k: s * draw(rng) for k, s in zip("abc", spreads, strict=True)}, "a", "b")

    normal = lambda rng: rng.normal(size=12)  # noqa: E731
    yield Cell("difference of two kinds", "normal", 0.0, of((1, 1, 1), normal))
    yield Cell(
        "difference of two kinds", "normal, both three times as wide as the third", 0.0, of((3, 3, 1), normal), NARROW
    )
    yield Cell("difference of two kinds", "normal, both a third as wide as the third", 0.0, of((1, 1, 3), normal), WIDE)
    yield Cell("difference of two kinds", "skewed (lognormal)", 0.0, of((1, 1, 1), lambda rng: rng.lognormal(size=12)))


def _ratios() -> Iterator[Cell]:
    """Change in percent of a count that truly falls by 30 %, and points between two such changes."""

    def change(rng: Generator, count: float) -> Estimate:
        before, after = rng.poisson(count, TEXTS), rng.poisson(0.7 * count, TEXTS)
        return ratio(after - before, before)

    for count in (4, 20, 200):
        yield Cell(
            "ratio of means", f"counts (Poisson, mean {count})", -30.0, lambda rng, count=count: change(rng, count)
        )
    twice = lambda rng: difference_of_ratios(change(rng, 20), change(rng, 20))  # noqa: E731
    yield Cell("difference of two ratios", "counts (Poisson, mean 20)", 0.0, twice)


def _crossed() -> Iterator[Cell]:
    def table(rng: Generator, text: float, draw: float, rest: float) -> Estimate:
        texts, draws = rng.normal(0, text, (TEXTS, 1)), rng.normal(0, draw, DRAWN)
        return crossed(texts + draws + rng.normal(0, rest, (TEXTS, DRAWN)))

    rule = "mean over texts and draws"
    yield Cell(rule, "normal, draws differ as much as texts", 0.0, lambda rng: table(rng, 1, 1, 1))
    yield Cell(rule, "normal, draws differ more than texts", 0.0, lambda rng: table(rng, 0.3, 1, 1))
    yield Cell(rule, "normal, neither differs but both together", 0.0, lambda rng: table(rng, 0, 0, 1), CAREFUL)


def _variations() -> Iterator[Cell]:
    spread, rule = 0.1, "variation without the oddest text"
    sigma = np.log(1 + spread**2) ** 0.5
    yield Cell(rule, "normal", spread, lambda rng: typical_variation(rng.normal(1, spread, TEXTS)))
    skewed = lambda rng: typical_variation(rng.lognormal(0, sigma, TEXTS))  # noqa: E731
    yield Cell(rule, "skewed (lognormal)", (exp(sigma**2) - 1) ** 0.5, skewed)
    odd = lambda rng: typical_variation(np.append(rng.normal(1, spread, TEXTS - 1), 1 + 9 * spread))  # noqa: E731
    yield Cell(rule, "normal, but one text that is odd every time", spread, odd, ODD)


def _orders() -> Iterator[Cell]:
    def course(rng: Generator, shared: float, lasting: float) -> Estimate:
        noise = rng.normal(size=STEPS)
        for i in range(1, STEPS):
            noise[i] += lasting * noise[i - 1]
        return order(rng.normal(size=(TEXTS, STEPS)) + shared * noise)

    rule = "order of the means of a series"
    yield Cell(rule, "no order", 0.0, lambda rng: course(rng, 0, 0))
    yield Cell(rule, "no order, noise that all texts share", 0.0, lambda rng: course(rng, 1, 0))
    yield Cell(rule, "no order, shared noise that lasts", 0.0, lambda rng: course(rng, 1, 0.7), LASTING)


def _tasks() -> Iterator[Cell]:
    """Items of tasks that are right or wrong, before and after a change."""

    def points(rng: Generator, lost: float, gained: float, tasks: int = 6, items: int = 60) -> ItemMean:
        numbers = rng.choice([100, -100, 0], tasks * items, p=[lost, gained, 1 - lost - gained])
        return item_mean(numbers, np.repeat(np.arange(tasks), items).tolist(), (-100, 0, 100))

    def share(rng: Generator, before: float, kept: float, tasks: int = 2, items: int = 100) -> Estimate:
        right = (rng.random(tasks * items) < before).astype(float)
        lost = right * (rng.random(tasks * items) >= kept)
        names = np.repeat(np.arange(tasks), items).tolist()
        possible = [(b - a, b - CHANCE) for b in (0, 1) for a in (0, 1)]
        return item_ratio(lost, right - CHANCE, names, dict.fromkeys(names, possible))

    rule = "mean over tasks"
    for data, lost, gained, reason in (
        ("1 of 20 items is lost", 0.05, 0.0, AGREED),
        ("3 of 10 are lost, 1 of 50 is gained", 0.3, 0.02, ""),
        ("9 of 10 are lost, 1 of 50 is gained", 0.9, 0.02, AGREED),
    ):
        change = lambda rng, lost=lost, gained=gained: points(rng, lost, gained)  # noqa: E731
        yield Cell(rule, data, 100 * (lost - gained), change, reason)
    apart = lambda rng: item_difference(points(rng, 0.3, 0.02), points(rng, 0.3, 0.02, 2, 100))  # noqa: E731
    yield Cell("difference between tasks", "3 of 10 items are lost, 1 of 50 is gained", 0.0, apart)
    for data, kept, reason in (("1 of 2 right answers is lost", 0.5, ""), ("1 of 10 is lost", 0.9, AGREED)):
        truth = 100 * 0.8 * (1 - kept) / (0.8 - CHANCE)
        yield Cell("ratio over tasks", data, truth, lambda rng, kept=kept: share(rng, 0.8, kept), reason)
    for hits in (0.1, 0.5):
        found = lambda rng, hits=hits: proportion(rng.binomial(100, hits), 100)  # noqa: E731
        yield Cell("share of items", f"{100 * hits:g} of 100", 100 * hits, found)


CELLS = (*_means(), *_differences(), *_ratios(), *_crossed(), *_variations(), *_orders(), *_tasks())


def rates(cell: Cell, draws: int = DRAWS, seed: int = SEED) -> tuple[float, float]:
    """The share of samples that the rule "at most the truth" supports, and the share that it refutes."""
    rng = default_rng([seed, CELLS.index(cell)])
    verdicts = [_judged(cell, cell.draw(rng)).verdict for _ in range(draws)]
    return verdicts.count("supported") / draws, verdicts.count("refuted") / draws


def _judged(cell: Cell, estimate: Estimate) -> Judgement:
    if cell.over_kinds:
        return assess(estimate.over_kinds(cell.kinds), alpha=LEVEL, distinct=TEXTS).at_most(cell.truth)
    by_kind = estimate.by_kind(cell.kinds) if cell.kinds else estimate
    return assess(by_kind, alpha=LEVEL, distinct=TEXTS).at_most(cell.truth)


def table(draws: int = DRAWS) -> str:
    """All cells as Markdown."""
    lines = ["| estimate | data | upper bound below the truth | lower bound above it | |", "|---|---|---|---|---|"]
    for cell in CELLS:
        shares = [f"{100 * rate:.2g} %" for rate in rates(cell, draws)]
        lines.append(f"| {' | '.join([cell.rule, cell.data, *shares, cell.reason])} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Bring the table of docs/verdicts.md up to date."""
    before, after = PAGE.read_text(encoding="utf-8").split(START)
    PAGE.write_text(f"{before}{START}{table()}{END}{after.split(END)[1]}", encoding="utf-8")


if __name__ == "__main__":
    main()
