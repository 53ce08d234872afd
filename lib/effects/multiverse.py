"""Every claim of counts, judged again with each choice that the count rests on made otherwise, from records.

The choices are the threshold, the scope of the mean, the site at which states are read, and whether the first position
of a text counts, at which many models have their largest norms. A verdict that few of the combinations share rests on
the choice. Source: Steegen et al. 2016, Increasing transparency through a multiverse analysis.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import product

import xarray as xr

from lib.definitions import SCOPES, SITES
from lib.effects.counts import MassiveValues
from lib.effects.subjects import SUBJECTS, Missing, Records, Subject
from lib.effects.trajectory import Trajectory
from lib.judging import Judgement
from lib.records import Unusable
from lib.settings import Settings

THRESHOLDS = (3.0, 4.0, 5.0, 6.0, 7.0, 8.0)
FIRST = (True, False)
OF_COUNTS = tuple(name for name, row in SUBJECTS.items() if row.beside is None and not row.losses and row.counted)
"""Subjects that are made of norms alone, so that all choices can be made otherwise after the measurement."""

Counted = MassiveValues | Trajectory


@dataclass(frozen=True)
class Asked:
    """A claim of counts: the name of its subject and what the maker of that asks for, and the claim's own test.

    `judge(subject, **beside)` gives the judgement; `beside` are all that a claim may ask for beside its subject.
    """

    subject: str
    judge: Callable[..., Judgement]
    parameters: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Cell:
    """One combination of choices. `site` is None for a claim that has sites of its own."""

    site: str | None
    scope: str
    first: bool
    threshold: float


def multiverse(run: Records, claims: Mapping[str, Asked]) -> dict | None:
    """The verdict of each claim in every cell; plain JSON values, None if no claim has a cell.

    Returns `axes`, the choices by name, and for each claim of `claims`: `cells`, each a list of threshold, scope, site,
    first, verdict and estimate (None without one), thresholds running fastest; `holds`, the number of cells in which
    the claim is supported, `of`, that of all, and `own`, the place of the run's own cell among them (None if its
    threshold is none of the axis). Sites at which the run lacks records for the claim are no cells. A claim without a
    subject in a cell is inconclusive there; one whose test breaks is an `error` in that cell, and costs no other.
    """
    if not claims:
        return None
    beside = {name: row.make(run) for name, row in SUBJECTS.items() if row.beside is not None}
    found: dict[str, list] = {claim: [] for claim in claims}
    for (name, parameters), together in _by_subject(claims).items():
        for cell, subject in _cells(run, SUBJECTS[name], dict(parameters)):
            for claim in together:
                found[claim].append((cell, *_judged(claims[claim], subject, beside)))
    judged = {claim: _plain(cells, run.settings) for claim, cells in found.items() if cells}
    sites = {cell.site for cells in found.values() for cell, *_ in cells}
    axes = {
        "threshold": list(THRESHOLDS),
        "scope": list(SCOPES),
        "site": [site for site in SITES if site in sites],
        "first": list(FIRST),
    }
    return {"axes": axes, "claims": judged} if judged else None


def _by_subject(claims: Mapping[str, Asked]) -> dict[tuple, list[str]]:
    """Claims by what they read: its masks are made once in every cell."""
    groups: dict[tuple, list[str]] = {}
    for claim, asked in claims.items():
        groups.setdefault((asked.subject, tuple(asked.parameters.items())), []).append(claim)
    return groups


def _cells(run: Records, row: Subject, parameters: dict) -> Iterator[tuple[Cell, Counted]]:
    own = _made(row, run, parameters)
    if own is None:
        return
    for site in (None,) if row.sites else SITES:
        for scope, first, threshold in product(SCOPES, FIRST, THRESHOLDS):
            there = replace(run.settings, threshold=threshold, scope=scope, site=site or run.settings.site)
            subject = _made(row, _Elsewhere(run, there, run.treatment), parameters)
            if subject is None or _records(subject).keys() != _records(own).keys():
                break  # no cell of this site has all records
            yield Cell(site, scope, first, threshold), _with(subject, first)


@dataclass(frozen=True)
class _Elsewhere:
    """Reads the records of a run as if it had been made with other `settings`."""

    run: Records
    settings: Settings
    treatment: str

    def get(self, experiment: str, arm: str, site: str | None = None) -> xr.Dataset:
        return self.run.get(experiment, arm, site or self.settings.site_of(arm))


def _made(row: Subject, reader: Records | _Elsewhere, parameters: dict) -> Counted | None:
    try:
        return row.make(reader, **parameters)
    except (Missing, Unusable):
        return None


def _records(subject: Counted) -> dict:
    """What a subject is made of, by arm and step: of a series, some checkpoints may lack records."""
    if isinstance(subject, MassiveValues):
        return dict(subject.records)
    parts = dict(zip(subject.steps, subject.values, strict=True)) | ({"start": subject.start} if subject.start else {})
    return {(step, arm): record for step, values in parts.items() for arm, record in values.records.items()}


def _with(subject: Counted, first: bool) -> Counted:
    """The same subject with or without the first position of every text."""
    if isinstance(subject, MassiveValues):
        return replace(subject, first=first)
    start = subject.start and _with(subject.start, first)
    return replace(subject, values=tuple(_with(values, first) for values in subject.values), start=start)


def _judged(asked: Asked, subject: Counted, beside: Mapping[str, object]) -> tuple[str, float | None]:
    try:
        judgement = asked.judge(subject, **beside)
    except Exception:  # a test that never met such a subject may raise anything: it broke in this cell alone
        return "error", None
    return judgement.verdict, judgement.estimate


def _plain(cells: list[tuple[Cell, str, float | None]], settings: Settings) -> dict:
    places = [cell for cell, *_ in cells]
    site = settings.site if places[0].site else None
    own = Cell(site, settings.scope, True, settings.threshold)
    verdicts = [verdict for _, verdict, _ in cells]
    return {
        "cells": [[c.threshold, c.scope, c.site, c.first, verdict, estimate] for c, verdict, estimate in cells],
        "holds": verdicts.count("supported"),
        "of": len(cells),
        "own": places.index(own) if own in places else None,
    }
