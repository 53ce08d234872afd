"""Published attention to the first position: what a short prompt alone gives it, and what the scores were made of."""

from collections.abc import Iterator

from lib.definitions import ROTATING
from lib.published.figures import Column
from lib.published.sentences import STARTS, Finding, finding, joined


def by_chance(tokens: int, *, first_query: bool) -> float:
    """The mean weight of the first position over the queries of a prompt, if every query looks at all keys evenly.

    The query at position i sees i + 1 keys, so that over T queries the mean is (1 + 1/2 + .. + 1/T) / T. The first
    query can look at itself alone; without it the mean is (1/2 + .. + 1/T) / (T - 1). 0 for a prompt without a query.
    """
    first = 1 if first_query else 2
    weights = [1 / seen for seen in range(first, tokens + 1)]
    return sum(weights) / len(weights) if weights else 0.0


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
