"""What is found in published perplexities with outputs of modules zeroed."""

from collections.abc import Iterator, Mapping
from itertools import combinations
from math import log

from lib.definitions import ARMS
from lib.published.agreement import TOLERANCE
from lib.published.figures import Ablations, Column, Zeroed
from lib.published.implied import quantity
from lib.published.sentences import STARTS, Finding, finding, joined, listed
from lib.published.zeroed import LEAST, described, nats, over_attention, times

HARMLESS, HARMFUL = 1.1, 10.0
"""Times the perplexity of the baseline: up to the first nothing is lost, from the second on nearly everything is."""
ALIKE = 0.05
OTHER_TEXTS = 2.0
"""Perplexities of one model that are so many times apart are of other texts."""
Entry = tuple[Ablations, Zeroed]


def of_ablations(columns: Mapping[str, Column]) -> Iterator[Finding]:
    """Everything that is found in the ablations of a study."""
    for column in columns.values():
        yield from _no_perplexity(column)
        yield from _opposite(column, columns)
        yield from _scale(column)
        yield from _at_the_floor(column)
        yield from _more_costs_less(column)
        yield from _baselines(column)


def _entries(column: Column) -> list[Entry]:
    return [(table, zeroed) for table in column.ablations for zeroed in table.zeroed]


def _no_perplexity(column: Column) -> Iterator[Finding]:
    """Perplexities below 1, which no model has."""
    found = {
        f"{arm}, {described(zeroed, arm)} ({table.name})": figure.value
        for table, zeroed in _entries(column)
        for arm, figure in zeroed.perplexity.items()
        if figure.value < LEAST
    }
    if found:
        parts = joined(f"{value:g} under {where}" for where, value in found.items())
        sentence = (
            f"{STARTS[column.name]} perplexities of {parts}. No model has one below {LEAST:g}: it was not measured, or "
            "it was not kept."
        )
        yield finding("impossible", "perplexities that no model has", sentence, held=found)


def _opposite(column: Column, columns: Mapping[str, Column]) -> Iterator[Finding]:
    """The same module zeroed in two layers of an arm: in one nothing is lost, and in the other nearly everything."""
    for arm in ARMS:
        known = [(entry, found) for entry in _entries(column) if (found := times(*entry, arm))]
        for (table, harmless), few in known:
            for (other_table, harmful), many in known:
                shared = [module for module in harmless.modules if module in harmful.modules]
                layers = harmless.layers[arm], harmful.layers[arm]
                if (
                    shared
                    and harmless.positions == harmful.positions
                    and None not in layers
                    and layers[0] != layers[1]
                    and few.value <= HARMLESS
                    and many.value >= HARMFUL
                ):
                    sentence = (
                        f"{STARTS[column.name]} {few.value:.3g} times the perplexity of the baseline under {arm} with "
                        f"{described(harmless, arm)} ({table.name}), and {many.value:.3g} times with "
                        f"{described(harmful, arm)} ({other_table.name}): whether {arm} needs {joined(shared)} there "
                        f"depends on the layer.{_norms(columns, arm, shared, harmless.positions, layers)}"
                    )
                    what = f"{joined(shared)} zeroed in two layers under {arm}"
                    ratio = many.value / few.value
                    yield finding("opposite", what, sentence, said=few.value, held=many.value, ratio=ratio)


def _norms(columns: Mapping[str, Column], arm: str, modules: list[str], positions: str, layers: tuple) -> str:
    """What the modules add in the two layers, as far as a source gives it."""
    end = " at first" if positions == "first" else ""
    parts = []
    for column in columns.values():
        for module in modules:
            for table in column.of(f"{module} norm{end}"):
                series = table.series(arm)
                if all(layer in series for layer in layers):
                    norms = joined(f"{series[layer].value:.3g} in layer {layer}" for layer in layers)
                    parts.append(f" {STARTS[column.name]} the norm that {module} adds there: {norms} ({table.name}).")
    return "".join(dict.fromkeys(parts))


def _scale(column: Column) -> Iterator[Finding]:
    """How many times more zeroing the MLP does than zeroing attention: of perplexities, and of losses."""
    for table in column.ablations:
        for arm in ARMS:
            found = over_attention(table, arm)
            if not found or found[1] is None or found[1] <= 0:
                continue
            given = table.mlp_over_attention.get(arm)
            ratio, of_nats = given.value if given else found[0].value, found[1]
            if abs(ratio - of_nats) > TOLERANCE * max(ratio, of_nats):
                sentence = (
                    f"{STARTS[column.name]} times of the baseline's perplexity under {arm} that are {ratio:.4g} times "
                    f"as many with mlp zeroed as with attention zeroed ({table.name}); in nats per token the loss "
                    f"rises {of_nats:.3g} times as much."
                )
                what = f"mlp over attention under {arm} ({table.name})"
                yield finding("scale", what, sentence, said=ratio, held=of_nats, ratio=of_nats / ratio)


def _at_the_floor(column: Column) -> Iterator[Finding]:
    """Damages that are nearly the same where no task is answered any more: their order means nothing."""
    for table in column.ablations:
        for arm in ARMS:
            lost = {
                described(zeroed, arm): cost
                for zeroed in table.zeroed
                if (of_tasks := zeroed.accuracies[arm])
                and not any(accuracy.value for accuracy in of_tasks.values())
                and (cost := nats(table, zeroed, arm))
                and cost > log(HARMFUL)
            }
            if len(lost) > 1 and min(lost.values()) >= (1 - ALIKE) * max(lost.values()):
                sentence = (
                    f"{STARTS[column.name]} accuracies of 0 % on every task under {arm}, whichever of these is zeroed, "
                    f"and losses that rise by nearly as many nats per token ({table.name}): {listed(lost, digits=3)}. "
                    "At the floor nobody can tell what matters more."
                )
                yield finding("floor", f"damages at the floor under {arm} ({table.name})", sentence, held=lost)


def _more_costs_less(column: Column) -> Iterator[Finding]:
    """Outputs that cost less when more is zeroed beside them."""
    for table in column.ablations:
        for arm in ARMS:
            for one, other in combinations(table.zeroed, 2):
                for less, more in ((one, other), (other, one)):
                    costs = nats(table, less, arm), nats(table, more, arm)
                    if None in costs or not _within(less, more, arm) or costs[1] >= (1 - TOLERANCE) * costs[0]:
                        continue
                    sentence = (
                        f"{STARTS[column.name]} a rise of the loss under {arm} of {costs[0]:.3g} nats per token with "
                        f"{described(less, arm)}, and of {costs[1]:.3g} with {described(more, arm)} ({table.name}): "
                        "more is zeroed and less is lost, so neither number says what the outputs are worth."
                    )
                    what = f"more zeroed, less lost under {arm} ({table.name})"
                    yield finding("order", what, sentence, said=costs[0], held=costs[1], ratio=costs[1] / costs[0])


def _within(less: Zeroed, more: Zeroed, arm: str) -> bool:
    """Is everything that `less` zeroes zeroed by `more` as well, and something else too?"""
    same_place = (less.positions, less.layers[arm]) == (more.positions, more.layers[arm])
    return same_place and set(less.modules) < set(more.modules)


def _baselines(column: Column) -> Iterator[Finding]:
    """Perplexities of one model with nothing zeroed that are of other texts in every table."""
    found = {}
    for arm in ARMS:
        of_arm = {"channels zeroed": quantity(s).value} if (s := column.series("perplexity", arm, "baseline")) else {}
        of_arm |= {table.name: table.baseline[arm].value for table in column.ablations if arm in table.baseline}
        if len(of_arm) > 1 and max(of_arm.values()) > OTHER_TEXTS * min(of_arm.values()):
            found[arm] = of_arm
    if found:
        parts = "; ".join(f"under {arm} {listed(of_arm, digits=4)}" for arm, of_arm in found.items())
        sentence = (
            f"{STARTS[column.name]} perplexities with nothing zeroed that cannot be of the same texts: {parts}. Times "
            "and percents of one baseline do not compare with those of another."
        )
        yield finding("baselines", "perplexities with nothing zeroed", sentence, held=found)
