"""Published perplexities with outputs of modules zeroed in the place of records: they answer as `lib.effects.Modules`.

Each is one figure, n = 1: no spread over texts is published of them. Arms may be zeroed in layers of their own.
"""

from dataclasses import dataclass
from typing import NoReturn

import numpy as np

from lib.definitions import label
from lib.effects import Modules
from lib.judging import NoSubject, Ratio, ratio
from lib.published import zeroed
from lib.published.figures import GIVES, Ablations, Column, NotPublished, Published, Zeroed, unanswered

LAYER = 1
"""The layer in which claims have attention, the MLP or both zeroed."""
WHOLE = {"attention": ("attention",), "mlp": ("mlp",), "both": ("attention", "mlp")}
"""The conditions of claims in which modules are zeroed at all positions."""
AT_FIRST = {"mlp at first": ("mlp",), "value at first": ("value",)}
"""Those at the first position: the MLP in one layer of each arm, its spike layer, and Value in all of them."""


@dataclass(frozen=True)
class PublishedModules:
    """Losses with modules zeroed by the figures of one column. Raises NotPublished for what it lacks."""

    published: Published
    column: Column

    def label(self, arm: str) -> str:
        """The arm's name for readers."""
        return label(arm)

    def nats(self, arm: str, condition: str) -> np.ndarray:
        """Increase of the loss over the baseline [1] in a condition of IN_MODULES, nats per token.

        The first table that gives it is read.
        """
        for table, entry in self._entries(arm, condition):
            if (rise := zeroed.nats(table, entry, arm)) is not None:
                return np.array([rise])
        raise NotPublished(f"{GIVES[self.column.name]} no perplexity with {condition} replaced for the {arm} arm")

    def compared(self, arm: str, condition: str) -> Ratio:
        """The increase in an arm in percent of that in the RoPE arm. Raises NoSubject if nothing is lost there."""
        after, before = self.nats(arm, condition), self.nats("rope", condition)
        if before[0] <= 0:
            raise NoSubject(f"the rope arm loses nothing ({before[0]:.3g} nats), which no other arm can lose too")
        return ratio(after, before)

    def spike(self, arm: str) -> int:
        """The layer whose MLP was zeroed at the first position."""
        for _, entry in self._entries(arm, "mlp at first"):
            return entry.layers[arm]
        raise NotPublished(f"{GIVES[self.column.name]} no spike layer for the {arm} arm")

    def need_layer(self, *arms: str) -> None:
        """Raise NoSubject unless the study's models have a layer 1."""
        if self.published.layers <= LAYER:
            raise NoSubject("the arms have one layer, and none above it")

    def need_same_tokens(self) -> None:
        """Both arms of a study read the same tokens."""

    def _entries(self, arm: str, condition: str) -> list[tuple[Ablations, Zeroed]]:
        entries = [(table, entry) for table in self.column.ablations for entry in table.zeroed]
        return [(table, entry) for table, entry in entries if _is(entry, arm, condition)]

    def __getattr__(self, name: str) -> NoReturn:
        unanswered(self, Modules, name)


def _is(entry: Zeroed, arm: str, condition: str) -> bool:
    """Is this what a claim's condition zeroes in an arm?"""
    layer = entry.layers.get(arm)
    if condition in WHOLE:
        return (entry.modules, entry.positions, layer) == (WHOLE[condition], "all", LAYER)
    if AT_FIRST.get(condition) != entry.modules or entry.positions != "first":
        return False
    return arm in entry.layers and (layer is None) == (condition == "value at first")
