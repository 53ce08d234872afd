"""What is found where the text's figures are held against the store: missing ones, wrong roundings, precisions."""

from collections.abc import Iterator
from math import log

from lib.definitions import ARMS
from lib.published import accuracies, layers, zeroed
from lib.published.agreement import TOLERANCE
from lib.published.figures import Ablations, Column, Contexts, Figure, Zeroed
from lib.published.sentences import Finding, finding, joined


def of_storage(text: Column, stored: Column) -> Iterator[Finding]:
    """Everything that is found where text and store are compared, but for figures that disagree."""
    yield from _ablations_nowhere(text, stored)
    yield from _tables_nowhere(text, stored)
    yield from _figures_nowhere(text, stored)
    yield from _rounding(text, stored)
    yield from _precisions(text, stored)


def _ablations_nowhere(text: Column, stored: Column) -> Iterator[Finding]:
    """Perplexities and times of what was zeroed that are in no table of the store, though it has such tables."""
    for said in text.ablations if stored.ablations else ():
        parts, numbers = [], {}
        for one in said.zeroed:
            for arm in ARMS:
                given = {"perplexity": one.perplexity.get(arm), "times the baseline's": one.times.get(arm)}
                if any(given.values()) and not _kept(stored, said.name, one, arm):
                    what = f"under {arm} with {zeroed.described(one, arm)}"
                    parts.append(f"{_told(given)} {what}{_instead(stored, said.name, one, arm)}")
                    numbers[what] = {name: figure.value for name, figure in given.items() if figure}
        if parts:
            sentence = f"The text gives figures that are stored nowhere ({said.name}): {'; '.join(parts)}."
            yield finding("stored nowhere", f"perplexities with modules zeroed ({said.name})", sentence, said=numbers)


def _kept(stored: Column, name: str, one: Zeroed, arm: str) -> bool:
    return any(
        zeroed.same(one, other, arm) and zeroed.times(table, other, arm)
        for table in stored.ablations
        if table.name == name
        for other in table.zeroed
    )


def _told(given: dict[str, Figure | None]) -> str:
    return joined(f"{figure.value:.6g} ({name})" for name, figure in given.items() if figure)


def _instead(stored: Column, name: str, one: Zeroed, arm: str) -> str:
    """What the store holds in the place of a figure, and the nearest times that it holds of the arm."""
    held = [
        (table, other, other.perplexity[arm].value)
        for table in stored.ablations
        if table.name == name
        for other in table.zeroed
        if zeroed.same(one, other, arm) and arm in other.perplexity
    ]
    parts = [f"stored as {value:g}" for _, _, value in held]
    if near := _nearest(stored, one.times.get(arm), arm):
        table, other, times = near
        parts.append(f"the nearest stored is {times:.4g} times, {zeroed.described(other, arm)}, {table.name}")
    return f" ({'; '.join(parts)})" if parts else ""


def _nearest(stored: Column, times: Figure | None, arm: str) -> tuple[Ablations, Zeroed, float] | None:
    known = [
        (table, other, found.value)
        for table in stored.ablations
        for other in table.zeroed
        if (found := zeroed.times(table, other, arm))
    ]
    if not known or not times or times.value <= 0:
        return None
    return min(known, key=lambda entry: abs(log(entry[2] / times.value)))


def _tables_nowhere(text: Column, stored: Column) -> Iterator[Finding]:
    """Tables by length of the context that the store has not, though it has another one."""
    names = {table.name for table in stored.contexts}
    missing = [table for table in text.contexts if table.name not in names]
    if names and missing:
        sentence = (
            "The text gives right answers by length of the context that are stored nowhere: "
            f"{joined(map(_counted, missing))}. The store has {joined(map(_counted, stored.contexts))}."
        )
        said, held = ([table.name for table in tables] for tables in (missing, stored.contexts))
        yield finding("stored nowhere", "right answers by length of the context", sentence, said=said, held=held)


def _counted(table: Contexts) -> str:
    return f"{table.name} ({len(table.right)} shares{f' of {table.n} trials' if table.n else ''})"


def _figures_nowhere(text: Column, stored: Column) -> Iterator[Finding]:
    """Figures layer by layer, and accuracies, that a table of the store lacks which has the same name."""
    missing = {}
    for said in text.layers:
        for held in stored.of(said.quantity, said.name):
            absent = [m for m in said.figures if not layers.find(held, m)]
            missing |= {layers.name_of(said, m): said.figures[m].value for m in absent}
    for said in text.tasks:
        for held in (table for table in stored.tasks if table.name == said.name):
            known = {**accuracies.given(held), **accuracies.follow(held)}
            absent = [m for m in said.figures if m not in known]
            missing |= {accuracies.name_of(said, m): said.figures[m].value for m in absent}
    if missing:
        parts = "; ".join(f"{what}, {value:.6g}" for what, value in missing.items())
        sentence = f"The text gives figures that the store lacks, though it has the tables around them: {parts}."
        yield finding("stored nowhere", "figures of tables that are stored", sentence, said=missing)


def _rounding(text: Column, stored: Column) -> Iterator[Finding]:
    """Figures of the text's that are near the stored ones, and are not what those round to."""
    said, held = {}, {}
    for pair in [*layers.of_both(text, stored), *zeroed.of_both(text, stored)]:
        near = abs(pair.one.value - pair.two.value) <= TOLERANCE * max(abs(pair.one.value), abs(pair.two.value))
        slack = 1e-9 * abs(pair.one.value)  # floats
        if near and not (pair.one.low - slack <= pair.two.high and pair.two.low - slack <= pair.one.high):
            said[pair.what], held[pair.what] = pair.one.value, pair.two.value
    if said:
        parts = "; ".join(f"{value:.6g} for {held[what]:.6g}, {what}" for what, value in said.items())
        sentence = f"The text's figures are near the stored ones but no roundings of them: {parts}."
        yield finding("rounding", "figures that are no roundings", sentence, said=said, held=held)


def _precisions(text: Column, stored: Column) -> Iterator[Finding]:
    """Tables of which text and store say other precisions of the weights."""
    by_precision: dict[tuple[str, str], list[str]] = {}
    for name, said in _said(text).items():
        held = _said(stored).get(name)
        if held and said != held:
            by_precision.setdefault((said, held), []).append(name)
    for (said, held), names in by_precision.items():
        sentence = (
            f"The text's figures are said to be of weights in {said}, the stored ones are in {held}: {joined(names)}."
        )
        what = f"tables in {held}"
        yield finding("measurement", what, sentence, said={"precision": said}, held={"precision": held})


def _said(column: Column) -> dict[str, str]:
    """The precision of every table that has one, by what it gives and its name."""
    found = {f"{t.quantity} ({t.name})": _of_arms(t.precisions) for t in column.layers if t.precisions}
    kinds = {"perplexities with modules zeroed": column.ablations, "right answers by length": column.contexts}
    for kind, tables in kinds.items():
        found |= {f"{kind} ({t.name})": t.measured.precision for t in tables if t.measured.precision}
    return found


def _of_arms(precisions: dict[str, str]) -> str:
    if len(set(precisions.values())) == 1:
        return next(iter(precisions.values()))
    return joined(f"{precision} ({arm})" for arm, precision in precisions.items())
