"""How often a verdict is wrong on data of many kinds, by simulation: the table in docs/verdicts.md.

Every cell draws texts whose true value is exactly the threshold, judges them as a claim does, and counts the verdicts
`supported` and `refuted` of the rule "at most": both are then said with the help of a bound that missed the truth, the
upper one or the lower one. A verdict that keeps its level does either in `LEVEL` of all draws at most. For a rule "at
least" the two change places.

Run by `python -m lib.judging.simulate`, which takes minutes.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import e, exp
from pathlib import Path

import numpy as np
from numpy.random import Generator, default_rng

from lib.judging.estimates import Estimate, contrast, mean, trend, variation
from lib.judging.verdicts import assess

PAGE = Path(__file__).parents[2] / "docs" / "verdicts.md"
START, END = "<!-- made by python -m lib.judging.simulate -->\n", "<!-- end -->\n"
LEVEL = 0.01
"""About that of one claim: 0.05 divided by the claims of its family."""
TEXTS, KINDS, STEPS = 20, 4, 8
DRAWS, SEED = 10_000, 20_261
TWICE = 2
"""A rate of up to twice its level is called near it: so much a small sample of odd data may cost."""

SKEWED = "a bound of Student's t is too near on the side of the long tail"
RARE = "most samples lack the texts that carry the effect: no interval can tell"
CLUSTERED = "texts of one kind are no independent ones, if the kinds themselves are a sample"
CAREFUL = "the spread between kinds counts as noise, so the verdict stays open too often"
RATIOS = "the mean of ratios is larger than the ratio of means where counts are few"
SHARED = "what happens to a checkpoint happens to all of its texts, which count as independent"


@dataclass(frozen=True)
class Cell:
    """A rule on a kind of data: `draw` gives the estimate of one sample, whose true value is `truth`.

    `reason` says why the level is not kept, where that is known.
    """

    rule: str
    data: str
    truth: float
    draw: Callable[[Generator], Estimate]
    reason: str = ""

    @property
    def name(self) -> str:
        return f"{self.rule}, {self.data}"


def kinds_of(means: np.ndarray, spread: float, rng: Generator) -> np.ndarray:
    """Numbers of TEXTS texts in as many kinds as there are means."""
    return np.repeat(means, TEXTS // len(means)) + rng.normal(0, spread, TEXTS)


SAMPLES: dict[str, tuple[float, Callable[[Generator], np.ndarray], str]] = {
    "normal": (0.0, lambda rng: rng.normal(size=TEXTS), ""),
    "heavy tails (t with 3 degrees)": (0.0, lambda rng: rng.standard_t(3, TEXTS), ""),
    "skewed (lognormal)": (e**0.5, lambda rng: rng.lognormal(size=TEXTS), SKEWED),
    "counts (Poisson, mean 3)": (3.0, lambda rng: rng.poisson(3, TEXTS).astype(float), ""),
    "one text in twenty carries it": (1.0, lambda rng: 20.0 * (rng.random(TEXTS) < 0.05), RARE),
    "four kinds, and no others meant": (
        0.0,
        lambda rng: kinds_of(np.array([-1.5, -0.5, 0.5, 1.5]), 0.5, rng),
        CAREFUL,
    ),
    "four kinds of many": (0.0, lambda rng: kinds_of(rng.normal(size=KINDS), 1.0, rng), CLUSTERED),
}
"""Kinds of data: the true mean, a sample of TEXTS texts, and why a mean over texts does not keep its level."""


def _means() -> Iterator[Cell]:
    for data, (truth, draw, reason) in SAMPLES.items():
        yield Cell("mean over texts", data, truth, lambda rng, draw=draw: mean(draw(rng)), reason)


def _contrasts() -> Iterator[Cell]:
    """Twice the damage to some texts, compared with that to others: 4 of one kind and 16 of the rest."""
    yield Cell(
        "difference of two groups",
        "normal, 4 and 16 texts of unequal spread",
        -1.0,
        lambda rng: contrast(rng.normal(1, 3, 4), rng.normal(1, 1, 16), 2.0),
    )
    yield Cell(
        "difference of two groups",
        "skewed (lognormal), 4 and 16 texts",
        -(e**0.5),
        lambda rng: contrast(rng.lognormal(size=4), rng.lognormal(size=16), 2.0),
    )


def _changes() -> Iterator[Cell]:
    """Change in percent of a count that truly falls by 30 %: a mean over texts of ratios."""

    def change(rng: Generator, count: float) -> Estimate:
        before, after = rng.poisson(count, TEXTS), rng.poisson(0.7 * count, TEXTS)
        kept = before > 0
        return mean(100 * (after[kept] / before[kept] - 1))

    for count in (4, 20, 200):
        draw = lambda rng, count=count: change(rng, count)  # noqa: E731
        yield Cell("change in percent", f"counts (Poisson, mean {count})", -30.0, draw, RATIOS if count < 20 else "")


def _variations() -> Iterator[Cell]:
    spread = 0.2
    sigma = np.log(1 + spread**2) ** 0.5
    normal = lambda rng: variation(rng.normal(1, spread, TEXTS))  # noqa: E731
    skewed = lambda rng: variation(rng.lognormal(0, sigma, TEXTS))  # noqa: E731
    odd = lambda rng: variation(np.where(rng.random(TEXTS) < 0.05, 1.9, 1.0) + rng.normal(0, 0.05, TEXTS))  # noqa: E731
    level, width = 1.0 + 0.05 * 0.9, (0.05 * 0.95 * 0.9**2 + 0.05**2) ** 0.5
    yield Cell("coefficient of variation", "normal", spread, normal)
    yield Cell("coefficient of variation", "skewed (lognormal)", (exp(sigma**2) - 1) ** 0.5, skewed)
    yield Cell("coefficient of variation", "one text in twenty is odd", width / level, odd, RARE)


def _trends() -> Iterator[Cell]:
    def course(rng: Generator, shared: float) -> Estimate:
        return trend(rng.normal(size=(TEXTS, STEPS)) + shared * rng.normal(size=STEPS))

    yield Cell("trend over a series", "normal, no trend", 0.0, lambda rng: course(rng, 0.0))
    yield Cell(
        "trend over a series", "normal, no trend, half of the noise shared", 0.0, lambda rng: course(rng, 1.0), SHARED
    )


CELLS = (*_means(), *_contrasts(), *_changes(), *_variations(), *_trends())


def rates(cell: Cell, draws: int = DRAWS, seed: int = SEED) -> tuple[float, float]:
    """The share of samples that the rule "at most the truth" supports, and the share that it refutes."""
    rng = default_rng([seed, CELLS.index(cell)])
    verdicts = [assess(cell.draw(rng), alpha=LEVEL, distinct=TEXTS).at_most(cell.truth).verdict for _ in range(draws)]
    return verdicts.count("supported") / draws, verdicts.count("refuted") / draws


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
