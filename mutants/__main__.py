"""Change files in small ways, one at a time, and fail for a change that no test notices and docs/mutants.md omits.

    python -m mutants [FILE or PACKAGE ..] [--sample N]

The files are changed in a copy of the checkout, so that a run that is broken off leaves nothing behind.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from mutants import runs
from mutants.changes import Change, changes
from mutants.functions import changed_function, changed_lines
from mutants.survivors import PAGE, ROOT, Mutant, explained

CONFIG = tomllib.loads((Path(__file__).parent / "config.toml").read_text(encoding="utf-8"))
PYTEST = ("-q", "--tb=line", "-p", "no:cacheprovider")


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
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # what is compiled once serves all runs
    runs.prepare()
    faults = 0
    with TemporaryDirectory() as folder:
        copy = copied(Path(folder).resolve() / "checkout")
        for file, survivors in tried(files, copy, options.sample):
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
    """The files of tests that must notice a change of a file."""
    settings = CONFIG["packages"][str(Path(file).parent)]
    places = [*settings["tests"], *settings.get("also", {}).get(Path(file).name, [])]
    # file by file: pytest would take a folder's files in an order of its own
    found = [test for place in places for test in sorted((ROOT / place).glob("test_*.py")) or [ROOT / place]]
    return [str(test.relative_to(ROOT)) for test in found if test.name not in settings.get("without", [])]


def copied(folder: Path) -> Path:
    """A copy of the checkout, with what is not committed yet and without what git ignores."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    for name in filter(None, names):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


def tried(files: list[str], copy: Path, sample: int | None) -> Iterator[tuple[str, list[Mutant]]]:
    """Each of these files with those of its changes that no test notices."""
    places = dict.fromkeys(place for file in files for place in tests_of(file))
    arguments = [*PYTEST, *CONFIG["slow"]["options"], *places]
    started = time.monotonic()
    with runs.collected(copy, copy.parent / "output", arguments) as collected:
        tests = collected.traced(files)
        print(f"{len(tests)} tests, {time.monotonic() - started:.0f} s", flush=True)
        for file in files:
            found = changes(ROOT / file, file, CONFIG["operators"]["excluded"], CONFIG["outside"]["decorators"], sample)
            print(f"{file}: {len(found)} changes", flush=True)
            started = time.monotonic()
            trial = Trial(file, copy, collected, of_file(file, tests, collected))
            survivors = []
            for number, change in enumerate(found, 1):
                if not trial.notices(change):
                    survivors.append(change)
                if not number % 50:
                    print(f"  {number} tried, {len(survivors)} of them not noticed", flush=True)
            took = (time.monotonic() - started) / 60
            print(f"{file}: {len(found) - len(survivors)} of {len(found)} noticed, {took:.1f} minutes", flush=True)
            yield file, [mutant for change in survivors for mutant in change.mutants]


def of_file(file: str, tests: list[runs.Test], collected: runs.Collected) -> list[runs.Test]:
    """The tests that must notice a change: those of the file itself, where most changes fail, before all others."""
    own, all_of_them = f"{Path(file).parent}/tests/test_{Path(file).name}", set(tests_of(file))
    places = {test: collected.file_of(test) for test in tests}
    found = [test for test in tests if places[test] in all_of_them]
    return sorted(found, key=lambda test: (places[test] != own, test.seconds))


@dataclass
class Trial:
    """The tests of one file; the one that failed last comes first."""

    file: str
    copy: Path
    collected: runs.Collected
    tests: list[runs.Test]

    def notices(self, change: Change) -> bool:
        """Whether a test fails with the change: one of those that run the changed lines of the changed function."""
        functions = changed_function(change.code, change.changed)
        if functions is None:
            return self._notices_afresh(change)
        key = (self.file, functions[0][0])
        tests = [test for test in self.tests if key in test.functions]
        if lines := changed_lines(change.code, change.changed):
            tests = [test for test in tests if any((self.file, line) in test.lines for line in lines)]
        failing = self.collected.failing(tests, (self.file, functions))
        if failing:
            self.tests.remove(failing)
            self.tests.insert(0, failing)
            return True
        # what it gave while the tests were collected was kept
        return key in self.collected.early and self._notices_afresh(change)

    def _notices_afresh(self, change: Change) -> bool:
        """The same for what is run at import: by the tests that enter any function of the file."""
        tests = [test for test in self.tests if any(file == self.file for file, _ in test.functions)]
        files = dict.fromkeys(map(self.collected.file_of, tests))
        if not files:  # pytest would run all tests that there are
            return False
        arguments = [*PYTEST, "-x", *CONFIG["slow"]["options"], *files]
        place = self.copy / self.file
        place.write_text(change.changed, encoding="utf-8")
        try:
            seconds = 60 + self.collected.seconds(files, self.tests)
            return not runs.fresh(self.copy, self.copy.parent / "output", arguments, seconds)
        finally:
            place.write_text(change.code, encoding="utf-8")


def report(heading: str, mutants: list[Mutant]) -> None:
    if mutants:
        print(f"\n{heading}:\n", *sorted(mutants), sep="\n", flush=True)


if __name__ == "__main__":
    sys.exit(main())
