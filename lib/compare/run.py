"""The command: `python -m lib.compare A.json B.json [C.json ..] --out compare.html` puts runs on one page."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path

from lib.compare.compatible import other_settings
from lib.compare.drift import interval
from lib.compare.over_runs import lines, over_runs
from lib.compare.page import page
from lib.compare.table import table
from lib.definitions import ABSENT, SMOKE, printable, refuse_empty, write_whole
from lib.reporting import documents

Runs = Mapping[str, dict]
"""Documents by the name of their run on the page."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page and print which claims differ. Returns the exit code: for bad input, 2 after one sentence."""
    parser = argparse.ArgumentParser(prog="python -m lib.compare", description="Put several runs on one page.")
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE.json", help="report.json or baseline of a run")
    parser.add_argument("--out", type=Path, default=Path("compare.html"), help="the page (default: compare.html)")
    parser.add_argument(
        "--unit",
        choices=("text", "run"),
        default="text",
        help="run: these are runs of one recipe, and claims about training are judged over them as well",
    )
    parser.add_argument("--table", type=Path, metavar="FILE.md", help="also write claims by runs as Markdown")
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        refuse_empty(arguments)
        given = parser.parse_args(arguments)
        _keep_the_inputs(given.files, given.out, given.table)
        runs = read(given.files)
        found = over_runs(runs) if given.unit == "run" else []
        write(given.out, page(runs, warnings(runs), differing(runs), found))
        if given.table:
            write(given.table, table(runs, found))
    except (ValueError, OSError) as error:
        print(printable(str(error)), file=sys.stderr)
        return 2
    for line in (*summary(runs), *lines(found)):
        print(printable(line))
    print(printable(f"the page is {given.out}"))
    return 0


def _keep_the_inputs(files: Sequence[Path], *outputs: Path | None) -> None:
    """Raise ValueError for an output that is one of the documents, or for two that are one file."""
    taken = {file.resolve() for file in files}
    for output in filter(None, outputs):
        if output.resolve() in taken:
            raise ValueError(f"{output} is read or written by this command already: write to another file")
        taken.add(output.resolve())


def read(files: Sequence[Path]) -> dict[str, dict]:
    """Documents by name: a file's name without its ending, with as much of its path as distinguishes it.

    Raises ValueError, one sentence, for fewer than two files, the same file twice, or no readable document.
    """
    paths = [file.absolute() for file in files]
    if twice := [file for file, path in zip(files, paths, strict=True) if paths.count(path) > 1]:
        raise ValueError(f"{twice[0]} is named twice: give the documents of two runs or more")
    if len(files) < 2:
        raise ValueError("there is nothing to compare: give the documents of two runs or more")
    runs = [documents.read(file) for file in files]
    parts = [path.with_suffix("").parts if path.suffix == ".json" else path.parts for path in paths]
    depth = next((d for d in range(1, max(map(len, parts))) if len({p[-d:] for p in parts}) == len(parts)), None)
    names = ["/".join(p[-depth:]) for p in parts] if depth else [str(file) for file in files]
    return dict(zip(names, runs, strict=True))


def write(path: Path, text: str) -> None:
    """Write the page atomically. Raises ValueError if it cannot be written."""
    try:
        write_whole(path, text)
    except OSError as error:
        raise ValueError(f"{path} cannot be written: {error.strerror}") from error


def warnings(runs: Runs) -> list[str]:
    """Sentences on runs whose estimates do not compare with those of the first run, and on runs that were stopped."""
    (first, start), *others = runs.items()
    sentences = []
    for name, document in others:
        if document["kind"] != start["kind"]:
            sentences.append(f"{name} does not compare with {first}: one is measured and one holds published figures.")
        elif difference := other_settings(start["settings"], document["settings"], (first, name)):
            sentences.append(f"{name} does not compare with {first}: {difference}.")
    stopped = [(name, document["stopped"]) for name, document in runs.items() if document["stopped"]]
    return sentences + [f"{name} was stopped: {why}." for name, why in stopped]


def differing(runs: Runs) -> set[str]:
    """Ids of the claims whose verdicts differ.

    A run that did not judge a claim differs from one that did, unless one of them has no arm to ask it of. A claim that
    a smoke run leaves open differs from none. Earlier checkpoints of a series are compared only if both runs have them.
    """
    tables = [
        ({entry["id"]: entry for entry in document["claims"]}, document["not_asked"]) for document in runs.values()
    ]
    ids = set()
    for (one, not_asked), (other, not_asked_there) in combinations(tables, 2):
        for claim in {**one, **other}:
            if claim.partition("@")[0] in (*not_asked, *not_asked_there):
                continue
            a, b = (verdict(table.get(claim)) for table in (one, other))
            early = (one.get(claim) or other[claim])["label"] is not None
            if a != b and SMOKE not in (a, b) and not (early and None in (a, b)):
                ids.add(claim)
    return ids


def verdict(entry: Mapping | None) -> str | None:
    """A claim's verdict; None if it was not judged."""
    return None if entry is None or entry["verdict"] in ABSENT else entry["verdict"]


def summary(runs: Runs) -> list[str]:
    """Lines for the terminal: why runs do not compare, every claim that differs, and the number of these claims."""
    lines = [f"warning: {sentence}" for sentence in warnings(runs)]
    ids = list(dict.fromkeys(entry["id"] for document in runs.values() for entry in document["claims"]))
    different = differing(runs)
    for claim in (claim for claim in ids if claim in different):
        outcomes = []
        for name, document in runs.items():
            entry = next((entry for entry in document["claims"] if entry["id"] == claim), None)
            judged = (entry or {}).get("judgement") or {"estimate": None}
            number = "" if judged["estimate"] is None else f" {interval(judged)}"
            absent = "not asked" if claim in document["not_asked"] else "not run"
            outcomes.append(f"{name} {entry['verdict'] if entry else absent}{number}")
        lines.append(f"{claim}: {'; '.join(outcomes)}")
    last = {entry["id"] for document in runs.values() for entry in document["claims"] if entry["label"] is None}
    early = len(different - last)
    more = f", and {early} of their earlier checkpoints" if early else ""
    return [
        *lines,
        f"{len(different & last)} of {len(last)} claims have verdicts that differ in {len(runs)} runs{more}",
    ]
