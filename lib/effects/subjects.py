"""Subjects, for which claim tests ask by name: a table with the maker of each, its needs, and what studies lack for it.

A subject is made from the records of a reader: those of a run that measures, or of one that is over.
"""

from collections.abc import Callable, Mapping, Sized
from dataclasses import dataclass, field
from typing import Protocol

import xarray as xr

from lib.checkpoints import step_of, tokens_per_step
from lib.definitions import OTHERS, RESCALED
from lib.effects.answers import Answers
from lib.effects.before_after import AFTER, BEFORE
from lib.effects.counts import MassiveValues
from lib.effects.losses import Bands, Disruption, Specificity
from lib.effects.modules import Modules
from lib.effects.positions import Positions
from lib.effects.recovery import Recovery
from lib.effects.sinks import Sinks
from lib.effects.stream import Stream
from lib.effects.trajectory import Trajectory
from lib.records import Unusable, site_before, sites_of
from lib.settings import Settings

ENOUGH = 3
"""The fewest checkpoints that make a trend."""


class Missing(LookupError):
    """A run has no records to make a subject of, and this is no fault."""


class Reader(Protocol):
    """Gives the records of a run by arm and experiment; `treatment` is the arm in the place of `drope`."""

    settings: Settings
    treatment: str

    def get(self, experiment: str, arm: str, site: str | None = None) -> xr.Dataset:
        """The record at the arm's own site, or at the one that is given. Raises Missing or Unusable."""


@dataclass(frozen=True)
class Subject:
    """One row of the table.

    `make(reader, **parameters)` makes the subject; `parameters` name parameters that a claim's test may have, and
    `other` is the arm that is compared with the RoPE arm in the place of `drope`. Figures are of the subject that is
    made with the parameters `drawn`. `losses` is the experiment beside that on norms that it needs, and `sites` are
    additional sites at which it needs the RoPE arm's norms.
    With `each_checkpoint`, it is made anew for every checkpoint of a series. `unpublished` completes the sentence
    "the text gives .." for a subject that no study has figures for. A value `beside` marks a subject that a claim asks
    for in addition to another; the claim is tried on planted records and judged on published figures with this value.
    Without `counted`, a subject of norms alone counts no massive channels, so that no threshold changes it.
    With `treatment`, only claims on the RoPE arm alone (a parameter `arm` says so) ask for it in a run of one arm.
    """

    name: str
    doc: str
    make: Callable[..., object]
    losses: str = ""
    sites: tuple[str, ...] = ()
    each_checkpoint: bool = False
    treatment: bool = False
    counted: bool = True
    parameters: tuple[str, ...] = ()
    drawn: Mapping[str, object] = field(default_factory=dict)
    unpublished: str = ""
    beside: object = None


def _values(reader: Reader, site: str | None = None, **arms: str) -> MassiveValues:
    """Massive values of several arms. Keywords are the names of the arms in the subject."""
    records = {name: reader.get("norms", arm, site) for name, arm in arms.items()}
    return MassiveValues(records, reader.settings.threshold, reader.settings.scope)


def _massive_values(reader: Reader) -> MassiveValues:
    return _values(reader, rope="rope", **_treated(reader))


def _treated(reader: Reader) -> dict[str, str]:
    return {"drope": reader.treatment} if reader.settings.treated else {}


def _rope_values(reader: Reader) -> MassiveValues:
    return _values(reader, rope="rope")


def _disruption(reader: Reader) -> Disruption:
    _massive_values(reader)  # their norms first: a pair whose norms cannot be read has no losses to compare
    arms = {"rope": "rope", **_treated(reader)}
    return Disruption({name: reader.get("disruption", arm) for name, arm in arms.items()})


def _specificity(reader: Reader) -> Specificity:
    arms = {"rope": "rope", **_treated(reader)}
    return Specificity({name: reader.get("specificity", arm) for name, arm in arms.items()})


def _answers(reader: Reader) -> Answers:
    arms = {"rope": "rope", **_treated(reader)}
    return Answers({name: reader.get("tasks", arm) for name, arm in arms.items()})


def _rope_answers(reader: Reader) -> Answers:
    return Answers({"rope": reader.get("tasks", "rope")})


def _bands(reader: Reader) -> Bands:
    _rope_values(reader)
    return Bands({"rope": reader.get("bands", "rope")})


def _with_dropped(reader: Reader) -> MassiveValues:
    return _values(reader, rope="rope", dropped="dropped")


def _with_continued(reader: Reader) -> MassiveValues:
    if "continued" not in reader.settings.arms:
        raise Missing("no arm was trained on with its rotation: give one with --continued")
    reader.get("norms", "continued")  # before the treatment's, which another worker of a sweep may measure
    return _values(reader, rope="rope", drope="drope", continued="continued")


def _compared(reader: Reader, experiment: str, other: str | tuple[str, ...] | None) -> dict[str, xr.Dataset]:
    """Records of the RoPE arm and of the one that it is compared with: the treatment, if no other is named.

    With several others, of those of them that were measured.
    """
    if isinstance(other, tuple):
        arms = {"rope": "rope", **{arm: arm for arm in other if _was_measured(reader, arm, experiment)}}
    else:
        arms = {"rope": "rope", **(_treated(reader) if other in (None, "drope") else {other: other})}
    return {name: reader.get(experiment, arm) for name, arm in arms.items()}


def _stream(reader: Reader, other: str | tuple[str, ...] | None = None) -> Stream:
    return Stream(_compared(reader, "stream", other))


def _sinks(reader: Reader, other: str | tuple[str, ...] | None = None) -> Sinks:
    return Sinks(_compared(reader, "sinks", other))


def _modules(reader: Reader, other: str | tuple[str, ...] | None = None) -> Modules:
    return Modules(_compared(reader, "modules", other))


def _recovery(reader: Reader) -> Recovery:
    arms = {"rope": "rope", "dropped": "dropped", "drope": reader.treatment}
    return Recovery({name: reader.get("norms", arm) for name, arm in arms.items()})


def _both_sites(reader: Reader) -> MassiveValues:
    _need_sites(reader, "projection", "attention")
    before = site_before(reader.get("norms", "rope"))
    records = {BEFORE: reader.get("norms", "rope", before), AFTER: reader.get("norms", "rope", AFTER)}
    return MassiveValues(records, reader.settings.threshold, reader.settings.scope)


def _with_rescaled(reader: Reader, kind: str | None = None) -> MassiveValues:
    """The RoPE arm and one rescaled arm, or all that were measured."""
    if kind is None:
        kinds = [arm for arm in RESCALED if _was_measured(reader, arm, site="projection")]
        if not kinds:
            raise Missing("no rescaled arm was measured")
        return _values(reader, "projection", rope="rope", **{arm: arm for arm in kinds})
    if kind not in reader.settings.arms:
        rope = reader.settings.arms["rope"].rope
        raise Missing(f"only a plain rotation can be rescaled, and the RoPE arm is given with rope={rope}")
    _need_sites(reader, "projection")
    return _values(reader, "projection", **{"rope": "rope", kind: kind})


def _by_position(reader: Reader, kind: str | None = None) -> Positions:
    return Positions(_with_rescaled(reader, kind).records)


def _trained_steps(reader: Reader) -> dict[str, int | None]:
    return {
        arm: step_of(reader.settings.arms[arm]) if arm in reader.settings.arms else None
        for arm in ("drope", "continued")
    }


def _trajectory(reader: Reader, *, losses: bool = False) -> Trajectory:
    """The checkpoints that can be measured. Raises Missing when they are too few for a trend."""
    _need_checkpoints(reader.settings.steps)
    start = None if losses else _start(reader)  # before the checkpoints, which another worker of a sweep may measure
    steps, values, disruptions = [], [], []
    for arm, step in reader.settings.steps.items():
        try:
            counts = _values(reader, rope="rope", drope=arm)
            records = (
                {name: reader.get("disruption", a) for name, a in (("rope", "rope"), ("drope", arm))} if losses else {}
            )
        except (Unusable, Missing):
            continue  # the tests of this checkpoint tell why
        steps.append(step)
        values.append(counts)
        disruptions += [Disruption(records)] if losses else []
    _need_checkpoints(steps)
    tokens = tokens_per_step(reader.settings.arms["drope"])
    return Trajectory(tuple(steps), tuple(values), tuple(disruptions), tokens, start)


def _need_checkpoints(steps: Sized) -> None:
    if len(steps) < ENOUGH:
        raise Missing(f"a trend needs {ENOUGH} checkpoints, there are {len(steps)}: give a series to --drope")


def _start(reader: Reader) -> MassiveValues | None:
    """Step 0 of a series; None where the architecture does not allow to make it."""
    try:
        return _with_dropped(reader)
    except (Unusable, Missing):
        return None  # the tests of the dropped arm tell why


def _reliance(reader: Reader) -> Trajectory:
    return _trajectory(reader, losses=True)


def _need_sites(reader: Reader, *needed: str) -> None:
    """Raise Missing unless the RoPE arm's architecture can be read at all of these sites."""
    readable = sites_of(reader.get("norms", "rope"))
    if missing := [site for site in needed if site not in readable]:
        only = " and ".join(readable)
        raise Missing(f"states of this architecture cannot be read at the site {missing[0]}, only at {only}")


def _was_measured(reader: Reader, arm: str, experiment: str = "norms", site: str | None = None) -> bool:
    try:
        reader.get(experiment, arm, site)
    except (Missing, Unusable):
        return False
    return True


SUBJECTS: Mapping[str, Subject] = {
    subject.name: subject
    for subject in (
        Subject(
            "massive_values", "The massive values of both arms.", _massive_values, each_checkpoint=True, treatment=True
        ),
        Subject("rope_values", "The massive values of the RoPE arm alone.", _rope_values),
        Subject(
            "disruption",
            "Losses of both arms under experiment 2.",
            _disruption,
            losses="disruption",
            each_checkpoint=True,
            treatment=True,
        ),
        Subject(
            "bands",
            "Losses of the RoPE arm with channels of slow and of fast rotary pairs zeroed.",
            _bands,
            losses="bands",
            unpublished="nothing about zeroing channels of slow or of fast rotary pairs",
        ),
        Subject(
            "specificity",
            "Losses of both arms with massive channels and with others that they compare with replaced.",
            _specificity,
            losses="specificity",
            treatment=True,
            unpublished="nothing about replacing the next-largest channels or random ones of equal energy",
        ),
        Subject(
            "rope_answers",
            "Answers of the RoPE arm alone to the items of tasks, with massive channels and others replaced.",
            _rope_answers,
            losses="tasks",
        ),
        Subject(
            "answers",
            "Answers of both arms to the items of tasks, with massive channels and others replaced.",
            _answers,
            losses="tasks",
            treatment=True,
        ),
        Subject(
            "stream",
            "The residual stream of the RoPE arm and of another arm, and what attention and the MLP add to it.",
            _stream,
            losses="stream",
            treatment=True,
            parameters=("other",),
            drawn={"other": OTHERS},
        ),
        Subject(
            "sinks",
            "Attention of the RoPE arm and of another arm to the first position.",
            _sinks,
            losses="sinks",
            treatment=True,
            parameters=("other",),
            drawn={"other": OTHERS},
        ),
        Subject(
            "modules",
            "Losses of the RoPE arm and of another arm with modules or massive activations replaced.",
            _modules,
            losses="modules",
            treatment=True,
            parameters=("other",),
            drawn={"other": OTHERS},
        ),
        Subject(
            "recovery",
            "Losses of both arms and of the RoPE arm with its rotation dropped (`dropped`).",
            _recovery,
            counted=False,
            each_checkpoint=True,
            treatment=True,
            unpublished="nothing about the loss of the RoPE arm with its rotation off and no recalibration",
        ),
        Subject(
            "with_dropped",
            "The massive values of the RoPE arm and of its weights without rotation, not recalibrated (`dropped`).",
            _with_dropped,
            unpublished="nothing about the RoPE arm with its rotation off and no recalibration",
        ),
        Subject(
            "both_sites",
            "The massive values of the RoPE arm right before its rotation (`rope`) and as attention receives them.",
            _both_sites,
            sites=("projection", "normed", "attention"),
            unpublished="nothing about the same arm before its rotation and at attention",
        ),
        Subject(
            "with_rescaled",
            "The massive values of the RoPE arm and of its weights with a rescaled rotation, before the rotation.",
            _with_rescaled,
            sites=("projection",),
            parameters=("kind",),
            unpublished="nothing about the RoPE arm with its rotation rescaled",
        ),
        Subject(
            "by_position",
            "Losses of the RoPE arm and of its weights with a rescaled rotation, token by token.",
            _by_position,
            sites=("projection",),
            counted=False,
            parameters=("kind",),
            unpublished="nothing about the loss beyond the trained length",
        ),
        Subject(
            "with_continued",
            "The massive values of both arms and of the RoPE arm trained on for as long with its rotation.",
            _with_continued,
            treatment=True,
            unpublished="nothing about a control that was trained on with its rotation",
        ),
        Subject(
            "trajectory",
            "The massive values of every checkpoint of the series.",
            _trajectory,
            treatment=True,
            unpublished="nothing about the course of recalibration",
        ),
        Subject(
            "reliance",
            "The same with the losses under experiment 2.",
            _reliance,
            losses="disruption",
            treatment=True,
            unpublished="nothing about the course of recalibration",
        ),
        Subject(
            "trained_steps",
            "How many steps `drope` and `continued` were trained for, as far as their checkpoints tell.",
            _trained_steps,
            beside={"drope": None, "continued": None},
        ),
    )
}


@dataclass(frozen=True)
class Records:
    """Reads the records of a run that is over: `recorded(experiment)` gives them by arm."""

    recorded: Callable[[str], Mapping[str, xr.Dataset]]
    settings: Settings
    treatment: str = "drope"

    def get(self, experiment: str, arm: str, site: str | None = None) -> xr.Dataset:
        records = self.recorded(self.settings.named(experiment, site or self.settings.site_of(arm)))
        if arm not in records:
            raise Missing(f"no record of {experiment} was taken of the {arm} arm")
        return records[arm]


def read_again(reader: Reader) -> dict[str, object]:
    """All subjects that can be made of the reader's records, by name."""
    subjects = {}
    for subject in SUBJECTS.values():
        if subject.beside is None:
            try:
                subjects[subject.name] = subject.make(reader, **subject.drawn)
            except (Missing, Unusable):
                continue
    return subjects
