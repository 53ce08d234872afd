"""The experiments: one row each, which says on which texts and arms it is made, after which others, and how."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
import xarray as xr
from torch import Tensor

from lib.definitions import ARMS, EDITED, OTHERS, PROTOCOLS, SINK_TOKENS
from lib.measuring.disruption import measure_bands, measure_protocol
from lib.measuring.keeping import Keep, at_once
from lib.measuring.modules import measure_modules
from lib.measuring.norms import measure_norms
from lib.measuring.sinks import measure_sinks
from lib.measuring.specificity import measure_specificity
from lib.measuring.stream import measure_stream
from lib.measuring.tasks import measure_tasks
from lib.models import Arm
from lib.settings import Settings
from lib.tasks import Task
from lib.texts import Text

COMPARED = ("rope", *OTHERS)
"""The main arms, and those that tell what dropping the rotation or training alone does."""


@dataclass(frozen=True)
class Given:
    """What an experiment is made of.

    `ids(role)` are the tokens [text, pos] of the texts of a role, `texts(role)` the texts, `earlier(experiment)` a
    record of the same arm, and `site` is where states are read. Tasks are `tasks`, to be asked `most_items` each.
    `keep` keeps what is measured of each text as it comes.
    """

    arm: Arm
    settings: Settings
    site: str
    ids: Callable[[str], Tensor]
    texts: Callable[[str], Sequence[Text]]
    earlier: Callable[[str], xr.Dataset]
    tasks: Sequence[Task]
    progress: Callable[[float], None]
    keep: Keep = at_once

    def counted(self) -> dict[str, Tensor]:
        """Norms of Query and Key over the counting texts."""
        norms = self.earlier("norms")
        return {name: torch.from_numpy(norms[f"{name}_norm"].values) for name in EDITED}

    def of(self, role: str) -> tuple[Arm, Tensor, Sequence[Text]]:
        """What every experiment on texts begins with: the arm, and the tokens and texts of a role."""
        return self.arm, self.ids(role), self.texts(role)

    def massive(self) -> dict[str, object]:
        """How massive channels are told, and where they are replaced."""
        settings = self.settings
        return {"threshold": settings.threshold, "scope": settings.scope, "site": settings.site}


@dataclass(frozen=True)
class Experiment:
    """One row. It is made on texts of this `role`; of "items" of tasks, where that is the role.

    It is made on every arm that is compared, or `only_on` some, and `after` others on the same arm. `reads` says what
    it reads beside states (see `lib.probing.proofs`), and `tokens` are the fewest of a text that it needs.
    """

    make: Callable[[Given], xr.Dataset]
    role: str = "score"
    only_on: tuple[str, ...] = ()
    after: tuple[str, ...] = ("norms",)
    reads: str = ""
    tokens: int = 0

    def refused(self, name: str, unreadable: Mapping[str, str], tokens: int) -> str:
        """Why it cannot be made on texts of so many tokens, of a model with these reasons; "" if it can."""
        if tokens < self.tokens:
            return f"{name} are measured on {self.tokens} tokens, and the texts have {tokens}: raise --max-tokens"
        return unreadable.get(self.reads, "")


def _norms(given: Given) -> xr.Dataset:
    how = {"site": given.site, "chunk": given.settings.chunk}
    return measure_norms(*given.of("count"), **how, progress=given.progress)


def _disruption(given: Given) -> xr.Dataset:
    settings = given.settings
    return measure_protocol(
        *given.of("score"),
        PROTOCOLS[settings.protocol],
        given.counted(),
        **given.massive(),
        seed=settings.seed,
        controls=settings.controls,
        chunk=settings.chunk,
        progress=given.progress,
        keep=given.keep,
    )


def _bands(given: Given) -> xr.Dataset:
    frequency = torch.from_numpy(given.earlier("norms")["frequency"].values)
    how = {**given.massive(), "chunk": given.settings.chunk, "progress": given.progress, "keep": given.keep}
    return measure_bands(*given.of("score"), given.counted(), frequency, **how)


def _specificity(given: Given) -> xr.Dataset:
    return measure_specificity(
        *given.of("score"),
        given.counted(),
        given.ids("count"),
        **given.massive(),
        seed=given.settings.seed,
        chunk=given.settings.chunk,
        progress=given.progress,
        keep=given.keep,
    )


def _tasks(given: Given) -> xr.Dataset:
    settings = given.settings
    return measure_tasks(
        given.arm,
        given.tasks,
        given.counted(),
        **given.massive(),
        seed=settings.seed,
        where=settings.replaced,
        chat=settings.apply_chat_template,
        most=settings.most_items,
        progress=given.progress,
        keep=given.keep,
    )


def _stream(given: Given) -> xr.Dataset:
    return measure_stream(*given.of("count"), progress=given.progress)


def _sinks(given: Given) -> xr.Dataset:
    return measure_sinks(*given.of("count"), seed=given.settings.seed, progress=given.progress)


def _modules(given: Given) -> xr.Dataset:
    return measure_modules(
        *given.of("score"),
        given.earlier("stream"),
        seed=given.settings.seed,
        progress=given.progress,
        keep=given.keep,
    )


EXPERIMENTS: Mapping[str, Experiment] = {
    "norms": Experiment(_norms, "count", after=()),
    "disruption": Experiment(_disruption),
    "bands": Experiment(_bands, only_on=("rope",)),
    "specificity": Experiment(_specificity, only_on=ARMS),
    "tasks": Experiment(_tasks, "items", only_on=ARMS),
    "stream": Experiment(_stream, "count", only_on=COMPARED, reads="stream"),
    "sinks": Experiment(_sinks, "count", only_on=COMPARED, reads="weights", tokens=SINK_TOKENS),
    "modules": Experiment(_modules, only_on=COMPARED, after=("norms", "stream"), reads="stream"),
}
