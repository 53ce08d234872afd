"""Figures that follow from other figures, within their rounding: totals of layers, percents of perplexities, p."""

from collections.abc import Iterator, Sequence

from lib.definitions import ARMS, NAMES
from lib.published.effects import layer_of, total_of
from lib.published.figures import CONDITIONS, Column, Figure, Quantity
from lib.published.trials import PAIRED, STUDENT, d_of_arm, p_of_arm, p_of_arms, that_gives


def follow(column: Column, layers: int) -> Iterator[tuple[tuple[str, ...], Quantity]]:
    """Every figure that follows from the others of a column, by its meaning (see `lib.published.Column`)."""
    yield from _counts(column, layers)
    yield from _losses(column)


def _counts(column: Column, layers: int) -> Iterator[tuple[tuple[str, ...], Quantity]]:
    for name in NAMES:
        for arm in ARMS:
            if series := column.series("layers", arm, name):
                yield ("total", arm, name), _sum(series)
        before, after = (total_of(column, arm, name) for arm in ARMS)
        if before and after and before.value > before.half:
            yield ("change", name), _change(before, after)
        if before and after and name == "query":
            first = [layer_of(column, arm, 1) for arm in ARMS]
            yield ("fewer per layer",), _fewer(before, after, layers)
            if all(first) and layers > 1:
                yield ("fewer but for layer 1",), _fewer(before, after, layers - 1, but_for=first)
    for arm in ARMS:
        if (series := column.series("layers", arm, "query")) and layers > 1:
            yield ("layer 1", arm), quantity(series[1])
        if not column.get("dims", arm) and all(totals := [total_of(column, arm, name) for name in NAMES[:2]]):
            both = _sum(tuple(totals))
            yield ("dims", arm), Quantity(both.value, both.low, both.high, _root(*(t.spread for t in totals)))
    if (gained := layers_with_more(column, "query")) is not None:
        others = float(len([layer for layer in gained if layer != 1]))
        yield ("other layers with more",), Quantity(others, others, others)


def _fewer(before: Figure, after: Figure, layers: int, but_for: Sequence[Figure] = ()) -> Quantity:
    """What a layer loses, mean over `layers`, from totals of both arms less the figures `but_for` that are left out.

    The standard deviation is that of the totals: nobody publishes one of a layer.
    """
    lost, half = before.value - after.value, before.half + after.half
    if but_for:
        lost -= but_for[0].value - but_for[1].value
        half += sum(figure.half for figure in but_for)
    spread = _root(before.spread, after.spread)
    ends = ((lost - half) / layers, (lost + half) / layers)
    return Quantity(lost / layers, *ends, None if spread is None else spread / layers)


def _losses(column: Column) -> Iterator[tuple[tuple[str, ...], Quantity]]:
    for arm in ARMS:
        for start in (("perplexity", arm), *(("kind perplexity", arm, kind) for kind in column.kinds(arm))):
            before = column.series(*start, "baseline")
            for condition in CONDITIONS[1:]:
                if before and (after := column.series(*start, condition)):
                    name = "increase" if start[0] == "perplexity" else "kind"
                    yield (name, *start[1:], condition), _change(_mean(before), _mean(after))
        for condition in CONDITIONS[:2]:
            if between := _between_kinds(column, arm, condition):
                yield ("perplexity", arm, condition), between
        if by_test := p_of_arm(column, arm):
            yield ("p", arm), by_test[that_gives(column.get("p", arm), by_test) or PAIRED]
        if d := d_of_arm(column, arm):
            yield ("d", arm), d
    if by_test := p_of_arms(column):
        yield ("p of arms",), by_test[that_gives(column.get("p of arms"), by_test) or STUDENT]
    increases = [increase(column, arm) for arm in ARMS]
    if all(increases) and all(i.low > 0 for i in increases):
        rope, drope = increases
        yield ("reliance",), Quantity(rope.value / drope.value, rope.low / drope.high, rope.high / drope.low)


def _between_kinds(column: Column, arm: str, condition: str) -> Quantity | None:
    """The perplexity of all texts, from those of every kind of text: no mean over kinds can lie outside of them.

    The value is the one nearest to what is published. None if the column does not give both.
    """
    kinds = [column.series("kind perplexity", arm, kind, condition) for kind in column.kinds(arm)]
    of_all = column.series("perplexity", arm, condition)
    if not kinds or not all(kinds) or not of_all:
        return None
    means = [quantity(kind) for kind in kinds]
    low, high = min(m.low for m in means), max(m.high for m in means)
    return Quantity(min(max(_mean(of_all).value, low), high), low, high)


def increase(column: Column, arm: str) -> Quantity | None:
    """Increase of perplexity in percent with the massive channels zeroed: as published, or from the perplexities."""
    if given := column.get("increase", arm, "massive"):
        return quantity(given)
    before, after = (column.series("perplexity", arm, c) for c in CONDITIONS[:2])
    return _change(_mean(before), _mean(after)) if before and after else None


def layers_with_more(column: Column, name: str) -> dict[int, float] | None:
    """The gain of each layer with more massive values under DroPE than under RoPE.

    None if layers are not published.
    """
    before, after = (column.series("layers", arm, name) for arm in ARMS)
    if not before or not after:
        return None
    gains = {layer: a.value - b.value for layer, (b, a) in enumerate(zip(before, after, strict=True))}
    return {layer: gain for layer, gain in gains.items() if gain > 0}


def quantity(entry: Figure | tuple[Figure, ...]) -> Quantity:
    """A figure, or the mean of a series, with the bounds of the range that rounds to it."""
    one = _mean(entry) if isinstance(entry, tuple) else entry
    return Quantity(one.value, one.value - one.half, one.value + one.half, one.spread)


def _mean(series: tuple[Figure, ...]) -> Figure:
    return Figure(sum(f.value for f in series) / len(series), sum(f.half for f in series) / len(series))


def _sum(series: tuple[Figure, ...]) -> Quantity:
    value, half = sum(f.value for f in series), sum(f.half for f in series)
    return Quantity(value, value - half, value + half)


def _change(before: Figure, after: Figure) -> Quantity:
    """Percent change with its rounding, and to first order its standard deviation if both figures have one."""
    low = (after.value - after.half) / (before.value + before.half)
    high = (after.value + after.half) / (before.value - before.half)
    ratio = after.value / before.value
    parts = [None if s is None else s / before.value for s in (after.spread, _times(before.spread, ratio))]
    spread = _root(*parts)
    return Quantity(100 * (ratio - 1), 100 * (low - 1), 100 * (high - 1), _times(spread, 100))


def _times(spread: float | None, factor: float) -> float | None:
    return None if spread is None else factor * spread


def _root(*spreads: float | None) -> float | None:
    """The standard deviation of a sum of uncorrelated parts; None unless all are known."""
    return None if None in spreads else sum(spread**2 for spread in spreads) ** 0.5
