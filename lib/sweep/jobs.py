"""The jobs of a sweep: which arms are measured together, and what must be measured before."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lib.settings import BY_NAME, truth
from lib.sweep.grid import Cell


@dataclass(frozen=True)
class Job:
    """Runs of the harness that one worker makes one after the other, once the job `after` is done.

    Each of the `runs` is a command line for pytest.
    """

    name: str
    runs: tuple[tuple[str, ...], ...]
    after: str | None = None


def jobs_of(cells: Sequence[Cell]) -> list[Job]:
    """For each control one job, and for each treatment one that comes after it, so that nothing is measured twice.

    Cells that differ in a threshold alone share the norms of their arms, so one worker measures them.
    """
    controls: dict[str, dict[tuple[str, ...], tuple[str, ...]]] = {}
    treatments: dict[str, dict[tuple[str, ...], tuple[str, ...]]] = {}
    after: dict[str, str] = {}
    for cell in cells:
        control = _named("control", cell.measured)
        # with the treatment of one of its cells, because what is asked of the control depends on there being one
        run = (*typed(cell.options), "--measure=control")
        controls.setdefault(control, {}).setdefault(typed(cell.control), run)
        if _treated(cell.options):
            treatment = _named("treatment", {**cell.measured, "drope": cell.options.get("drope", "")})
            after[treatment] = control
            treatments.setdefault(treatment, {})[typed(cell.options)] = (*typed(cell.options), "--measure=treatment")
    made = [Job(name, tuple(runs.values())) for name, runs in controls.items()]
    return made + [Job(name, tuple(runs.values()), after[name]) for name, runs in treatments.items()]


def _treated(options: Mapping[str, str]) -> bool:
    """May the run have a treatment? A pair may bring one."""
    return "drope" in options or "pair" in options


def typed(options: Mapping[str, str]) -> tuple[str, ...]:
    """Options as they are typed. A switch that is off is not typed."""
    found: list[str] = []
    for name, value in options.items():
        flag = f"--{name.replace('_', '-')}"
        if BY_NAME[name].switch:
            found += [flag] if truth(value, flag) else []
        else:
            found.append(f"{flag}={value}")
    return tuple(found)


def _named(what: str, options: Mapping[str, str]) -> str:
    return f"{what} of {', '.join(options.values())}"
