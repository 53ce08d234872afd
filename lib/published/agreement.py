"""Compares published figures: the text with the store, and each figure with the one that follows from the others.

Text and store agree when they are within 2 percent of the larger of the two, or within two standard errors of their
difference: the root of the sum of both sides' squared standard deviation, each divided by the side's number of texts.
A standard deviation is published or follows from published ones; a side without one has that of the other side, and a
side that does not say how many texts it is of counts as one text. A published bound agrees with whatever keeps it. A
figure agrees with the one that follows from other figures of the same source when the two are equal within the
rounding of all of them. Two tables of accuracies of one source agree within 2 percent, or within two standard errors of
their difference, which are those of so many items: see `lib.published.accuracies`. Two tables of one quantity layer by
layer agree likewise, with so many heads: see `lib.published.layers`. Of layers and of zeroed modules, text and store
agree as well if the text's figure is a rounding of the stored one.
"""

from collections.abc import Iterator
from dataclasses import replace

from lib.definitions import ARMS
from lib.published import accuracies, layers, zeroed
from lib.published.accuracies import Twice
from lib.published.figures import Column, Measurement, Published, Quantity
from lib.published.implied import follow, quantity
from lib.published.layers import Pair

TOLERANCE = 0.02
ERRORS = 2
SEEDS = ("perplexity", "increase")
"""Figures whose standard deviations are over seeds of the control, not over texts."""
ZEROED = {"baseline": "with nothing zeroed", "massive": "with massive zeroed", "random": "with random zeroed"}
SOURCES = {"text": "the text", "stored": "the store"}
Compared = dict[str, str | float | bool | None]


def compared(published: Published) -> list[Compared]:
    """One row for each figure that both columns hold, then one for each figure that others of its column imply, and
    one for each accuracy that a column gives in two tables.

    A row: `what` names the figure; `how` is `text and store`, `arithmetic of the text`, `arithmetic of the store`,
    `tables of the text` or `tables of the store`; `said` and `held` are the two numbers (in arithmetic, `held` is the
    one that follows; of two tables, that of the first is `said`); `error` is the standard error of their difference
    (None if no standard deviation is known, and in arithmetic); `ratio` is held / said (None if `said` is 0); and
    `agrees`.
    """
    given = {name: _given(column) for name, column in published.columns.items()}
    follows = {name: _follows(column, published) for name, column in published.columns.items()}
    rows = []
    if len(given) == 2:
        text, stored = (follows[name] | _with_spreads(given[name], follows[name]) for name in ("text", "stored"))
        rows += [
            _row(name, "text and store", one, stored[name], _close(one, stored[name]), _error(one, stored[name]))
            for name, one in text.items()
            if name in stored
        ]
        rows += _same_tables(published.columns["text"], published.columns["stored"])
        pairs = [*layers.of_both(*published.columns.values()), *zeroed.of_both(*published.columns.values())]
        rows += [
            _row(p.what, "text and store", p.one, p.two, _close(p.one, p.two) or _within_rounding(p.one, p.two))
            for p in pairs
        ]
    for column, source in SOURCES.items():
        for name, one in given.get(column, {}).items():
            if other := follows[column].get(name):
                rows.append(_row(name, f"arithmetic of {source}", one, other, _within_rounding(one, other)))
        if column in published.columns:
            rows += _tables(published.columns[column], source)
            rows += _of_layers_and_modules(published.columns[column], source, published.heads)
    return rows


def _of_layers_and_modules(column: Column, source: str, heads: int | None) -> Iterator[Compared]:
    """Figures by layer and of zeroed modules: each with what follows from its table, and with another table's."""
    for pair in [*layers.arithmetic(column), *zeroed.arithmetic(column)]:
        yield _row(pair.what, f"arithmetic of {source}", pair.one, pair.two, _within_rounding(pair.one, pair.two))
    for both in layers.twice(column, heads):
        for pair in both.pairs:
            name = f"{layers.QUANTITIES[both.first.quantity]}, {pair.what} ({both.first.name} and {both.other.name})"
            yield _row(name, f"tables of {source}", pair.one, pair.two, tables_agree(pair), pair.error)


def _same_tables(text: Column, stored: Column) -> Iterator[Compared]:
    """Text and store of the same table of accuracies: a row for each figure that one gives and the other has too.

    Both are of the same answers, so that the errors of so many items excuse nothing.
    """
    for said in text.tasks:
        for held in stored.tasks:
            if said.name != held.name:
                continue
            of_both = [accuracies.follow(table) | accuracies.given(table) for table in (said, held)]
            for meaning in {**accuracies.given(said), **accuracies.given(held)}:
                if all(meaning in known for known in of_both):
                    one, other = (replace(known[meaning], spread=None) for known in of_both)
                    yield _row(accuracies.name_of(said, meaning), "text and store", one, other, _close(one, other))


def _tables(column: Column, source: str) -> Iterator[Compared]:
    """The accuracies of a column: each with what follows from the others of its table, and with another table's."""
    for table in column.tasks:
        follows = accuracies.follow(table)
        for meaning, one in accuracies.given(table).items():
            if other := follows.get(meaning):
                name = accuracies.name_of(table, meaning)
                yield _row(name, f"arithmetic of {source}", one, other, _within_rounding(one, other))
    for pair in accuracies.twice(column):
        name = accuracies.name_of(pair.first, pair.meaning).removesuffix(")")
        name = f"{name} and {pair.other.name})" if pair.first.name else f"{name} (and {pair.other.name})"
        yield _row(name, f"tables of {source}", pair.one, pair.two, tables_agree(pair), pair.error)


def tables_agree(pair: Twice | Pair) -> bool:
    """Whether two tables agree about a figure: within 2 percent, or within two standard errors of the difference."""
    apart, largest = abs(pair.one.value - pair.two.value), max(abs(pair.one.value), abs(pair.two.value))
    return apart <= max(TOLERANCE * largest, ERRORS * (pair.error or 0))


def _with_spreads(given: dict[str, Quantity], follows: dict[str, Quantity]) -> dict[str, Quantity]:
    """The given figures; one without a standard deviation gets the one that follows from published figures."""
    spreads = {name: other.spread for name, other in follows.items()}
    return {
        name: replace(one, spread=spreads.get(name) if one.spread is None else one.spread)
        for name, one in given.items()
    }


def _row(name: str, how: str, one: Quantity, other: Quantity, agrees: bool, error: float | None = None) -> Compared:
    ratio = other.value / one.value if one.value else None
    name += f" (said: {one.bound})" if one.bound else ""
    row = {"what": name, "how": how, "said": one.value, "held": other.value, "error": error, "ratio": ratio}
    return {**row, "agrees": agrees}


def _close(text: Quantity, stored: Quantity) -> bool:
    if text.bound or stored.bound:
        return _within_rounding(text, stored)
    largest = max(abs(text.value), abs(stored.value))
    return abs(text.value - stored.value) <= max(TOLERANCE * largest, ERRORS * (_error(text, stored) or 0))


def _error(one: Quantity, other: Quantity) -> float | None:
    """The standard error of the difference of two means; None if neither has a standard deviation."""
    known = [q.spread for q in (one, other) if q.spread is not None]
    if not known:
        return None
    spreads = (
        one.spread if one.spread is not None else known[0],
        other.spread if other.spread is not None else known[0],
    )
    return sum(spread**2 / q.n for spread, q in zip(spreads, (one, other), strict=True)) ** 0.5


def _within_rounding(given: Quantity, follows: Quantity) -> bool:
    slack = 1e-9 * abs(given.value)  # floats
    return given.low - slack <= follows.high and follows.low - slack <= given.high


def _given(column: Column) -> dict[str, Quantity]:
    """The column's own figures by name, trials as their mean."""
    given = {}
    for meaning, entry in column.figures.items():
        if meaning == ("d above",):
            given |= {_name("d", arm): Quantity(entry.value, entry.value, float("inf"), bound="above") for arm in ARMS}
        elif meaning[0].endswith(" below"):
            name = _name(meaning[0].removesuffix(" below"), *meaning[1:])
            given[name] = Quantity(entry.value, 0, entry.value, bound="below")
        elif meaning[0] not in ("layers", "control seeds"):
            table = "disruption" if meaning[0] == "dims" else "massive_values"
            given[_name(*meaning)] = replace(quantity(entry), n=_behind(column, meaning, table))
    return given


def _follows(column: Column, published: Published) -> dict[str, Quantity]:
    """The figures that follow from others of the column, by name."""
    followed = follow(column, published.layers)
    return {_name(*meaning): replace(q, n=_behind(column, meaning, "massive_values")) for meaning, q in followed}


def _behind(column: Column, meaning: tuple[str, ...], table: str) -> int:
    """The number of texts, or of seeds, that a figure is the mean of; 1 if the column does not say."""
    if meaning[0] not in SEEDS:
        return column.measured.get(table, Measurement()).n_texts or 1
    trials = column.series("perplexity", meaning[1], meaning[2]) or ()
    if len(trials) > 1:
        return len(trials)
    seeds = column.get("control seeds")
    return int(seeds.value) if seeds and seeds.value else 1


def _name(*meaning: str) -> str:
    """The meaning of a figure in words."""
    match meaning:
        case ("total", arm, name):
            return f"massive {name} values under {arm}"
        case ("change", name):
            return f"change of massive {name} values, percent"
        case ("layer 1", arm):
            return f"massive query values of layer 1 under {arm}"
        case ("fewer per layer",):
            return "massive query values lost per layer, mean over all layers"
        case ("fewer but for layer 1",):
            return "massive query values lost per layer, mean over all layers but layer 1"
        case ("other layers with more",):
            return "layers other than layer 1 with more massive query values under drope"
        case ("perplexity", arm, condition):
            return f"perplexity under {arm} {ZEROED[condition]}"
        case ("increase", arm, condition):
            return f"increase of perplexity under {arm} {ZEROED[condition]}, percent"
        case ("kind perplexity", arm, kind, condition):
            return f"perplexity of {kind} texts under {arm} {ZEROED[condition]}"
        case ("kind", arm, kind, condition):
            return f"increase of perplexity of {kind} texts under {arm} {ZEROED[condition]}, percent"
        case ("dims", arm):
            return f"query and key channels zeroed under {arm}"
        case ("p", arm):
            return f"p of massive against random under {arm}"
        case ("d", arm):
            return f"Cohen's d of massive against random under {arm}"
        case ("p of arms",):
            return "p of rope against drope"
        case ("reliance",):
            return "reliance of rope over that of drope, in percent of perplexity"
    raise ValueError(f"no words for the figure {meaning}")
