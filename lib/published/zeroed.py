"""Published perplexities with outputs of modules zeroed, one by one: in words, times the baseline, and in nats."""

from collections.abc import Iterator
from math import log

from lib.definitions import ARMS
from lib.published.figures import Ablations, Column, Figure, Quantity, Zeroed
from lib.published.layers import Pair, plain

LEAST = 1.0
"""No perplexity is smaller. One that is was never measured, or was not kept."""


def described(zeroed: Zeroed, arm: str) -> str:
    """`attention and mlp zeroed at the first position in layer 1`."""
    where = "" if zeroed.positions == "all" else " at the first position"
    layer = zeroed.layers[arm]
    return f"{' and '.join(zeroed.modules)} zeroed{where} in {'all layers' if layer is None else f'layer {layer}'}"


def same(one: Zeroed, other: Zeroed, arm: str) -> bool:
    """Were the same outputs zeroed under an arm?"""
    return (one.modules, one.positions, one.layers[arm]) == (other.modules, other.positions, other.layers[arm])


def perplexity(zeroed: Zeroed, arm: str) -> Figure | None:
    """The perplexity of an arm; None if there is none, or one that no model has."""
    figure = zeroed.perplexity.get(arm)
    return figure if figure and figure.value >= LEAST else None


def follows(table: Ablations, zeroed: Zeroed, arm: str) -> Quantity | None:
    """Perplexity over that of the baseline, with its rounding; None without both."""
    before, after = table.baseline.get(arm), perplexity(zeroed, arm)
    if not before or not after or before.value <= before.half:
        return None
    ends = (after.value - after.half) / (before.value + before.half), (after.value + after.half)
    return Quantity(after.value / before.value, ends[0], ends[1] / (before.value - before.half))


def times(table: Ablations, zeroed: Zeroed, arm: str) -> Quantity | None:
    """Perplexity over that of the baseline: from the two, or else as it is given; None if that is no number above 0."""
    given = zeroed.times.get(arm)
    found = follows(table, zeroed, arm) or (plain(given) if given else None)
    return found if found and found.value > 0 else None


def nats(table: Ablations, zeroed: Zeroed, arm: str) -> float | None:
    """The rise of the loss in nats per token; None if it does not follow from what is given."""
    found = times(table, zeroed, arm)
    return log(found.value) if found else None


def over_attention(table: Ablations, arm: str) -> tuple[Quantity, float | None] | None:
    """Times of zeroing the MLP over those of zeroing attention in the same layer, and the ratio of their nats.

    The second is None where zeroing attention costs nothing.
    """
    whole = [z for z in table.zeroed if z.positions == "all"]
    for mlp in (z for z in whole if z.modules == ("mlp",)):
        for attention in (z for z in whole if z.modules == ("attention",) and z.layers[arm] == mlp.layers[arm]):
            one, other = (times(table, zeroed, arm) for zeroed in (mlp, attention))
            if one and other and other.low > 0:
                ratio = Quantity(one.value / other.value, one.low / other.high, one.high / other.low)
                return ratio, log(one.value) / log(other.value) if other.value > 1 else None
    return None


def of_both(text: Column, stored: Column) -> Iterator[Pair]:
    """Every figure of the text's that the store has, or makes follow, in its table of that name."""
    for said in text.ablations:
        for held in (table for table in stored.ablations if table.name == said.name):
            for arm in ARMS:
                if arm in said.baseline and arm in held.baseline:
                    what = f"perplexity under {arm} with nothing zeroed ({said.name})"
                    yield Pair(what, plain(said.baseline[arm]), plain(held.baseline[arm]))
                if (ratio := said.mlp_over_attention.get(arm)) and (other := over_attention(held, arm)):
                    yield Pair(_over(said, arm), plain(ratio), other[0])
                for one in said.zeroed:
                    for other in (z for z in held.zeroed if same(one, z, arm)):
                        yield from _of_one(said, one, held, other, arm)


def _of_one(said: Ablations, one: Zeroed, held: Ablations, other: Zeroed, arm: str) -> Iterator[Pair]:
    if (figure := perplexity(one, arm)) and (kept := perplexity(other, arm)):
        yield Pair(f"perplexity under {arm}, {described(one, arm)} ({said.name})", plain(figure), plain(kept))
    if (figure := one.times.get(arm)) and (found := times(held, other, arm)):
        yield Pair(_times(said, one, arm), plain(figure), found)


def arithmetic(column: Column) -> Iterator[Pair]:
    """Every figure of a column with the one that follows from others of its table."""
    for table in column.ablations:
        for arm in ARMS:
            for zeroed in table.zeroed:
                if (given := zeroed.times.get(arm)) and (other := follows(table, zeroed, arm)):
                    yield Pair(_times(table, zeroed, arm), plain(given), other)
            if (given := table.mlp_over_attention.get(arm)) and (other := over_attention(table, arm)):
                yield Pair(_over(table, arm), plain(given), other[0])


def _times(table: Ablations, zeroed: Zeroed, arm: str) -> str:
    return f"times the perplexity of the baseline under {arm}, {described(zeroed, arm)} ({table.name})"


def _over(table: Ablations, arm: str) -> str:
    return f"times of zeroing the mlp over those of zeroing attention under {arm} ({table.name})"
