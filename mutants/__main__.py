"""Change files in small ways, one at a time, and fail for a change that no test notices and docs/mutants.md omits.

    python -m mutants [FILE or PACKAGE ..] [--sample N]

The files are changed in a copy of the checkout, so that a run that is broken off leaves nothing behind.
"""

import argparse
import ast
import os
import random
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from cosmic_ray.config import serialize_config
from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import TestOutcome, WorkerOutcome, WorkResult

from mutants import warm
from mutants.survivors import PAGE, ROOT, Mutant, explained, of_diff

CONFIG = tomllib.loads((Path(__file__).parent / "config.toml").read_text(encoding="utf-8"))
PYTEST = ("-x", "--ff", "-q", "--tb=line")
"""Every run begins with the test that failed before, and stops at its first failure."""
CLAIM = re.compile(r'^@claim\("(\w+)"', re.MULTILINE)
"""Its id stands in the names of the tests that are of this claim alone."""
SKIPPED = WorkResult(worker_outcome=WorkerOutcome.SKIPPED)


def main() -> int:
    parser = argparse.ArgumentParser(prog="mutants", description=__doc__.partition("\n")[0])
    parser.add_argument("paths", nargs="*", default=list(CONFIG["packages"]), help="packages or files of them")
    parser.add_argument("--sample", type=int, metavar="N", help="at most N changes of each file, drawn at random")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the copy is deleted, and no process stays
    try:
        files = list(dict.fromkeys(file for path in options.paths for file in files_of(path)))
    except ValueError as error:
        parser.error(str(error))
    known = {mutant.key: mutant for mutant in explained(PAGE.read_text(encoding="utf-8"))}
    faults = 0
    with TemporaryDirectory() as folder:
        copy = copied(Path(folder) / "checkout")
        with warm_pytest(copy, Path(folder)) as socket:
            for file in files:
                survivors = tried(file, copy, socket, Path(folder), options.sample)
                keys = {mutant.key for mutant in survivors}
                new = [mutant for mutant in survivors if mutant.key not in known]
                # a sample says nothing about the changes that it leaves out
                gone = [] if options.sample else [m for key, m in known.items() if m.file == file and key not in keys]
                report(f"{file}: no test notices, and {PAGE.name} does not explain", new)
                report(f"{file}: {PAGE.name} explains what survives no more", gone)
                faults += len(new) + len(gone)
    return 1 if faults else 0


def files_of(path: str) -> list[str]:
    """The files that are changed at a path: the modules of a package, or one of them."""
    file = Path(path)
    package = str(file.parent if file.suffix == ".py" else file)
    if package not in CONFIG["packages"] or not (ROOT / file).exists():
        raise ValueError(f"{path} is none of the packages {', '.join(CONFIG['packages'])}, nor a file of one")
    if file.suffix == ".py":
        return [str(file)]
    without = {"__init__.py", *CONFIG["packages"][package].get("without", [])}
    return sorted(str(found.relative_to(ROOT)) for found in (ROOT / file).glob("*.py") if found.name not in without)


def tests_of(file: str) -> list[str]:
    """The files of tests that must notice a change: its own first, where most changes fail, then all of its package."""
    folder = Path(file).parent
    package = CONFIG["packages"][str(folder)]
    places = [folder / "tests" / f"test_{Path(file).name}", *package["tests"]]
    # file by file: pytest would take a folder's files in an order of its own
    found = [test for place in places for test in sorted((ROOT / place).glob("test_*.py")) or [ROOT / place]]
    left_out = package.get("without", [])
    files = [str(test.relative_to(ROOT)) for test in found if test.is_file() and test.name not in left_out]
    return list(dict.fromkeys(files))


def without_other_claims(file: str) -> list[str]:
    """Options that leave out what cannot notice a change of a file of claims: tests of single claims of other files."""
    if Path(file).parts[0] != "claims":
        return []
    others = (path for path in (ROOT / "claims").glob("test_*.py") if path != ROOT / file)
    ids = sorted({id for path in others for id in CLAIM.findall(path.read_text(encoding="utf-8"))})
    return ["-k", f"not ({' or '.join(ids)})"]


def copied(folder: Path) -> Path:
    """A copy of the checkout, with what is not committed yet and without what git ignores."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    for name in filter(None, names):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


@contextmanager
def warm_pytest(copy: Path, folder: Path) -> Iterator[str]:
    """A process in the copy that runs pytest at once. Gives its socket."""
    socket = str(folder / "socket")
    with (folder / "output").open("w") as output:
        server = subprocess.Popen(
            [sys.executable, "-m", "mutants.warm", socket], cwd=copy, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            while not os.path.exists(socket):
                if server.poll() is not None:
                    raise RuntimeError((folder / "output").read_text())
                time.sleep(0.1)
            tests = [test for package in CONFIG["packages"] for test in tests_of(f"{package}/any.py")]
            warm.ask(socket, ["--collect-only", "-q", *dict.fromkeys(tests)])  # compiles all modules
            yield socket
            # a failed connection looks like a change that was noticed
            if server.poll() is not None:
                raise RuntimeError("the process that runs pytest ended early: no result of this run counts")
        finally:
            server.terminate()
            server.wait()


def tried(file: str, copy: Path, socket: str, folder: Path, sample: int | None) -> list[Mutant]:
    """The changes of a file that no test notices."""
    tests = [*PYTEST, *CONFIG["slow"]["options"], *without_other_claims(file), *tests_of(file)]
    started = time.monotonic()
    if warm.ask(socket, tests):
        raise RuntimeError(f"the tests of {file} fail without any change:\n{(folder / 'output').read_text()[-4000:]}")
    plain = time.monotonic() - started
    config, session = folder / "config.toml", folder / "session.sqlite"
    command = [sys.executable, "-m", "mutants.warm", socket, *tests]
    # what takes longer is an endless loop, even on a machine that has become busy
    settings = {"module-path": file, "test-command": shlex.join(command), "timeout": 60 + 3 * plain}
    config.write_text(serialize_config({**CONFIG["cosmic-ray"], **settings}), encoding="utf-8")
    cosmic_ray(copy, "cosmic_ray.cli", "init", "--force", config, session)
    cosmic_ray(copy, "cosmic_ray.tools.filters.operators_filter", session, config)
    with use_db(str(session), mode=WorkDB.Mode.open) as work:
        number = leave_out(work, (copy / file).read_text(encoding="utf-8"), sample)
    print(f"{file}: {number} changes; the tests take {plain:.0f} s without one", flush=True)
    started = time.monotonic()
    cosmic_ray(copy, "cosmic_ray.cli", "exec", config, session)
    with use_db(str(session), mode=WorkDB.Mode.open) as work:
        results = [result for _, result in work.results if result.worker_outcome != WorkerOutcome.SKIPPED]
    broken = [result.output for result in results if result.test_outcome == TestOutcome.INCOMPETENT]
    if broken:
        raise RuntimeError(f"{len(broken)} changes of {file} could not be tried:\n{broken[0]}")
    survivors = [
        mutant
        for result in results
        if result.test_outcome == TestOutcome.SURVIVED
        for mutant in of_diff(file, result.diff)
    ]
    took = (time.monotonic() - started) / 60
    print(f"{file}: {number - len(survivors)} of {number} were noticed, in {took:.1f} minutes", flush=True)
    return survivors


def cosmic_ray(copy: Path, module: str, *arguments: object) -> None:
    subprocess.run([sys.executable, "-m", module, *map(str, arguments)], cwd=copy, check=True)


def leave_out(work: WorkDB, code: str, sample: int | None) -> int:
    """Skip changes of what is no code, and those that are not in the sample. Returns how many are left."""
    outside = list(no_code(ast.parse(code)))
    left = []
    for item in sorted(work.pending_work_items, key=lambda item: (item.mutations[0].start_pos, item.job_id)):
        place = tuple(item.mutations[0].start_pos)
        if any(start <= place < end for start, end in outside) or unpacks(code, *place):
            work.set_result(item.job_id, SKIPPED)
        else:
            left.append(item.job_id)
    kept = random.Random(0).sample(left, sample) if sample is not None and sample < len(left) else left
    work.set_multiple_results(set(left) - set(kept), SKIPPED)
    return len(kept)


def no_code(tree: ast.Module) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Where annotations and the arguments of the decorators in config.toml start and end, as (line, column)."""
    for node in ast.walk(tree):
        found = [getattr(node, "annotation", None), getattr(node, "returns", None)]
        for decorator in getattr(node, "decorator_list", []):
            if isinstance(decorator, ast.Call) and getattr(decorator.func, "id", "") in CONFIG["outside"]["decorators"]:
                found += [*decorator.args, *decorator.keywords]
        for part in filter(None, found):
            yield (part.lineno, part.col_offset), (part.end_lineno, part.end_col_offset)


def unpacks(code: str, line: int, column: int) -> bool:
    """Whether there is a star that multiplies nothing: it unpacks a sequence or begins the parameters with names."""
    lines = code.splitlines(keepends=True)
    before, after = "".join(lines[: line - 1]) + lines[line - 1][:column], lines[line - 1][column:]
    return after.startswith("*") and before.rstrip()[-1:] in tuple("([{,=:")


def report(heading: str, mutants: list[Mutant]) -> None:
    if mutants:
        print(f"\n{heading}:\n", *sorted(mutants), sep="\n", flush=True)


if __name__ == "__main__":
    sys.exit(main())
