"""Published figures layer by layer: what follows from them, how they compare, and what is found in them.

Where they are shares of heads, standard errors are those of a share of so many heads, with one head more on either
side; heads are taken for uncorrelated.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from lib.definitions import ARMS
from lib.published.figures import PERCENT, QUANTITIES, Column, Figure, Layers, Quantity
from lib.published.sentences import STARTS, Finding, finding, joined

CONSTANT = 0.001
OF_FIRST = ("norm of first", "attention norm at first", "mlp norm at first")
POINTS = 5.0
"""Percentage points by which two layers are told apart."""
Meaning = tuple


@dataclass(frozen=True)
class Pair:
    """A figure that is given twice, or that is given and follows; `error` is that of their difference."""

    what: str
    one: Quantity
    two: Quantity
    error: float | None = None


def of_both(text: Column, stored: Column) -> Iterator[Pair]:
    """Every figure of the text's that the store has, or makes follow, in its table of that name and quantity."""
    for said in text.layers:
        for held in stored.of(said.quantity, said.name):
            for meaning in said.figures:
                if other := find(held, meaning):
                    yield Pair(name_of(said, meaning), plain(said.figures[meaning]), other)


def arithmetic(column: Column) -> Iterator[Pair]:
    """Every figure of a column with the one that follows from others of its table."""
    for table in column.layers:
        for meaning, figure in table.figures.items():
            if other := follows(table, meaning):
                yield Pair(name_of(table, meaning), plain(figure), other)


@dataclass(frozen=True)
class TwoTables:
    """Two tables of one quantity, and the figures that both give: of one layer, or means over layers."""

    first: Layers
    other: Layers
    pairs: list[Pair]


def twice(column: Column, heads: int | None) -> Iterator[TwoTables]:
    """Every two tables of a quantity in a column, the earlier one first."""
    for i, first in enumerate(column.layers):
        for other in column.layers[i + 1 :]:
            if other.quantity == first.quantity:
                pairs = [
                    _pair(first, other, meaning, heads)
                    for meaning in first.figures
                    if meaning[0] in ("layer", "mean") and find(other, meaning)
                ]
                if pairs:
                    yield TwoTables(first, other, pairs)


def _pair(first: Layers, other: Layers, meaning: Meaning, heads: int | None) -> Pair:
    one, two = find(first, meaning), find(other, meaning)
    error = None
    if heads and first.quantity == "sinks":
        of_layers = 1 if meaning[0] == "layer" else meaning[3] - meaning[2] + 1
        error = sum(_error(q.value, heads * of_layers) ** 2 for q in (one, two)) ** 0.5
    return Pair(_words(meaning), one, two, error)


def _error(percent: float, n: int) -> float:
    """The standard error of a share of n heads, in percentage points."""
    share = (percent * n / 100 + 1) / (n + 2)
    return 100 * (share * (1 - share) / n) ** 0.5


def find(table: Layers, meaning: Meaning) -> Quantity | None:
    """A figure that the table gives, or else the one that follows; None if it has neither."""
    given = table.figures.get(meaning)
    return plain(given) if given else follows(table, meaning)


def follows(table: Layers, meaning: Meaning) -> Quantity | None:
    """The figure that follows from the others of a table, with the bounds that their rounding leaves it; or None."""
    match meaning:
        case ("mean", arm, first, last):
            return _over_layers(table, arm, first, last, "mean")
        case ("least" | "most" as end, arm, first, last):
            return _over_layers(table, arm, first, last, end)
        case ("times" | "more" as kind, first, last):
            rope, drope = (find(table, _span(arm, first, last)) for arm in ARMS)
            if not rope or not drope:
                return None
            if kind == "more":
                return Quantity(drope.value - rope.value, drope.low - rope.high, drope.high - rope.low)
            if rope.low <= 0:
                return None
            return Quantity(drope.value / rope.value, drope.low / rope.high, drope.high / rope.low)
        case ("first above", arm, bound):
            above = [layer for layer, figure in sorted(table.series(arm).items()) if figure.value > bound]
            known = above and all(layer in table.series(arm) for layer in range(above[0]))
            return Quantity(*[float(above[0])] * 3) if known else None
    return None


def _span(arm: str, first: int, last: int) -> Meaning:
    return ("layer", arm, first) if first == last else ("mean", arm, first, last)


def _over_layers(table: Layers, arm: str, first: int, last: int, of: str) -> Quantity | None:
    series = table.series(arm)
    if not all(layer in series for layer in range(first, last + 1)):
        return None
    parts = [plain(series[layer]) for layer in range(first, last + 1)]
    if of == "mean":
        return Quantity(*(sum(getattr(q, end) for q in parts) / len(parts) for end in ("value", "low", "high")))
    end = min if of == "least" else max
    return Quantity(*(end(getattr(q, bound) for q in parts) for bound in ("value", "low", "high")))


def plain(figure: Figure) -> Quantity:
    """A figure with the bounds of the range that rounds to it."""
    return Quantity(figure.value, figure.value - figure.half, figure.value + figure.half)


def name_of(table: Layers, meaning: Meaning) -> str:
    """The meaning of a figure in words, with the name of its table."""
    return f"{QUANTITIES[table.quantity]}, {_words(meaning)} ({table.name})"


def _words(meaning: Meaning) -> str:
    match meaning:
        case ("layer", arm, layer):
            return f"layer {layer} under {arm}"
        case ("mean", arm, first, last):
            return f"mean of layers {first} to {last} under {arm}"
        case ("least" | "most" as end, arm, first, last):
            return f"{end} of layers {first} to {last} under {arm}"
        case ("times" | "more" as kind, first, last):
            where = f"layer {first}" if first == last else f"mean of layers {first} to {last}"
            return f"{where}, {'drope over rope' if kind == 'times' else 'drope less rope'}"
        case ("first above", arm, bound):
            return f"first layer above {bound:g} under {arm}"
        case ("largest sd", arm):
            return f"largest standard deviation over texts under {arm}"
    raise ValueError(f"no words for the figure {meaning}")


def of_layers(column: Column) -> Iterator[Finding]:
    """Everything that is found in the tables of one column."""
    yield from _hidden(column)
    yield from _two_precisions(column)
    yield from _one_text(column)


def _hidden(column: Column) -> Iterator[Finding]:
    """Means over layers in which the arms are close, while single layers are far apart. Percents alone have points."""
    for table in column.layers:
        series = [table.series(arm) for arm in ARMS]
        if table.quantity not in PERCENT:
            continue
        for first, last in dict.fromkeys(m[2:] for m in table.figures if m[0] == "mean"):
            means = [find(table, ("mean", arm, first, last)) for arm in ARMS]
            if not all(means) or not all(set(range(first, last + 1)) <= set(of_arm) for of_arm in series):
                continue
            rope, drope = (q.value for q in means)
            more = {layer: series[1][layer].value - series[0][layer].value for layer in range(first, last + 1)}
            apart = [layer for layer, points in more.items() if abs(points) > POINTS]
            if apart and abs(drope - rope) <= POINTS:
                most = max(more, key=lambda layer: abs(more[layer]))
                sentence = (
                    f"{STARTS[column.name]} {table.quantity} ({table.name}) with means of layers {first} to {last} "
                    f"that are {abs(drope - rope):.2g} points apart, {rope:.3g} under rope and {drope:.3g} under "
                    f"drope. The arms are more than {POINTS:g} points apart in {len(apart)} of these layers "
                    f"({', '.join(map(str, apart))}), most in layer {most}, by {abs(more[most]):.3g}."
                )
                what = f"{table.quantity} ({table.name})"
                yield finding("hidden by a mean", what, sentence, said=drope - rope, held=more[most])


def _two_precisions(column: Column) -> Iterator[Finding]:
    """Quantities of which the arms were measured with weights in two precisions."""
    found: dict[tuple[str, str], list[Layers]] = {}
    for table in column.layers:
        said = [table.precisions.get(arm) for arm in ARMS]
        if None not in said and said[0] != said[1]:
            found.setdefault(tuple(said), []).append(table)
    for (rope, drope), tables in found.items():
        names = joined(f"{table.quantity} ({table.name})" for table in tables)
        sentence = (
            f"{STARTS[column.name]} figures of rope with weights in {rope} beside those of drope with weights in "
            f"{drope}: {names}. What differs between the arms may be the precision."
        )
        yield finding("precision", "precisions of the arms", sentence, said={"rope": rope}, held={"drope": drope})


def _one_text(column: Column) -> Iterator[Finding]:
    """Norms of the first position that do not vary between texts: it sees itself alone, and so texts are no "
    "replicates."""
    for quantity in OF_FIRST:
        for table in column.of(quantity):
            largest = {arm: table.figures[key].value for arm in ARMS if (key := ("largest sd", arm)) in table.figures}
            series = {arm: [figure.value for figure in table.series(arm).values()] for arm in largest}
            texts = table.measured.n_texts or 1
            constant = [arm for arm in largest if series[arm] and largest[arm] <= CONSTANT * max(series[arm])]
            if constant and texts > 1:
                parts = joined(f"{largest[arm]:.2g} beside {max(series[arm]):.3g} ({arm})" for arm in constant)
                sentence = (
                    f"{STARTS[column.name]} {quantity} ({table.name}) of {texts} texts with standard deviations of at "
                    f"most {parts}: the first position sees itself alone, so that {texts} texts are one measurement."
                )
                what = f"{quantity} ({table.name})"
                yield finding("one text", what, sentence, said=texts, held={arm: largest[arm] for arm in constant})
