"""Runs of pytest that import and collect nothing twice.

This process makes the long imports once. `fresh` forks it and runs pytest on the files as they lie there. `collected`
forks it to collect tests and wait: each run of these is a fork again, in which one function may have other code.
"""

import gc
import importlib
import marshal
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import CodeType, FrameType, FunctionType

import pytest

from mutants.functions import Function

LIBRARIES = (
    *("torch", "transformers.modeling_utils", "transformers.models.llama", "accelerate", "tokenizers"),
    *("h5netcdf", "h5py", "jsonschema", "scipy.stats", "xarray", "matplotlib.pyplot"),
    *("pytest", "pytest_html", "pytest_benchmark.plugin", "hypothesis.strategies", "hypothesis.extra.numpy"),
)
FORK = get_context("fork")
NOTHING: tuple[set, set] = (set(), set())
"""No functions and no lines were noted."""
Replaced = tuple[str, Sequence[tuple[Function, CodeType]]]
"""A file, and functions of it with other code."""


def prepare() -> None:
    """Import what the tests need, but nothing of this repository, which differs from run to run."""
    for name in LIBRARIES:
        importlib.import_module(name)
    # every run draws the same examples, and few; a failure is enough: it need not become a small one
    from hypothesis import Phase, settings

    settings.register_profile(
        "mutants",
        max_examples=25,
        phases=(Phase.explicit, Phase.generate),
        derandomize=True,
        database=None,
        deadline=None,
    )
    settings.load_profile("mutants")


@dataclass(frozen=True)
class Test:
    """A test of those that are collected, by its number: how long it takes, and which functions and lines it runs."""

    number: int
    seconds: float
    functions: frozenset[tuple[str, Function]]
    lines: frozenset[tuple[str, int]]


def fresh(folder: Path, output: Path, arguments: Sequence[str], seconds: float) -> bool:
    """Whether pytest passes in this folder; not if it takes longer."""
    process = FORK.Process(target=_pytest, args=(folder, output, arguments))
    process.start()
    process.join(seconds)
    if late := process.is_alive():
        os.killpg(process.pid, signal.SIGKILL)
        process.join()
    return not late and process.exitcode == 0


def _pytest(folder: Path, output: Path, arguments: Sequence[str], waiting: "_Waiting | None" = None) -> None:
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with output.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.chdir(folder)
    sys.dont_write_bytecode = not waiting  # what is compiled of a change would outlive it
    sys.path.insert(0, str(folder))
    if waiting:
        sys.setprofile(waiting.entered)
    sys.exit(pytest.main([*arguments], plugins=[waiting] if waiting else []))


@contextmanager
def collected(folder: Path, output: Path, arguments: Sequence[str]) -> Iterator["Collected"]:
    """The tests that pytest collects in this folder. Raises RuntimeError if it cannot."""
    ours, theirs = FORK.Pipe()
    process = FORK.Process(target=_pytest, args=(folder, output, arguments, _Waiting(theirs, folder)))
    process.start()
    theirs.close()
    try:
        try:
            names, early = ours.recv()
        except EOFError:
            raise RuntimeError(f"pytest collects nothing:\n{output.read_text()[-4000:]}") from None
        yield Collected(names, early, ours)
    finally:
        ours.close()
        os.killpg(process.pid, signal.SIGKILL)
        process.join()


@dataclass
class Collected:
    """Tests that wait to be run, by their names, and the functions that were entered while they were collected."""

    names: list[str]
    early: set[tuple[str, Function]]
    _process: Connection

    def file_of(self, test: Test) -> str:
        """The file that a test stands in."""
        return self.names[test.number].partition("::")[0]

    def seconds(self, files: Collection[str], tests: Sequence[Test]) -> float:
        """How long all of the tests in these files took: pytest runs whole files."""
        return sum(test.seconds for test in tests if self.file_of(test) in files)

    def traced(self, files: Sequence[str]) -> list[Test]:
        """Each test, run in a process of its own, with the lines of these files that it runs.

        Raises RuntimeError for a test that fails.
        """
        found = []
        for number, name in enumerate(self.names):
            started = time.monotonic()
            failed, (functions, lines) = self._run([number], None, 600, tuple(files))
            if failed is not None:
                raise RuntimeError(f"{name} fails without any change")
            found.append(Test(number, time.monotonic() - started, frozenset(functions), frozenset(lines)))
        return found

    def failing(self, tests: Sequence[Test], replaced: Replaced) -> Test | None:
        """The first of these tests that fails with the other code, or that takes too long."""
        # what takes longer is an endless loop, even on a machine that has become busy: traced, tests took longer
        seconds = 30 + sum(test.seconds for test in tests)
        file, functions = replaced
        marshalled = file, [(function, marshal.dumps(code)) for function, code in functions]
        failed, _ = self._run([test.number for test in tests], marshalled, seconds)
        return next((test for test in tests if test.number == failed), None)

    def _run(self, numbers, replaced, seconds, trace=()) -> tuple[int | None, tuple[set, set]]:
        if not numbers:
            return None, NOTHING
        self._process.send((numbers, replaced, seconds, trace))
        return self._process.recv()


@dataclass(eq=False)  # a plugin must have a hash
class _Waiting:
    """A plugin of pytest that runs the tests it is asked for, each time in a fork."""

    process: Connection
    folder: Path
    failed: bool = field(default=False, init=False)
    codes: dict[int, CodeType] = field(default_factory=dict, init=False)
    lines: set[tuple[str, int]] = field(default_factory=set, init=False)

    def entered(self, frame: FrameType, event: str, _: object) -> None:
        """For sys.setprofile."""
        if event == "call":
            self.codes[id(frame.f_code)] = frame.f_code

    def tracing(self, files: Sequence[str]) -> Callable:
        """For sys.settrace: notes what is called, and which lines of these files are run."""
        places = {f"{self.folder}/{file}": file for file in files}

        def called(frame: FrameType, event: str, _: object) -> Callable | None:
            self.codes[id(frame.f_code)] = frame.f_code
            file = places.get(frame.f_code.co_filename)
            if file is None:
                return None

            def run(frame: FrameType, event: str, _: object) -> Callable:
                self.lines.add((file, frame.f_lineno))
                return run

            return run

        return called

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        sys.setprofile(None)
        if session.testsfailed:
            raise session.Interrupted("errors during collection")
        functions: dict[tuple[str, Function], list[FunctionType]] = {}
        for thing in gc.get_objects():
            if type(thing) is FunctionType and (key := self._key(thing.__code__)):
                functions.setdefault(key, []).append(thing)
        gc.freeze()  # no fork need look at, and so copy, what was there before it
        self.process.send(([item.nodeid for item in session.items], self._entered()))
        while True:
            try:
                numbers, replaced, seconds, trace = self.process.recv()
            except EOFError:
                return True
            if replaced:
                file, new = replaced
                changed = [(functions.get((file, key), ()), marshal.loads(code)) for key, code in new]
            self.process.send(self._forked(session, numbers, changed if replaced else (), seconds, trace))

    def _forked(self, session, numbers, changed, seconds, trace) -> tuple[int | None, tuple[set, set]]:
        with tempfile.TemporaryDirectory() as temporary:
            receiver, sender = FORK.Pipe(duplex=False)
            run = FORK.Process(target=self._run, args=(session, numbers, changed, trace, temporary, sender))
            run.start()
            sender.close()
            result = (numbers[0], NOTHING)  # a process that is too late or breaks down has noticed the change
            if wait([receiver], seconds):
                with suppress(EOFError):
                    result = receiver.recv()
            with suppress(ProcessLookupError):
                os.killpg(run.pid, signal.SIGKILL)
            run.join()
            receiver.close()
        return result

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.failed |= report.failed

    def _run(self, session, numbers, changed, trace, temporary, sender) -> None:
        """Send the number of the first test that fails, and with `trace` the functions and lines that were run."""
        os.setsid()
        session.config._tmp_path_factory._basetemp = Path(temporary)
        for functions, code in changed:
            for function in functions:
                function.__code__ = code
        self.codes.clear()
        failed = None
        items = [session.items[number] for number in numbers]
        for number, item, following in zip(numbers, items, [*items[1:], None], strict=True):
            sys.settrace(self.tracing(trace) if trace else None)
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            sys.settrace(None)
            if self.failed:
                failed = number
                break
        sender.send((failed, (self._entered(), self.lines) if trace else NOTHING))
        sender.close()
        time.sleep(60)  # the parent ends this process: it need not clean up

    def _entered(self) -> set[tuple[str, Function]]:
        return {key for code in self.codes.values() if (key := self._key(code))}

    def _key(self, code: CodeType) -> tuple[str, Function] | None:
        inside = f"{self.folder}/"
        if not code.co_filename.startswith(inside):
            return None
        return code.co_filename.removeprefix(inside), (code.co_qualname, code.co_firstlineno)
