"""Engines that make the jobs of a sweep: Ray where it is installed, else this process, one job after the other."""

import ctypes
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from lib.sweep.grid import Workers
from lib.sweep.jobs import Job

ROOT = Path(__file__).parents[2]
PYTEST = ("-m", "pytest", str(ROOT / "claims"), f"--rootdir={ROOT}", f"-c{ROOT / 'pytest.ini'}", "-pno:cacheprovider")
RETRIES = 3
"""How often a job is given to another worker when its worker dies."""
DIES = 1
"""Linux' number for "send me a signal when my parent dies"."""
Done = Callable[[Job, "Outcome"], None]


@dataclass(frozen=True)
class Outcome:
    """What became of a job: "" if it is done, else a sentence."""

    fault: str = ""


def ray_is_there() -> bool:
    """Is Ray installed?"""
    return find_spec("ray") is not None


def in_order(jobs: Sequence[Job], done: Done) -> None:
    """Make jobs one after the other; `done` hears of each."""
    found: dict[str, Outcome] = {}
    for job in jobs:
        found[job.name] = work(job.runs, *([found[job.after]] if job.after else []))
        done(job, found[job.name])


def on_ray(jobs: Sequence[Job], done: Done, workers: Workers) -> None:
    """Make jobs as tasks of Ray, as many at a time as its resources allow; `done` hears of each as it ends.

    A task whose worker dies is given to another one. Raises ValueError, one sentence, if a cluster cannot be reached
    or can never make a task.
    """
    import ray  # it is an extra, and takes seconds

    try:
        ray.init(address=workers.address, include_dashboard=False, log_to_driver=False, logging_level="error")
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise ValueError(f"the Ray cluster {workers.address or 'here'} cannot be reached: {error}") from error
    try:
        for kind, needed in (("CPU", workers.cpus), ("GPU", workers.gpus)):
            if needed > (there := ray.cluster_resources().get(kind, 0)):
                raise ValueError(f"a task asks for {needed:g} {kind}s, and the Ray cluster has {there:g}")
        task = ray.remote(num_cpus=workers.cpus, num_gpus=workers.gpus, max_retries=RETRIES, max_calls=1)(work)
        of_job: dict[str, object] = {}
        for job in jobs:
            of_job[job.name] = task.remote(job.runs, *([of_job[job.after]] if job.after else []))
        for job, outcome in _as_they_end(ray, {of_job[job.name]: job for job in jobs}):
            done(job, outcome)
    finally:
        ray.shutdown()


def _as_they_end(ray, jobs: Mapping[object, Job]) -> Iterator[tuple[Job, Outcome]]:
    waiting = list(jobs)
    while waiting:
        (ended, *_), waiting = ray.wait(waiting)
        try:
            yield jobs[ended], ray.get(ended)
        except ray.exceptions.RayError as error:
            yield jobs[ended], Outcome(f"its worker died {RETRIES + 1} times ({type(error).__name__})")


def work(runs: Sequence[Sequence[str]], *before: Outcome) -> Outcome:
    """Make the runs of a job, unless one that it needs has failed."""
    if any(outcome.fault for outcome in before):
        return Outcome("its control was not measured")
    for options in runs:
        ended = run(options)
        if ended.returncode:
            return Outcome(last_line(ended.stdout) or f"pytest ended with exit code {ended.returncode}")
    return Outcome()


def run(options: Sequence[str]) -> subprocess.CompletedProcess:
    """Run the harness in a process that does not outlive this one."""
    return subprocess.run(
        [sys.executable, *PYTEST, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=_die_with_parent if sys.platform == "linux" else None,
    )


def _die_with_parent() -> None:
    # a worker that is killed would leave a measurement behind that nobody waits for, beside the one that is tried again
    ctypes.CDLL(None).prctl(DIES, signal.SIGKILL)


def last_line(output: str) -> str:
    """The sentence that a run ends with: pytest writes a mistake of the user's behind "Exit: " or alone."""
    lines = [line.strip(" !=") for line in output.splitlines() if line.strip(" !=")]
    said = [line for line in lines if line.startswith(("ERROR: ", "Exit: ", "_pytest.outcomes.Exit: "))]
    return (said or lines or [""])[-1].removeprefix("ERROR: ").removeprefix("_pytest.outcomes.").removeprefix("Exit: ")
