"""Published attention to the first position: what a short prompt alone gives it, and what the scores were made of."""

from collections.abc import Iterator

from lib.definitions import ROTATING, uniform_share
from lib.published.figures import Column
from lib.published.sentences import STARTS, Finding, finding, joined


def by_chance(tokens: int, *, first_query: bool) -> float:
    """The weight of the first position, mean over the queries of a prompt, where every query looks at all keys evenly.

    The first query can look at itself alone; without it the others' mean is left. 0 for a prompt without a query.
    """
    if first_query:
        return uniform_share(tokens)
    return (tokens * uniform_share(tokens) - 1) / (tokens - 1) if tokens > 1 else 0.0


def of_sinks(column: Column) -> Iterator[Finding]:
    """Everything that is found about sinks in one column."""
    yield from _by_chance(column)
    yield from _without_rotation(column)


def _by_chance(column: Column) -> Iterator[Finding]:
    """Prompts that are so short that every head is a sink which looks at nothing in particular."""
    for table in column.of("sinks"):
        if not table.tokens or not table.threshold or table.first_query is None:
            continue
        weights = [by_chance(n, first_query=table.first_query) for n in table.tokens]
        passing, mean = sum(weight >= table.threshold for weight in weights), sum(weights) / len(weights)
        if passing:
            sentence = (
                f"{STARTS[column.name]} sinks of prompts of {min(table.tokens)} to {max(table.tokens)} tokens "
                f"({table.name}): a head that looks at all tokens evenly puts {mean:.3f} on the first position on "
                f"average, and reaches the threshold of {table.threshold:g} on {passing} of the {len(weights)} prompts."
            )
            what = f"sinks by chance ({table.name})"
            yield finding("chance", what, sentence, said=table.threshold, held=mean, ratio=mean / table.threshold)


def _without_rotation(column: Column) -> Iterator[Finding]:
    """Attention of an arm with a rotation, from scores that were computed without it."""
    for arm in ROTATING:
        tables = [t for t in column.layers if t.rotated is False and any(arm in m[1:2] for m in t.figures)]
        if tables:
            names = joined(f"{table.quantity} ({table.name})" for table in tables)
            sentence = (
                f"{STARTS[column.name]} figures of attention under {arm} that were computed without the rotation, "
                f"which {arm} has: {names}. They are not of the model's own attention."
            )
            yield finding("rotation", f"attention under {arm} without the rotation", sentence)
