"""Published figures in the place of records: they answer claims like `lib.effects`, as far as they go.

A question that no figure answers raises NotPublished, and the claim that asks it cannot be decided. The first dimension
of arrays is the text, as in `lib.effects`.

Where a mean and a standard deviation over texts are published, `totals` gives an *equivalent sample*: one number for
each text of the study, with exactly that mean and that standard deviation (n - 1 in its denominator), and with
deviations that are exactly uncorrelated between tensors and arms. Student's t interval depends on nothing else, so for
anything linear in the totals it is exact but for that correlation, which no study publishes (counts of the same texts
usually rise and fall together, which makes the true interval of a difference narrower). A figure without a standard
deviation is one number, n = 1.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NoReturn

import numpy as np

from lib.definitions import ARMS, NAMES
from lib.effects import SUBJECTS, Disruption, MassiveValues, Rates, too_few
from lib.judging import NoSubject
from lib.published.answers import PublishedAnswers
from lib.published.figures import GIVES, Column, Figure, NotPublished, Published, unanswered
from lib.published.modules import PublishedModules
from lib.published.streams import PublishedSinks, PublishedStream

SERIES = [(arm, name) for arm in ARMS for name in NAMES]


@dataclass(frozen=True)
class PublishedValues(Rates):
    """The massive values of both arms by the figures of one column: see `lib.effects.MassiveValues`.

    Both arms of a study have the same shape.
    """

    published: Published
    column: Column

    def totals(self, arm: str, name: str) -> np.ndarray:
        """Number of massive channels over all layers [text]: an equivalent sample, or one number."""
        total = self._total(arm, name)
        return total.value + (total.spread * self._deviations(arm, name) if total.spread is not None else np.zeros(1))

    def counts(self, arm: str, name: str) -> np.ndarray:
        """Number of massive channels [1, layer]; NaN for layers without a figure."""
        if layers := self.column.series("layers", arm, name):
            return np.array([[layer.value for layer in layers]])
        first = self.column.get("layer 1", arm) if name == "query" else None
        if first is None:
            raise NotPublished(f"{self._gives} no counts of {name} layer by layer for the {arm} arm")
        known = np.full((1, self.published.layers), np.nan)
        known[:, 1] = first.value
        return known

    @property
    def arms(self) -> tuple[str, ...]:
        return ARMS

    @property
    def uneven(self) -> bool:
        """Do query and value have different numbers of channels? False if the study does not say."""
        try:
            return super().uneven
        except NotPublished:
            return False

    def layers(self, arm: str) -> int:
        """Layers of an arm."""
        return self.published.layers

    def _scale(self, name: str, arm: str) -> float:
        return 1.0  # both arms of a study have the same shape

    def describe_layer(self, name: str) -> str:
        """Nothing: the layers of a study are those that its figures speak of."""
        return ""

    def change_per_layer(self, name: str) -> np.ndarray:
        """Change of the count from the RoPE to the DroPE arm [1, layer]."""
        before, after = self.counts("rope", name), self.counts("drope", name)
        return after - before

    def change_but_for(self, name: str, layer: int) -> np.ndarray:
        """Change of the count from the RoPE to the DroPE arm, mean over all layers but `layer` [1], in channels.

        From the counts layer by layer, or else from the totals and the figures of layer 1. Raises NotPublished if
        neither is published, and NoSubject if there is no other layer.
        """
        if (others := self.published.layers - 1) < 1:
            raise NoSubject(f"there is no layer but layer {layer}")
        if all(self.column.series("layers", arm, name) for arm in ARMS):
            return np.delete(self.change_per_layer(name), layer, axis=1).mean(-1)
        change = []
        for arm in ARMS:
            total, left_out = self._total(arm, name), layer_of(self.column, arm, layer, name)
            if left_out is None:
                raise NotPublished(f"{self._gives} no count of {name} in layer {layer} for the {arm} arm")
            change.append((total.value - left_out.value) / others)
        return np.array([change[1] - change[0]])

    def channels(self, name: str, arm: str = "rope") -> int:
        """Channels of one layer."""
        study = self.published.study
        heads = study.get("heads") if name == "query" else study.get("kv_heads", study.get("heads"))
        if heads is None or "head_dim" not in study:
            raise NotPublished("[study] does not say how many heads and dims a layer has")
        return int(heads) * int(study["head_dim"])

    def moved_share(self, name: str) -> np.ndarray:
        """Percent of the count that sits in other layers in the DroPE arm than in the RoPE arm [1]."""
        counts = [self.counts(arm, name) for arm in ARMS]
        if any(np.isnan(c).any() for c in counts):
            raise NotPublished(f"{self._gives} counts of {name} for layer 1 alone")
        for arm, count in zip(ARMS, counts, strict=True):
            if not count.any():
                raise NoSubject(f"there is no massive {name} value in the {arm} arm, so none can have moved")
        shares = [count / count.sum(-1, keepdims=True) for count in counts]
        return 50 * np.abs(shares[0] - shares[1]).sum(-1)

    def need(self, name: str, *arms: str, layer: int | None = None, least: int = 1) -> None:
        """Raise NoSubject unless one of `arms` has at least so many massive values per text (in `layer`)."""
        if layer is None:
            counts = [self._total(arm, name).value for arm in arms]
        else:
            counts = [float(self.counts(arm, name)[0, layer]) for arm in arms]
        if max(counts) < least:  # an unknown count is NaN, and NaN is never below 1
            where = "" if layer is None else f" at layer {layer}"
            raise NoSubject(
                f"the {' and '.join(arms)} arm has {' and '.join(f'{c:.2g}' for c in counts)} massive {name} values "
                f"per text{where}, {too_few(least)}"
            )

    def _total(self, arm: str, name: str) -> Figure:
        if total := total_of(self.column, arm, name):
            return total
        raise NotPublished(f"{self._gives} no count of {name} for the {arm} arm")

    def _deviations(self, arm: str, name: str) -> np.ndarray:
        """Numbers [text] with mean 0 and standard deviation 1, orthogonal to those of other tensors and arms."""
        n = self.column.n_texts
        wave = np.cos(np.pi * (SERIES.index((arm, name)) + 1) * (np.arange(n) + 0.5) / n)
        return wave / wave.std(ddof=1)

    def __getattr__(self, name: str) -> NoReturn:
        unanswered(self, MassiveValues, name)

    @property
    def _gives(self) -> str:
        return GIVES[self.column.name]


def layer_of(column: Column, arm: str, layer: int, name: str = "query") -> Figure | None:
    """The count of one layer, from all layers or, for query, from those of layer 1 alone; None if neither is given."""
    if layers := column.series("layers", arm, name):
        return layers[layer] if layer < len(layers) else None
    return column.get("layer 1", arm) if (name, layer) == ("query", 1) else None


def total_of(column: Column, arm: str, name: str) -> Figure | None:
    """The total over layers: the figure itself, or the sum of the layers."""
    if total := column.get("total", arm, name):
        return total
    layers = column.series("layers", arm, name)
    return Figure(sum(f.value for f in layers), sum(f.half for f in layers)) if layers else None


@dataclass(frozen=True)
class PublishedDisruption:
    """Losses of both arms by the figures of one column: see `lib.effects.Disruption`. Trials are no texts: n = 1."""

    column: Column

    def massive(self, arm: str) -> np.ndarray:
        """Increase of the loss with the massive channels zeroed [1], nats per token; mean over trials."""
        return self._nats(arm, "massive").mean(keepdims=True)

    def controls(self, arm: str) -> np.ndarray:
        """Increase of the loss with random channels zeroed [1, trial], nats per token."""
        return self._nats(arm, "random")[None, :]

    def control(self, arm: str) -> np.ndarray:
        """The controls' mean [1]: every trial is a replicate of the control, not of a text."""
        return self.controls(arm).mean(-1)

    def nats_by_kind(self, arm: str) -> dict[str, np.ndarray]:
        """Increase of the loss with the massive channels zeroed [1], nats per token, by kind of text."""
        rises = {kind: nats_of_kind(self.column, arm, kind) for kind in self.percent_by_kind(arm)}
        if lost := [kind for kind, rise in rises.items() if rise is None]:
            raise NotPublished(f"{GIVES[self.column.name]} no perplexity of {lost[0]} texts for the {arm} arm")
        return {kind: np.array([rise]) for kind, rise in rises.items()}

    def percent_by_kind(self, arm: str) -> dict[str, np.ndarray]:
        """Increase of perplexity in percent with the massive channels zeroed [1], by kind of text."""
        kinds = self.column.kinds(arm)
        if not kinds:
            raise NotPublished(f"{GIVES[self.column.name]} no damage by kind of text for the {arm} arm")
        return {kind: np.array([self.column.figures["kind", arm, kind, "massive"].value]) for kind in kinds}

    def zeroed(self, arm: str) -> int:
        """Number of query and key channels that the study zeroed as massive."""
        if (dims := self.column.get("dims", arm)) is None:
            raise NotPublished(f"{GIVES[self.column.name]} no number of zeroed channels for the {arm} arm")
        return int(dims.value)

    def need_same_tokens(self) -> None:
        """Both arms of a study read the same tokens."""

    def need(self, *arms: str) -> None:
        """Raise NoSubject for an arm in which, by its figures, no channel was zeroed."""
        for arm in arms:
            dims = self.column.get("dims", arm)
            if dims is not None and not dims.value:
                raise NoSubject(f"the {arm} arm has no massive query or key channel to zero: there is nothing to judge")

    def __getattr__(self, name: str) -> NoReturn:
        unanswered(self, Disruption, name)

    def _nats(self, arm: str, condition: str) -> np.ndarray:
        """Increase of the loss [trial], from published perplexities, or else from the published percentage."""
        if (rise := nats(self.column, arm, condition)) is None:
            raise NotPublished(
                f"{GIVES[self.column.name]} no perplexity with {condition} channels zeroed for the {arm} arm"
            )
        return rise


def nats(column: Column, arm: str, condition: str) -> np.ndarray | None:
    """Increase of the loss [trial] in nats per token; None if neither perplexities nor a percentage are published."""
    before, after = (column.series("perplexity", arm, c) for c in ("baseline", condition))
    if before and after:
        return np.log([b.value / a.value for a, b in zip(before, after, strict=True)])
    percent = column.get("increase", arm, condition)
    return None if percent is None or percent.value <= -100 else np.log1p([percent.value / 100])


def nats_of_kind(column: Column, arm: str, kind: str) -> float | None:
    """Increase of the loss of a kind of text with the massive channels zeroed, nats per token.

    None for a percentage that leaves no perplexity.
    """
    percent = column.figures["kind", arm, kind, "massive"].value
    return float(np.log1p(percent / 100)) if percent > -100 else None


Counterpart = (
    PublishedValues | PublishedDisruption | PublishedAnswers | PublishedStream | PublishedSinks | PublishedModules
)
COUNTERPARTS: Mapping[str, Callable[[Published, Column], Counterpart]] = {
    "massive_values": PublishedValues,
    "rope_values": PublishedValues,
    "disruption": lambda figures, column: PublishedDisruption(column),
    "rope_answers": lambda figures, column: PublishedAnswers(column),
    "answers": lambda figures, column: PublishedAnswers(column),
    "stream": PublishedStream,
    "sinks": PublishedSinks,
    "modules": PublishedModules,
}
"""By the name of a subject, its maker from published figures. Every other subject says what studies lack for it."""


def subject_of(name: str, figures: Published, column: Column) -> Counterpart:
    """A study's figures in the place of a subject that claims ask for. Raises NotPublished if it has no counterpart."""
    if name not in COUNTERPARTS:
        raise NotPublished(f"{GIVES[column.name]} {SUBJECTS[name].unpublished}")
    return COUNTERPARTS[name](figures, column)
