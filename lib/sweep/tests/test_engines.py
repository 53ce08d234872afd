"""Engines: what becomes of a job, and of those that come after it."""

import subprocess
import sys

import pytest

from lib.sweep import command, engines
from lib.sweep.engines import Outcome, in_order, last_line, work
from lib.sweep.jobs import Job

pytestmark = pytest.mark.cpu

JOBS = [Job("control", (("a",), ("b",))), Job("treatment", (("c",),), "control"), Job("other", (("d",),))]


@pytest.fixture
def runs(monkeypatch):
    """The runs that were made; `failing` fail."""

    class Runs(list):
        failing = ()

        def __call__(self, options):
            self.append(options[0])
            code = 4 if options[0] in self.failing else 0
            return subprocess.CompletedProcess(options, code, stdout="loading\n\nExit: there is no folder x\n\n")

    made = Runs()
    monkeypatch.setattr(engines, "run", made)
    return made


def outcomes(jobs):
    found = {}
    in_order(jobs, lambda job, outcome: found.update({job.name: outcome.fault}))
    return found


def test_jobs_are_made_in_order_with_all_of_their_runs(runs):
    assert outcomes(JOBS) == {"control": "", "treatment": "", "other": ""}
    assert runs == ["a", "b", "c", "d"]


def test_a_job_that_fails_ends_those_that_need_it_and_no_other(runs):
    runs.failing = ("a",)
    assert outcomes(JOBS) == {
        "control": "there is no folder x",
        "treatment": "its control was not measured",
        "other": "",
    }
    assert runs == ["a", "d"]


@pytest.mark.parametrize(
    ("output", "line"),
    [
        ("x\n!!!!! _pytest.outcomes.Exit: records are away !!!!\n", "records are away"),
        ("ERROR: --rope is empty\n\n", "--rope is empty"),
        ("=== 3 failed ===\n", "3 failed"),
        ("", ""),
    ],
)
def test_the_sentence_of_a_run_is_found(output, line):
    assert last_line(output) == line


def test_a_run_that_says_nothing_is_told_by_its_exit_code(monkeypatch):
    monkeypatch.setattr(engines, "run", lambda options: subprocess.CompletedProcess(options, -9, stdout=""))
    assert work([["x"]]) == Outcome("pytest ended with exit code -9")


def test_a_run_does_not_outlive_the_process_that_made_it(tmp_path):
    program = (
        "import subprocess, sys\n"
        "from lib.sweep.engines import _die_with_parent\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'], preexec_fn=_die_with_parent)\n"
        "print(child.pid, flush=True)\n"
        "import os, signal; os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=engines.ROOT, capture_output=True, text=True)
    child = int(done.stdout)
    stat = engines.Path(f"/proc/{child}/stat")
    for _ in range(100):
        if not stat.exists() or stat.read_text().split()[2] == "Z":
            return
        subprocess.run(["sleep", "0.05"])
    pytest.fail("the child lives on")


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [('rope = "a"\nclaim = "Q1"', 2, "a grid has no 'claim'"), (None, 2, "cannot be read")],
)
def test_bad_input_ends_the_command_with_one_sentence(tmp_path, capsys, text, code, said):
    path = tmp_path / "grid.toml"
    if text:
        path.write_text(text)
    assert command.main([str(path)]) == code
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_an_interrupted_sweep_says_how_far_it_came(tmp_path, capsys, monkeypatch):
    (tmp_path / "grid.toml").write_text('rope = "a"\ndrope = ["b", "c"]')

    def interrupted(jobs, done):
        done(jobs[0], Outcome())
        raise KeyboardInterrupt

    monkeypatch.setattr(engines, "in_order", interrupted)
    assert command.main([str(tmp_path / "grid.toml"), "--in-order"]) == 130
    assert "interrupted: 1 of 3 tasks are done, and the same command goes on" in capsys.readouterr().err
