"""Runs side by side: `python -m lib.compare A.json B.json [C.json ..] --out compare.html` makes one page of them."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path

from lib.compare.compatible import other_settings
from lib.compare.drift import ABSENT, interval
from lib.compare.page import page
from lib.reporting import documents

Runs = Mapping[str, dict]
"""Documents by the name that a run has on the page."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page and say which claims differ. Returns the exit code: 2, and one sentence, for bad input."""
    parser = argparse.ArgumentParser(prog="python -m lib.compare", description="Put several runs on one page.")
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE.json", help="report.json or baseline of a run")
    parser.add_argument("--out", type=Path, default=Path("compare.html"), help="the page (default: compare.html)")
    given = parser.parse_args(arguments)
    try:
        runs = read(given.files)
        write(given.out, page(runs, warnings(runs), differing(runs)))
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    for line in summary(runs):
        print(line)
    print(f"the page is {given.out}")
    return 0


def read(files: Sequence[Path]) -> dict[str, dict]:
    """Documents by name: a file's name without ending, or as much of its path as tells it from the others.

    Raises ValueError, one sentence: fewer than two files, one twice, or one that `lib.documents.read` refuses.
    """
    paths = [file.absolute() for file in files]
    if twice := [file for file, path in zip(files, paths, strict=True) if paths.count(path) > 1]:
        raise ValueError(f"{twice[0]} is named twice: give the documents of two runs or more")
    if len(files) < 2:
        raise ValueError("there is nothing to compare: give the documents of two runs or more")
    found = [documents.read(file) for file in files]
    parts = [path.with_suffix("").parts if path.suffix == ".json" else path.parts for path in paths]
    depth = next((d for d in range(1, max(map(len, parts))) if len({p[-d:] for p in parts}) == len(parts)), None)
    names = ["/".join(p[-depth:]) for p in parts] if depth else [str(file) for file in files]
    return dict(zip(names, found, strict=True))


def write(path: Path, text: str) -> None:
    """Write the page whole or not at all. Raises ValueError when it cannot be written."""
    try:
        documents.write_whole(path, text)
    except OSError as error:
        raise ValueError(f"{path} cannot be written: {error.strerror}") from error


def warnings(runs: Runs) -> list[str]:
    """Sentences on what makes estimates of the runs not compare, each against the first run."""
    (first, start), *others = runs.items()
    found = []
    for name, document in others:
        if document["kind"] != start["kind"]:
            found.append(f"{name} does not compare with {first}: one is measured and one holds published figures.")
        elif said := other_settings(start["settings"], document["settings"], (first, name)):
            found.append(f"{name} does not compare with {first}: {said}.")
    stopped = [(name, document["stopped"]) for name, document in runs.items() if document["stopped"]]
    return found + [f"{name} was stopped: {why}." for name, why in stopped]


def differing(runs: Runs) -> set[str]:
    """Ids of the claims whose verdicts differ.

    A run that did not judge a claim differs from one that did; earlier checkpoints of a series are compared where runs
    have them in common.
    """
    tables = [{entry["id"]: entry for entry in document["claims"]} for document in runs.values()]
    found = set()
    for one, other in combinations(tables, 2):
        for claim in {**one, **other}:
            a, b = (verdict(table.get(claim)) for table in (one, other))
            early = (one.get(claim) or other[claim])["label"] is not None
            if a != b and not (early and None in (a, b)):
                found.add(claim)
    return found


def verdict(entry: Mapping | None) -> str | None:
    """A claim's verdict; None where it was not judged."""
    return None if entry is None or entry["verdict"] in ABSENT else entry["verdict"]


def summary(runs: Runs) -> list[str]:
    """What the terminal says: why runs do not compare, and every claim that differs, run by run."""
    lines = [f"warning: {sentence}" for sentence in warnings(runs)]
    ids = list(dict.fromkeys(entry["id"] for document in runs.values() for entry in document["claims"]))
    different = differing(runs)
    for claim in (claim for claim in ids if claim in different):
        said = []
        for name, document in runs.items():
            entry = next((entry for entry in document["claims"] if entry["id"] == claim), None)
            judged = (entry or {}).get("judgement") or {"estimate": None}
            number = "" if judged["estimate"] is None else f" {interval(judged)}"
            said.append(f"{name} {entry['verdict'] if entry else 'not run'}{number}")
        lines.append(f"{claim}: {'; '.join(said)}")
    last = {entry["id"] for document in runs.values() for entry in document["claims"] if entry["label"] is None}
    early = len(different - last)
    more = f", and {early} of their earlier checkpoints" if early else ""
    return [
        *lines,
        f"{len(different & last)} of {len(last)} claims have verdicts that differ in {len(runs)} runs{more}",
    ]
