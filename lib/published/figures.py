"""Published figures of a study. A number keeps how exactly it was written: half a unit of its last digit."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NoReturn

CONDITIONS = ("baseline", "massive", "random")
COLUMNS = {"text": "what the write-up says", "stored": "what the stored results hold"}

GIVES = {"text": "the write-up's text gives", "stored": "the stored results give"}


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
class Task:
    """A task as its source describes it: the items it has, and how an answer counts; None where the source is silent.

    `knowledge` is "contextual" or "parametric". `n` counts the items of each accuracy. `choices` counts the answers
    between which an item lets choose; without it the answer is free. `unparsed` says what became of an answer that is
    none of them: `wrong`, or `left out` of the number of items. `items` says in words which they are.
    """

    knowledge: str
    n: int | None = None
    choices: int | None = None
    unparsed: str | None = None
    items: str | None = None


@dataclass(frozen=True)
class TaskTable:
    """Accuracies on tasks, measured together: `figures` in percent, by their meaning.

    `("accuracy", arm, what, condition)` is a share of right answers, and `("lost", arm, what, condition)` what
    replacing takes of it, in percent of the baseline; `what` is the name of a task or, for the mean over its tasks, a
    kind of knowledge. `("contextual over parametric", arm, condition)` is the ratio of what is lost, and
    `("contextual less", condition)` by how many percent less DroPE loses of contextual tasks. Conditions are those of
    `lib.definitions.ASKED`.
    """

    name: str
    tasks: Mapping[str, Task]
    figures: Mapping[tuple[str, ...], Figure]
    measured: Measurement

    def of(self, knowledge: str) -> list[str]:
        """The names of the tasks that ask for such knowledge."""
        return [name for name, task in self.tasks.items() if task.knowledge == knowledge]

    def of_items(self) -> Iterator[tuple[str, str, str, Figure, int]]:
        """Arm, task, condition and accuracy, and how many items it is of, wherever the source gives their number."""
        for meaning, figure in self.figures.items():
            if meaning[0] == "accuracy" and (task := self.tasks.get(meaning[2])) and task.n:
                yield *meaning[1:], figure, task.n


@dataclass(frozen=True)
class Column:
    """The figures of one source by their meaning: `("total", arm, tensor)`, `("increase", arm, condition)` and so on.

    A series (layers, trials) is a tuple of figures. `n_texts` is the number of texts behind standard deviations, 1 if
    none are given. `measured` says by table (`massive_values`, `disruption`) what its figures were measured on.
    `tasks` are tables of accuracies: claims read the first, and the others are compared with it.
    """

    name: str
    n_texts: int
    figures: Mapping[tuple[str, ...], Figure | tuple[Figure, ...]]
    measured: Mapping[str, Measurement] = field(default_factory=dict)
    tasks: Sequence[TaskTable] = ()

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


def unanswered(figures: object, measured: type, name: str) -> NoReturn:
    """Raise NotPublished for an attribute of the `measured` counterpart, which no figure answers, else AttributeError.

    So a claim that asks for one is not decidable, without a stub for each. `figures` has a column.
    """
    if name.startswith("_") or name not in {*dir(measured), *measured.__dataclass_fields__}:
        raise AttributeError(f"{type(figures).__name__} has no attribute {name!r}")
    raise NotPublished(f"{GIVES[figures.column.name]} nothing that answers {name.replace('_', ' ')!r}")
