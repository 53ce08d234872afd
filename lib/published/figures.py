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
class Layers:
    """Figures of one quantity layer by layer, of both arms: `figures`, in the unit of the quantity, by their meaning.

    `quantity` is one of `QUANTITIES`. `("layer", arm, l)` is the figure of layer l; `("mean", arm, a, b)`, `("least",
    arm, a, b)` and `("most", arm, a, b)` are of the layers a to b, both included; `("times", a, b)` is DroPE over
    RoPE, and `("more", a, b)` DroPE less RoPE, of the mean over layers a to b; `("first above", arm, bound)` is the
    first layer whose figure is above the bound, and `("largest sd", arm)` the largest standard deviation over texts of
    any. `precisions` are those of the weights by arm. `tokens` [prompt] are the lengths of the prompts. `threshold`,
    `first_query` (does the mean over queries hold the first one, which can only look at itself?) and `rotated` (was
    the attention computed with the rotation?) are of attention; None if unsaid.
    """

    name: str
    quantity: str
    figures: Mapping[tuple, Figure]
    measured: Measurement
    precisions: Mapping[str, str] = field(default_factory=dict)
    tokens: tuple[int, ...] = ()
    threshold: float | None = None
    first_query: bool | None = None
    rotated: bool | None = None

    def series(self, arm: str) -> dict[int, Figure]:
        """The figures of an arm by layer."""
        return {key[2]: figure for key, figure in self.figures.items() if key[:2] == ("layer", arm)}


PERCENT = ("sinks", "weight of first", "attention share")
"""The quantities that are in percent."""
QUANTITIES = {
    "sinks": "heads that put at least the threshold on the first position, percent",
    "weight of first": "attention to the first position, percent",
    "attention share": "attention's share of the norms that attention and MLP add, percent",
    "attention norm": "norm of what attention adds",
    "mlp norm": "norm of what the MLP adds",
    "attention norm at first": "norm of what attention adds to the first position",
    "mlp norm at first": "norm of what the MLP adds to the first position",
    "norm of first": "norm of the first position",
    "first over others": "norm of the first position over that of others",
    "query norm": "norm of query",
    "key norm": "norm of key",
    "value norm": "norm of value",
}
"""What figures can be published of layer by layer."""


@dataclass(frozen=True)
class Zeroed:
    """What zeroing the outputs of modules does: perplexities, times the baseline, and accuracies in percent, by arm.

    `modules` are some of `MODULES`. `positions` is "all" or "first". `layers` is the layer of each arm in which they
    are zeroed, None for all layers.
    """

    modules: tuple[str, ...]
    positions: str
    layers: Mapping[str, int | None]
    perplexity: Mapping[str, Figure]
    times: Mapping[str, Figure]
    accuracies: Mapping[str, Mapping[str, Figure]]


MODULES = ("attention", "mlp", "value")
"""What can be zeroed: the output of attention or of the MLP, and the Value states."""
POSITIONS = ("all", "first")


@dataclass(frozen=True)
class Ablations:
    """Perplexities with outputs of modules zeroed, measured together. `baseline` is by arm.

    `mlp_over_attention` is by arm: the times of zeroing the MLP over those of zeroing attention, at all positions.
    """

    name: str
    baseline: Mapping[str, Figure]
    zeroed: Sequence[Zeroed]
    mlp_over_attention: Mapping[str, Figure]
    measured: Measurement


@dataclass(frozen=True)
class Contexts:
    """Right answers in percent at contexts of several lengths: `right` by arm and length in tokens.

    `n` is the number of trials of each. `choices` is the number of answers to choose between, None for a free answer.
    `format` says in words how it was asked.
    """

    name: str
    right: Mapping[tuple[str, int], Figure]
    n: int | None
    choices: int | None
    format: str | None
    measured: Measurement


@dataclass(frozen=True)
class Column:
    """The figures of one source by their meaning: `("total", arm, tensor)`, `("increase", arm, condition)` and so on.

    A series (layers, trials) is a tuple of figures. `n_texts` is the number of texts behind standard deviations, 1 if
    none are given. `measured` says by table (`massive_values`, `disruption`) what its figures were measured on.
    `tasks` are tables of accuracies: claims read the first, and the others are compared with it. `layers`, `ablations`
    and `contexts` are tables as well, each with a name.
    """

    name: str
    n_texts: int
    figures: Mapping[tuple[str, ...], Figure | tuple[Figure, ...]]
    measured: Mapping[str, Measurement] = field(default_factory=dict)
    tasks: Sequence[TaskTable] = ()
    layers: Sequence[Layers] = ()
    ablations: Sequence[Ablations] = ()
    contexts: Sequence[Contexts] = ()

    @property
    def empty(self) -> bool:
        """Is there no figure at all?"""
        return not (self.figures or self.tasks or self.layers or self.ablations or self.contexts)

    def of(self, quantity: str, name: str | None = None) -> list[Layers]:
        """The tables of a quantity layer by layer, in the file's order; of a name, if one is given."""
        return [t for t in self.layers if t.quantity == quantity and name in (None, t.name)]

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

    @property
    def heads(self) -> int | None:
        """Heads of a layer, if the study says how many."""
        return int(self.study["heads"]) if "heads" in self.study else None


def unanswered(figures: object, measured: type, name: str) -> NoReturn:
    """Raise NotPublished for an attribute of the `measured` counterpart, which no figure answers, else AttributeError.

    So a claim that asks for one is not decidable, without a stub for each. `figures` has a column.
    """
    if name.startswith("_") or name not in {*dir(measured), *measured.__dataclass_fields__}:
        raise AttributeError(f"{type(figures).__name__} has no attribute {name!r}")
    raise NotPublished(f"{GIVES[figures.column.name]} nothing that answers {name.replace('_', ' ')!r}")
