"""The command `python -m lib.sweep GRID.toml`: measure every arm of a grid once, judge every cell, compare them."""

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from lib import compare
from lib.definitions import printable, refuse_empty
from lib.sweep import engines
from lib.sweep.grid import Cell, Grid, read
from lib.sweep.jobs import Job, jobs_of, typed

JUDGED = (0, 1)
"""Exit codes of runs that came to verdicts, whatever these are."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Make a sweep. Returns the exit code: 1 if something was left out, 2 after one sentence on bad input."""
    parser = argparse.ArgumentParser(prog="python -m lib.sweep", description="Measure and judge a grid of runs.")
    parser.add_argument("grid", type=Path, metavar="GRID.toml", help="options of a run; a list makes an axis")
    parser.add_argument("--in-order", action="store_true", help="without Ray, one task after the other")
    arguments = sys.argv[1:] if arguments is None else arguments
    given = parser.parse_args(arguments)
    jobs: list[Job] = []
    ended: list[str] = []
    try:
        refuse_empty(arguments)
        grid = read(given.grid)
        jobs = jobs_of(grid.cells)
        faults = measure(jobs, grid, ended, in_order=given.in_order or not engines.ray_is_there())
        faults += judge(grid)
    except ValueError as error:
        print(printable(str(error)), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"interrupted: {len(ended)} of {len(jobs)} tasks are done, and the same command goes on", file=sys.stderr)
        return 130
    for fault in faults:
        print(printable(fault), file=sys.stderr)
    return 1 if faults else 0


def measure(jobs: Sequence[Job], grid: Grid, ended: list[str], *, in_order: bool) -> list[str]:
    """Make all jobs; `ended` takes their names as they end. Returns a sentence for each that failed."""
    faults: list[str] = []
    with tqdm(total=len(jobs), desc="measuring", unit="task") as bar:

        def done(job: Job, outcome: engines.Outcome) -> None:
            ended.append(job.name)
            bar.update(1)
            if outcome.fault:
                faults.append(f"{job.name}: {outcome.fault}")

        if in_order:
            engines.in_order(jobs, done)
        else:
            engines.on_ray(jobs, done, grid.workers)
    return faults


def judge(grid: Grid) -> list[str]:
    """Judge every cell from its records, and put all of them on one page. Returns a sentence for each that failed."""
    grid.out.mkdir(parents=True, exist_ok=True)
    faults, documents, names = [], [], _file_names(grid.cells)
    for cell in tqdm(grid.cells, desc="judging", unit="run"):
        page = grid.out / f"{names[cell.name]}.html"
        ended = engines.run([*typed(cell.options), "--replay", f"--html={page}"])
        if ended.returncode in JUDGED and page.with_suffix(".json").is_file():
            documents.append(page.with_suffix(".json"))
        else:
            faults.append(f"{cell.name}: {engines.last_line(ended.stdout)}")
    if len(documents) > 1:
        page, table = grid.out / "compare.html", grid.out / "compare.md"
        unit = ["--unit", "run"] if grid.of_training else []
        compare.main([*map(str, documents), "--out", str(page), "--table", str(table), *unit])
    return faults


def _file_names(cells: Sequence[Cell]) -> dict[str, str]:
    """For each cell a name that a file can have; those that come out equal are told apart by number."""
    plain = {cell.name: re.sub(r"[^A-Za-z0-9.=_-]+", "_", cell.name).strip("_.") or "run" for cell in cells}
    every = list(plain.values())
    return {
        name: f"{file}_{number}" if every.count(file) > 1 else file
        for number, (name, file) in enumerate(plain.items(), 1)
    }
