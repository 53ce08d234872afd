"""Verdicts with a run of training as the unit: of several runs of one recipe, each of which gave one estimate.

Texts replicate a measurement. Only other runs of the same recipe, with other seeds, replicate the training.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lib.judging import Assessment, Judgement, all_of, assess, mean, undecided
from lib.reporting import ONLY_TEXTS

Runs = Mapping[str, dict]
"""Documents by the name of their run."""
FEWEST = 3
"""So many runs decide something: two numbers hardly tell a variance."""
NUMBERS = {1: "one run", 2: "two runs"}
RULES = {
    "<=": Assessment.at_most,
    "<": Assessment.below,
    ">=": Assessment.at_least,
    ">": Assessment.above,
    "in": Assessment.within,
    "outside": Assessment.outside,
}
"""The rule of a judgement, by how it begins."""


@dataclass(frozen=True)
class OverRuns:
    """A claim about training, judged on the estimates of several runs.

    `told` are the runs' own judgements, as in their documents; `absent` says of a run why it gave no estimate.
    """

    claim: str
    statement: str
    judgement: Judgement
    told: Mapping[str, dict]
    absent: Mapping[str, str]


def over_runs(runs: Runs) -> list[OverRuns]:
    """Every claim about training that a run was asked, in order. Earlier checkpoints of a series are left out."""
    entries = {name: {e["id"]: e for e in document["claims"]} for name, document in runs.items()}
    asked = {i: e for found in entries.values() for i, e in found.items() if e["training"] and e["label"] is None}
    return [
        _over_runs(claim, entry["statement"], {name: found.get(claim) for name, found in entries.items()})
        for claim, entry in asked.items()
    ]


def _over_runs(claim: str, statement: str, entries: Mapping[str, dict | None]) -> OverRuns:
    judged = {name: entry["judgement"] for name, entry in entries.items() if entry and entry["judgement"]}
    told = {name: of for name, of in judged.items() if of["estimate"] is not None}
    absent = {name: _why(entries[name]) for name in entries if name not in told}
    return OverRuns(claim, statement, _judged(list(told.values())), told, absent)


def _why(entry: dict | None) -> str:
    """Why a run gave no estimate."""
    if entry is None:
        return "not asked"
    return (entry["judgement"] or entry)["reason"] or entry["verdict"]


def _judged(judgements: Sequence[dict]) -> Judgement:
    if not judgements:
        return undecided("no run gave an estimate")
    if len(judgements) < FEWEST:
        return undecided(f"{NUMBERS[len(judgements)]}: {ONLY_TEXTS}")
    of_runs = [of["parts"] or [of] for of in judgements]
    asked = [[(part["rule"], part["label"], part["alpha"]) for part in parts] for parts in of_runs]
    if any(parts != asked[0] for parts in asked):
        return undecided("the runs were asked otherwise: judge them with one version")
    parts = [_part(list(parts), len(of_runs[0])) for parts in zip(*of_runs, strict=True)]
    return all_of(parts) if len(parts) > 1 else parts[0]


def _part(of_runs: Sequence[dict], parts: int) -> Judgement:
    """One rule of a claim, judged on the estimates of the runs."""
    if any(part["estimate"] is None for part in of_runs):
        return undecided("a part of the claim has no estimate in some runs")
    estimates, first = [part["estimate"] for part in of_runs], of_runs[0]
    assessment = assess(
        mean(estimates).if_normal,  # so few have no distribution to draw from
        alpha=first["alpha"],
        parts=parts,
        unit=first["unit"],
        label=first["label"],
        distinct=len(set(estimates)),
        observations="runs",
        over_kinds=False,
    )
    return RULES[first["rule"].split()[0]](assessment, *first["limits"])


def lines(found: Sequence[OverRuns]) -> list[str]:
    """For the terminal: the verdict of each claim over the runs."""
    return [f"{of.claim}, over runs: {of.judgement}{_missing(of)}" for of in found]


def _missing(of: OverRuns) -> str:
    return "".join(f"; {name}: {why}" for name, why in of.absent.items())
