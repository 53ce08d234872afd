"""Published figures of a study. A number keeps how exactly it was written: half a unit of its last digit."""

from collections.abc import Mapping
from dataclasses import dataclass, field

CONDITIONS = ("baseline", "massive", "random")
COLUMNS = {"text": "what the write-up says", "stored": "what the stored results hold"}


class NotPublished(ValueError):
    """A claim asks for a figure that was not published: it cannot be decided."""


@dataclass(frozen=True)
class Figure:
    """A published number: its value, half a unit of its last digit, and its standard deviation over texts if given."""

    value: float
    half: float
    spread: float | None = None


@dataclass(frozen=True)
class Quantity:
    """A value, the bounds of the range that rounds to it, and its standard deviation over texts or seeds if known.

    `n` is the number of texts or seeds that it is the mean of. `bound` is `above` or `below` for a published bound: the
    figure itself lies anywhere between `low` and `high`.
    """

    value: float
    low: float
    high: float
    spread: float | None = None
    n: int = 1
    bound: str = ""


@dataclass(frozen=True)
class Measurement:
    """What figures were measured on, as far as their source says: a number, words, or None.

    `n_texts` counts the texts, `max_tokens` is the most tokens that were read of each, `precision` is that of the
    weights, and `texts` says what the texts were.
    """

    n_texts: int | None = None
    max_tokens: int | None = None
    precision: str | None = None
    texts: str | None = None


@dataclass(frozen=True)
class Column:
    """The figures of one source by their meaning: `("total", arm, tensor)`, `("increase", arm, condition)` and so on.

    A series (layers, trials) is a tuple of figures. `n_texts` is the number of texts behind standard deviations, 1 if
    none are given. `measured` says by table (`massive_values`, `disruption`) what its figures were measured on.
    """

    name: str
    n_texts: int
    figures: Mapping[tuple[str, ...], Figure | tuple[Figure, ...]]
    measured: Mapping[str, Measurement] = field(default_factory=dict)

    def get(self, *meaning: str) -> Figure | None:
        """A single figure, or None."""
        entry = self.figures.get(meaning)
        return entry if isinstance(entry, Figure) else None

    def series(self, *meaning: str) -> tuple[Figure, ...] | None:
        """A series of figures, or None."""
        entry = self.figures.get(meaning)
        return entry if isinstance(entry, tuple) else None

    def kinds(self, arm: str) -> list[str]:
        """The kinds of text whose damage is given for an arm, in the file's order."""
        return [key[2] for key in self.figures if key[:2] == ("kind", arm) and key[3] == "massive"]


@dataclass(frozen=True)
class Published:
    """A study: its description, and its figures by column (`text`, `stored`); an empty column is left out."""

    study: Mapping[str, str | int | float]
    columns: Mapping[str, Column]

    @property
    def layers(self) -> int:
        return int(self.study["layers"])
