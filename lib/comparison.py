"""Compares published figures: what is said with what is stored, and what is given with what follows from the rest.

Text and store agree when they are within 2 percent of the larger of the two, or within two standard deviations over
texts, published or following from published ones. What follows from other figures of the same source must be met within
the rounding of all that take part.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from lib.published import ARMS, CONDITIONS, NAMES, Column, Figure, Published
from lib.published_effects import total_of

TOLERANCE = 0.02
DEVIATIONS = 2
ZEROED = {"baseline": "with nothing zeroed", "massive": "with massive zeroed", "random": "with random zeroed"}
Compared = dict[str, str | float | bool | None]


@dataclass(frozen=True)
class Quantity:
    """A value, the ends of what it was rounded from, and its standard deviation over texts if that is known.

    `at_least` says that only a lower bound was published.
    """

    value: float
    low: float
    high: float
    spread: float | None = None
    at_least: bool = False


def compared(published: Published) -> list[Compared]:
    """Everything that both columns hold, then all arithmetic within a column: one row for each.

    A row: `what`, `how` (`text and store`, `arithmetic of the text`, `arithmetic of the store`), `said`, `held` (for
    arithmetic: what follows), `spread` (None where none is known), `ratio` (held / said, None where that is 0), `agrees`.
    """
    given = {name: _given(column) for name, column in published.columns.items()}
    follows = {name: _follows(column, published.layers) for name, column in published.columns.items()}
    rows = []
    if len(given) == 2:
        text, stored = (follows[name] | _with_spreads(given[name], follows[name]) for name in ("text", "stored"))
        rows += [
            _row(what, "text and store", quantity, stored[what], _close(quantity, stored[what]))
            for what, quantity in text.items()
            if what in stored
        ]
    for name, source in (("text", "arithmetic of the text"), ("stored", "arithmetic of the store")):
        for what, quantity in given.get(name, {}).items():
            if other := follows[name].get(what):
                rows.append(_row(what, source, quantity, other, _within_rounding(quantity, other)))
    return rows


def _with_spreads(given: dict[str, Quantity], follows: dict[str, Quantity]) -> dict[str, Quantity]:
    """A figure without a standard deviation has the one that follows for it from published ones."""
    return {
        what: replace(quantity, spread=follows[what].spread)
        if quantity.spread is None and what in follows
        else quantity
        for what, quantity in given.items()
    }


def _row(what: str, how: str, said: Quantity, held: Quantity, agrees: bool) -> Compared:
    spread = max((q.spread for q in (said, held) if q.spread is not None), default=None)
    ratio = held.value / said.value if said.value else None
    row = {"what": what, "how": how, "said": said.value, "held": held.value, "spread": spread, "ratio": ratio}
    return {**row, "agrees": agrees}


def _close(said: Quantity, held: Quantity) -> bool:
    if said.at_least:
        return held.value >= said.value
    reach = max(DEVIATIONS * (q.spread or 0) for q in (said, held))
    largest = max(abs(said.value), abs(held.value))
    return abs(said.value - held.value) <= max(TOLERANCE * largest, reach)


def _within_rounding(given: Quantity, follows: Quantity) -> bool:
    slack = 1e-9 * abs(given.value)  # floats
    return given.low - slack <= follows.high and follows.low - slack <= given.high


def _given(column: Column) -> dict[str, Quantity]:
    """The figures that are there, by what they say; means of trials."""
    found = {}
    for what, entry in column.figures.items():
        if what == ("d above",):
            found |= {_name("d", arm): Quantity(entry.value, entry.value, float("inf"), at_least=True) for arm in ARMS}
        elif what[0] not in ("layers", "control seeds"):
            found[_name(*what)] = _quantity(entry)
    return found


def _name(*what: str) -> str:
    """What a figure is, in words."""
    match what:
        case ("total", arm, name):
            return f"massive {name} values under {arm}"
        case ("change", name):
            return f"change of massive {name} values, percent"
        case ("layer 1", arm):
            return f"massive query values of layer 1 under {arm}"
        case ("fewer per layer",):
            return "massive query values lost per layer, mean over all layers"
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
    raise ValueError(f"no words for the figure {what}")


def _follows(column: Column, layers: int) -> dict[str, Quantity]:
    """What the other figures of a column make of each."""
    return {_name(*what): quantity for what, quantity in [*_counts(column, layers), *_losses(column)]}


def _counts(column: Column, layers: int) -> Iterator[tuple[tuple[str, ...], Quantity]]:
    for name in NAMES:
        for arm in ARMS:
            if series := column.series("layers", arm, name):
                yield ("total", arm, name), _scaled(series, 1)
        before, after = (total_of(column, arm, name) for arm in ARMS)
        if before and after and before.value > before.half:
            yield ("change", name), _change(before, after)
        if before and after and name == "query":
            lost, half = before.value - after.value, before.half + after.half
            spread = _root(before.spread, after.spread)
            ends = ((lost - half) / layers, (lost + half) / layers)
            yield ("fewer per layer",), Quantity(lost / layers, *ends, None if spread is None else spread / layers)
    for arm in ARMS:
        if series := column.series("layers", arm, "query"):
            yield ("layer 1", arm), _quantity(series[1])
        if not column.get("dims", arm) and all(totals := [total_of(column, arm, name) for name in NAMES[:2]]):
            both = _scaled(tuple(totals), 1)
            yield ("dims", arm), Quantity(both.value, both.low, both.high, _root(*(t.spread for t in totals)))
    if (gained := layers_with_more(column, "query")) is not None:
        others = float(len([layer for layer in gained if layer != 1]))
        yield ("other layers with more",), Quantity(others, others, others)


def _losses(column: Column) -> Iterator[tuple[tuple[str, ...], Quantity]]:
    for arm in ARMS:
        for start in (("perplexity", arm), *(("kind perplexity", arm, kind) for kind in column.kinds(arm))):
            before = column.series(*start, "baseline")
            for condition in CONDITIONS[1:]:
                if before and (after := column.series(*start, condition)):
                    name = "increase" if start[0] == "perplexity" else "kind"
                    yield (name, *start[1:], condition), _change(_mean(before), _mean(after))
    increases = [increase(column, arm) for arm in ARMS]
    if all(increases) and all(i.low > 0 for i in increases):
        rope, drope = increases
        yield ("reliance",), Quantity(rope.value / drope.value, rope.low / drope.high, rope.high / drope.low)


def increase(column: Column, arm: str) -> Quantity | None:
    """Increase of perplexity in percent with the massive channels zeroed: as given, or as the perplexities have it."""
    if given := column.get("increase", arm, "massive"):
        return _quantity(given)
    before, after = (column.series("perplexity", arm, c) for c in CONDITIONS[:2])
    return _change(_mean(before), _mean(after)) if before and after else None


def layers_with_more(column: Column, name: str) -> list[int] | None:
    """The layers with more massive values under DroPE than under RoPE; None where layers are not published."""
    before, after = (column.series("layers", arm, name) for arm in ARMS)
    if not before or not after:
        return None
    return [layer for layer, (b, a) in enumerate(zip(before, after, strict=True)) if a.value > b.value]


def _quantity(entry: Figure | tuple[Figure, ...]) -> Quantity:
    one = _mean(entry) if isinstance(entry, tuple) else entry
    return Quantity(one.value, one.value - one.half, one.value + one.half, one.spread)


def _mean(series: tuple[Figure, ...]) -> Figure:
    return Figure(sum(f.value for f in series) / len(series), sum(f.half for f in series) / len(series))


def _scaled(series: tuple[Figure, ...], factor: float) -> Quantity:
    value, half = factor * sum(f.value for f in series), factor * sum(f.half for f in series)
    return Quantity(value, value - half, value + half)


def _change(before: Figure, after: Figure) -> Quantity:
    """Percent change with its rounding, and its standard deviation to first order if both have one."""
    low = (after.value - after.half) / (before.value + before.half)
    high = (after.value + after.half) / (before.value - before.half)
    ratio = after.value / before.value
    parts = [None if s is None else s / before.value for s in (after.spread, _times(before.spread, ratio))]
    spread = _root(*parts)
    return Quantity(100 * (ratio - 1), 100 * (low - 1), 100 * (high - 1), _times(spread, 100))


def _times(spread: float | None, factor: float) -> float | None:
    return None if spread is None else factor * spread


def _root(*spreads: float | None) -> float | None:
    """The standard deviation of a sum of uncorrelated parts, None unless all are known."""
    return None if None in spreads else sum(spread**2 for spread in spreads) ** 0.5
