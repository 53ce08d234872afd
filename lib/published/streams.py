"""Published figures layer by layer in the place of records of the residual stream and of sinks.

They answer claims like `lib.effects.Stream` and `lib.effects.Sinks`. Each is one figure, n = 1: no spread over texts is
published of them. Of several tables of a quantity, the one that gives most layers of both arms is read, the first of
those that give as many.
"""

from dataclasses import dataclass
from typing import NoReturn

import numpy as np

from lib.definitions import ARMS, SINK, Name, label
from lib.effects import READ, Sinks, Stream
from lib.judging import NoSubject, Ratio, ratio
from lib.published.figures import GIVES, Column, Layers, NotPublished, Published, unanswered
from lib.published.layers import find
from lib.published.shares import without_first
from lib.published.sinks import by_chance


def fullest(column: Column, quantity: str) -> Layers | None:
    """The table of a quantity with the most layers of both arms, the first of those; None without any table."""
    return max(
        column.of(quantity), key=lambda t: len(set.intersection(*(set(t.series(a)) for a in ARMS))), default=None
    )


@dataclass(frozen=True)
class PublishedStream:
    """Shares of attention and norms of states by the figures of one column. Raises NotPublished for what it lacks."""

    published: Published
    column: Column

    def label(self, arm: str) -> str:
        """The arm's name for readers."""
        return label(arm)

    def need_layers(self, arm: str, least: int = 1) -> None:
        """Raise NoSubject unless the study's models have so many layers. Both arms of a study have as many."""
        if self.published.layers < least:
            raise NoSubject(f"the arms have {self.published.layers} layers, and {least} are needed")

    def shares(self, arm: str) -> np.ndarray:
        """Attention's share of what a layer adds [1, layer], in percent."""
        return np.array([[self._figure("attention share", arm, layer) for layer in range(self.published.layers)]])

    def gain(self, arm: str, layer: int) -> np.ndarray:
        """Attention's share of what a layer adds in an arm minus that in the RoPE arm [1], in points."""
        after, before = (self._figure("attention share", of, layer) for of in (arm, "rope"))
        return np.array([after - before])

    def gains(self, arm: str) -> np.ndarray:
        """The same in every layer [1, layer]."""
        return self.shares(arm) - self.shares("rope")

    def without_first(self, arm: str, layer: int) -> str:
        """The shares of a layer with the first position left out, in words; nothing where no table gives them."""
        for table in self.column.of("attention share"):
            shares = [without_first(self.column, table, of, layer) for of in ("rope", arm)]
            if None not in shares:
                return (
                    f"without the first position {shares[0]:.3g} % under RoPE and {shares[1]:.3g} % under {label(arm)}"
                )
        return ""

    def times(self, arm: str, name: Name, layer: int) -> Ratio:
        """Norm of the states of a layer in percent of that in the RoPE arm. Raises NoSubject where that is zero."""
        after, before = (self._figure(f"{name} norm", of, layer) for of in (arm, "rope"))
        if not before:
            raise NoSubject(f"the {name} states of layer {layer} of the rope arm are zero")
        return ratio([after], [before])

    def of_value(self, arm: str, layer: int) -> str:
        """By how many times the Value states of a layer grow, in words; nothing where that is not published."""
        try:
            return f"value {self.times(arm, 'value', layer).value / 100:.3g} times"
        except NotPublished:
            return ""

    def _figure(self, quantity: str, arm: str, layer: int) -> float:
        table = fullest(self.column, quantity)
        if table is None or (figure := table.series(arm).get(layer)) is None:
            raise NotPublished(f"{GIVES[self.column.name]} no {quantity} of layer {layer} for the {arm} arm")
        return figure.value

    def __getattr__(self, name: str) -> NoReturn:
        unanswered(self, Stream, name)


@dataclass(frozen=True)
class PublishedSinks:
    """Sinks by the figures of one column: on texts alone, of all layers. Raises NotPublished for what it lacks.

    The first table that gives or implies a mean over all layers is read.
    """

    published: Published
    column: Column

    def label(self, arm: str) -> str:
        """The arm's name for readers."""
        return label(arm)

    def need(self, *arms: str) -> None:
        """Nothing: a study that gives sink rates speaks of sinks."""

    def rate(self, arm: str, inputs: str) -> np.ndarray:
        """Sink rate: percent of all layers' heads that are sinks [1]."""
        return np.array([self._read(arm, inputs)[1]])

    def describe(self, arm: str) -> str:
        """The sink rate on texts, in words."""
        return f"{self.label(arm)}: {self.rate(arm, 'texts')[0]:.3g} % on texts"

    def chance(self, arm: str) -> str:
        """What a head gives the first position that prefers none, in words; nothing where no length is published."""
        table, _ = self._read(arm, "texts")
        if not table.tokens or table.first_query is None:
            return ""
        share = np.mean([by_chance(n, first_query=table.first_query) for n in table.tokens])
        sink = SINK if table.threshold is None else table.threshold
        return f"uniform attention gives the first position {100 * share:.3g} %, a sink {100 * sink:.3g} %"

    def _read(self, arm: str, inputs: str) -> tuple[Layers, float]:
        for table in self.column.of("sinks") if inputs == "texts" else ():
            if found := find(table, ("mean", arm, 0, self.published.layers - 1)):
                return table, found.value
        what = f"share of heads that are sinks on {READ[inputs]}"
        raise NotPublished(f"{GIVES[self.column.name]} no {what} for the {arm} arm")

    def __getattr__(self, name: str) -> NoReturn:
        unanswered(self, Sinks, name)
