"""Published figures of a study. A number keeps how exactly it was written: half a unit of its last digit."""

from collections.abc import Mapping
from dataclasses import dataclass

CONDITIONS = ("baseline", "massive", "random")
COLUMNS = {"text": "what the write-up says", "stored": "what the stored results hold"}


class NotPublished(ValueError):
    """A claim asks for a figure that was not published: it cannot be decided."""


@dataclass(frozen=True)
class Figure:
    """A published number: its value, half a unit of its last digit, and the standard deviation over texts if given."""

    value: float
    half: float
    spread: float | None = None


@dataclass(frozen=True)
class Column:
    """The figures of one source by what they are: `("total", arm, tensor)`, `("increase", arm, condition)` and so on.

    A series (layers, trials) is a tuple of figures. `n_texts` is the number of texts that standard deviations are over.
    """

    name: str
    n_texts: int
    figures: Mapping[tuple[str, ...], Figure | tuple[Figure, ...]]

    def get(self, *what: str) -> Figure | None:
        """A single figure, or None."""
        found = self.figures.get(what)
        return found if isinstance(found, Figure) else None

    def series(self, *what: str) -> tuple[Figure, ...] | None:
        """A series of figures, or None."""
        found = self.figures.get(what)
        return found if isinstance(found, tuple) else None

    def kinds(self, arm: str) -> list[str]:
        """The kinds of text whose damage is given for an arm, in the file's order."""
        return [what[2] for what in self.figures if what[:2] == ("kind", arm) and what[3] == "massive"]


@dataclass(frozen=True)
class Published:
    """A study: what it is about, and its figures by column (`text`, `stored`), without a column that has none."""

    study: Mapping[str, str | int | float]
    columns: Mapping[str, Column]

    @property
    def layers(self) -> int:
        return int(self.study["layers"])
