"""Published accuracies on tasks: how exactly they are known, what follows from them, and how two tables compare.

Standard errors are those of a share of n items. In them, one right and one wrong answer are added, so that a share of 0
or 100 percent has an error as well; items of two conditions are taken for uncorrelated, for nobody publishes how they
are correlated. Where a source leaves answers out of n, n is as the source says, and the true error is larger.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from lib.definitions import ARMS, ASKED
from lib.published.figures import Column, Figure, Quantity, Task, TaskTable
from lib.tasks import KNOWLEDGE

EDITS = ASKED[1:]
REPLACED = {
    "baseline": "with nothing replaced",
    "massive": "with massive channels replaced",
    "random": "with random channels replaced",
    "energy": "with random channels of equal energy replaced",
    "top": "with each head's largest channel replaced",
    "smallest": "with each head's smallest channel replaced",
}
ROUNDING = 1e-9
"""Floats: no published accuracy has so many digits."""
Meaning = tuple[str, ...]


def fits(accuracy: Figure, n: int) -> list[int]:
    """Every number of right answers among `n` whose share rounds to the accuracy, in percent."""
    reach = accuracy.half + ROUNDING
    first = max(0, int((accuracy.value - reach) * n / 100))
    last = min(n, int((accuracy.value + reach) * n / 100) + 1)
    return [right for right in range(first, last + 1) if abs(100 * right / n - accuracy.value) <= reach]


def right(accuracy: Figure, task: Task) -> int | None:
    """The number of right answers; None unless n and the digits of the accuracy leave one number alone.

    Nor is it known where answers are left out, for nobody publishes of how many answers that accuracy is.
    """
    found = fits(accuracy, task.n) if task.n and task.unparsed != "left out" else []
    return found[0] if len(found) == 1 else None


def most_answers(accuracy: Figure, n: int) -> int | None:
    """The largest number of answers, `n` at most, of which a whole number is that share; None if there is none."""
    return next((answers for answers in range(n, 0, -1) if fits(accuracy, answers)), None)


def given(table: TaskTable) -> dict[Meaning, Quantity]:
    """The figures of a table by their meaning, accuracies with the standard error of their items as the spread."""
    return {
        meaning: _of_items(figure, table.tasks.get(meaning[2])) if meaning[0] == "accuracy" else _plain(figure)
        for meaning, figure in table.figures.items()
    }


def follow(table: TaskTable) -> dict[Meaning, Quantity]:
    """Every figure that follows from the accuracies of tasks: what is lost, means over tasks, and what comes of those.

    The spread is the standard error. A kind of knowledge has the mean of its tasks, if all of them are given.
    """
    known = given(table)
    found: dict[Meaning, Quantity] = {}
    for arm in ARMS:
        for task in table.tasks:
            before = known.get(("accuracy", arm, task, "baseline"))
            for edit in EDITS:
                after = known.get(("accuracy", arm, task, edit))
                if before and after and before.low > 0:
                    found["lost", arm, task, edit] = _lost(before, after)
        for knowledge in KNOWLEDGE:
            for kind, condition in [*(("accuracy", c) for c in ASKED), *(("lost", c) for c in EDITS)]:
                of_tasks = [(kind, arm, task, condition) for task in table.of(knowledge)]
                parts = [found.get(meaning) or known.get(meaning) for meaning in of_tasks]
                if parts and all(parts):
                    found[kind, arm, knowledge, condition] = _mean(parts)
    for edit in EDITS:
        rope, drope = ([_either(known, found, ("lost", arm, k, edit)) for k in KNOWLEDGE] for arm in ARMS)
        for arm, of_arm in zip(ARMS, (rope, drope), strict=True):
            if all(of_arm) and min(part.low for part in of_arm) > 0:
                found["contextual over parametric", arm, edit] = _over(*of_arm)
        if rope[0] and drope[0] and rope[0].low > 0 and drope[0].low >= 0:
            times = _over(drope[0], rope[0])
            ends = (100 * (1 - times.high), 100 * (1 - times.low))
            found["contextual less", edit] = Quantity(100 * (1 - times.value), *ends)
    return found


@dataclass(frozen=True)
class Twice:
    """A figure that two tables of a column give, or that follows from theirs; `error` is that of their difference."""

    first: TaskTable
    other: TaskTable
    meaning: Meaning
    one: Quantity
    two: Quantity
    error: float | None


def twice(column: Column) -> Iterator[Twice]:
    """Every accuracy, and every loss of accuracy, that the first table and another one of a column both give."""
    if not column.tasks:
        return
    first, *others = column.tasks
    for other in others:
        own, its = (_all(table) for table in (first, other))
        for meaning, one in own.items():
            if meaning in its and meaning[0] in ("accuracy", "lost"):
                two = its[meaning]
                known = None not in (one.spread, two.spread)
                yield Twice(first, other, meaning, one, two, (one.spread**2 + two.spread**2) ** 0.5 if known else None)


def _all(table: TaskTable) -> dict[Meaning, Quantity]:
    """What a table gives, and what follows; a figure without a standard error has that of the one that follows."""
    known, follows = given(table), follow(table)
    for meaning, found in known.items():
        if found.spread is None and meaning in follows:
            known[meaning] = replace(found, spread=follows[meaning].spread)
    return {**known, **{meaning: found for meaning, found in follows.items() if meaning not in known}}


def name_of(table: TaskTable, meaning: Meaning) -> str:
    """The meaning of a figure in words, with the name of its table."""
    match meaning:
        case ("accuracy", arm, what, condition):
            words = f"accuracy on {_tasks(what)} under {arm} {REPLACED[condition]}, percent"
        case ("lost", arm, what, edit):
            words = f"accuracy on {_tasks(what)} lost under {arm} {REPLACED[edit]}, percent of the baseline"
        case ("contextual over parametric", arm, edit):
            words = f"accuracy lost on contextual over that on parametric tasks under {arm} {REPLACED[edit]}"
        case ("contextual less", edit):
            words = f"accuracy that drope loses less than rope on contextual tasks {REPLACED[edit]}, percent"
    return f"{words} ({table.name})" if table.name else words


def _tasks(what: str) -> str:
    return f"{what} tasks, mean over tasks," if what in KNOWLEDGE else what


def _of_items(accuracy: Figure, task: Task | None) -> Quantity:
    plain = _plain(accuracy)
    if task is None or task.n is None:
        return plain
    share = (accuracy.value * task.n / 100 + 1) / (task.n + 2)
    return Quantity(plain.value, plain.low, plain.high, 100 * (share * (1 - share) / task.n) ** 0.5)


def _plain(figure: Figure) -> Quantity:
    return Quantity(figure.value, figure.value - figure.half, figure.value + figure.half)


def _either(known: dict[Meaning, Quantity], found: dict[Meaning, Quantity], meaning: Meaning) -> Quantity | None:
    return known.get(meaning) or found.get(meaning)


def _lost(before: Quantity, after: Quantity) -> Quantity:
    """Percent of `before` that is gone, with its rounding, and to first order its standard error."""
    error = None
    if None not in (before.spread, after.spread):
        parts = (after.spread / before.value, after.value * before.spread / before.value**2)
        error = 100 * sum(part**2 for part in parts) ** 0.5
    low, high = 1 - after.high / before.low, 1 - after.low / before.high
    return Quantity(100 * (1 - after.value / before.value), 100 * low, 100 * high, error)


def _over(above: Quantity, below: Quantity) -> Quantity:
    return Quantity(above.value / below.value, above.low / below.high, above.high / below.low)


def _mean(parts: list[Quantity]) -> Quantity:
    number = len(parts)
    spreads = [part.spread for part in parts]
    error = None if None in spreads else sum(spread**2 for spread in spreads) ** 0.5 / number
    ends = (sum(part.low for part in parts) / number, sum(part.high for part in parts) / number)
    return Quantity(sum(part.value for part in parts) / number, *ends, error)
