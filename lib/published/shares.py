"""Published shares of attention in what a layer adds, beside the norms of what attention and the MLP add."""

from collections.abc import Iterator

from lib.definitions import ARMS
from lib.published.figures import Column, Layers, Quantity
from lib.published.layers import POINTS, find
from lib.published.sentences import STARTS, Finding, finding

HALVED = 0.5
FLOATS = 1e-9


def of_shares(column: Column) -> Iterator[Finding]:
    """Everything that is found about shares of attention in one column."""
    for shares in column.of("attention share"):
        norms = [column.of(quantity, shares.name) for quantity in ("attention norm", "mlp norm")]
        if all(norms):
            attention, mlp = (tables[0] for tables in norms)
            yield from _falling(column, shares, attention, mlp)
            yield from _not_of_the_norms(column, shares, attention, mlp)
        yield from _made_by_the_first(column, shares)


def of_norms(attention: Quantity, mlp: Quantity) -> Quantity | None:
    """Attention's share of two norms in percent, with its rounding; None for a norm that may be 0."""
    if attention.low <= 0 or mlp.low <= 0:
        return None
    pairs = ((attention.value, mlp.value), (attention.low, mlp.high), (attention.high, mlp.low))
    return Quantity(*(100 * one / (one + other) for one, other in pairs))


def without_first(column: Column, shares: Layers, arm: str, layer: int) -> float | None:
    """Attention's share of what a layer adds, in percent, with the first position left out; None if it is not known.

    It follows from mean norms over all positions, norms at the first one, and the mean length of the prompts, if all
    are given in tables of one name.
    """
    asked = [
        find(tables[0], ("layer", arm, layer)) if (tables := column.of(f"{part} norm{where}", shares.name)) else None
        for part in ("attention", "mlp")
        for where in ("", " at first")
    ]
    if not shares.tokens or not all(asked):
        return None
    tokens = sum(shares.tokens) / len(shares.tokens)
    attention, mlp = (tokens * asked[i].value - asked[i + 1].value for i in (0, 2))
    return 100 * attention / (attention + mlp) if min(attention, mlp) > 0 else None


def _made_by_the_first(column: Column, shares: Layers) -> Iterator[Finding]:
    """Shares that are far from those without the first position, which one token in so many decides."""
    given, rest = {}, {}
    for arm in ARMS:
        for layer, figure in shares.series(arm).items():
            others = without_first(column, shares, arm, layer)
            if others is not None and abs(others - figure.value) > POINTS:
                where = f"layer {layer} under {arm}"
                given[where], rest[where] = figure.value, others
    if given:
        parts = (f"{value:.3g} ({where}; of the others {rest[where]:.3g})" for where, value in given.items())
        sentence = (
            f"{STARTS[column.name]} shares of attention that are not those of the positions but for the first one "
            f"({shares.name}), in percent: {', '.join(parts)}. What one position adds decides the mean over all."
        )
        yield finding("first position", f"attention shares ({shares.name})", sentence, said=given, held=rest)


def _falling(column: Column, shares: Layers, attention: Layers, mlp: Layers) -> Iterator[Finding]:
    """Layers in which the share falls by half or more while attention adds more: it is the MLP that grew."""
    for layer in shares.series("rope"):
        asked = [find(table, ("layer", arm, layer)) for table in (shares, attention, mlp) for arm in ARMS]
        if not all(asked) or min(q.value for q in asked) <= 0:
            continue
        before, after, weak, strong, small, large = (q.value for q in asked)
        if after <= HALVED * before and strong > weak:
            sentence = (
                f"{STARTS[column.name]} a share of attention in what layer {layer} adds that falls from {before:.3g} "
                f"to {after:.3g} % ({shares.name}), but attention adds {strong / weak:.2g} times as much ({weak:.3g} "
                f"and {strong:.3g}): the share falls because the MLP adds {large / small:.2g} times as much."
            )
            what = f"attention share of layer {layer} ({shares.name})"
            yield finding("share", what, sentence, said=before, held=after, ratio=strong / weak)


def _not_of_the_norms(column: Column, shares: Layers, attention: Layers, mlp: Layers) -> Iterator[Finding]:
    """Shares that are not those of the mean norms beside them."""
    given, made = {}, {}
    for arm in ARMS:
        for layer in shares.series(arm):
            share, *norms = (find(table, ("layer", arm, layer)) for table in (shares, attention, mlp))
            follows = of_norms(*norms) if all(norms) else None
            slack = FLOATS * share.value
            if follows and not (share.low - slack <= follows.high and follows.low - slack <= share.high):
                where = f"layer {layer} under {arm}"
                given[where], made[where] = share.value, follows.value
    if given:
        parts = (f"{value:.5g} ({where}; of the norms {made[where]:.5g})" for where, value in given.items())
        sentence = (
            f"{STARTS[column.name]} shares of attention that are not those of the mean norms beside them "
            f"({shares.name}), in percent: {', '.join(parts)}. A mean of ratios is not the ratio of the means."
        )
        yield finding("means", f"attention shares ({shares.name})", sentence, said=given, held=made)
