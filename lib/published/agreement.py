"""Compares published figures: what is said with what is stored, and what is given with what follows from the rest.

Text and store agree when they are within 2 percent of the larger of the two, or within two standard deviations over
texts, published or following from published ones. What follows from other figures of the same source must be met within
the rounding of all that take part.
"""

from dataclasses import replace

from lib.definitions import ARMS
from lib.published.figures import Column, Published
from lib.published.implied import Quantity, follow, quantity

TOLERANCE = 0.02
DEVIATIONS = 2
ZEROED = {"baseline": "with nothing zeroed", "massive": "with massive zeroed", "random": "with random zeroed"}
Compared = dict[str, str | float | bool | None]


def compared(published: Published) -> list[Compared]:
    """Everything that both columns hold, then all arithmetic within a column: one row for each.

    A row: `what`; `how` (`text and store`, `arithmetic of the text`, `arithmetic of the store`); `said` and `held` (for
    arithmetic: what follows); `spread` (None where none is known); `ratio` (held / said, None where that is 0);
    `agrees`.
    """
    given = {name: _given(column) for name, column in published.columns.items()}
    follows = {name: _follows(column, published) for name, column in published.columns.items()}
    rows = []
    if len(given) == 2:
        text, stored = (follows[name] | _with_spreads(given[name], follows[name]) for name in ("text", "stored"))
        rows += [
            _row(what, "text and store", one, stored[what], _close(one, stored[what]))
            for what, one in text.items()
            if what in stored
        ]
    for name, source in (("text", "arithmetic of the text"), ("stored", "arithmetic of the store")):
        for what, one in given.get(name, {}).items():
            if other := follows[name].get(what):
                rows.append(_row(what, source, one, other, _within_rounding(one, other)))
    return rows


def _with_spreads(given: dict[str, Quantity], follows: dict[str, Quantity]) -> dict[str, Quantity]:
    """A figure without a standard deviation has the one that follows for it from published ones."""
    spreads = {what: other.spread for what, other in follows.items()}
    return {
        what: replace(one, spread=spreads.get(what) if one.spread is None else one.spread)
        for what, one in given.items()
    }


def _row(what: str, how: str, said: Quantity, held: Quantity, agrees: bool) -> Compared:
    spread = max((q.spread for q in (said, held) if q.spread is not None), default=None)
    ratio = held.value / said.value if said.value else None
    what += " (said: above)" * said.at_least
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
            found[_name(*what)] = quantity(entry)
    return found


def _follows(column: Column, published: Published) -> dict[str, Quantity]:
    """What the other figures of a column make of each, by the same words."""
    return {_name(*what): found for what, found in follow(column, published.layers)}


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
