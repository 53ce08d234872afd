"""A random model for all benchmarks, one thread, and the tables of the run, which `--page` puts into BENCHMARKS.md."""

import os
import platform
import shlex
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import pytest
import torch
from page import renewed
from workload import COUNTED, random_arm

from lib.definitions import EDITED
from lib.measuring.interventions import chosen_mask
from lib.measuring.norms import norms_and_loss
from lib.models.loading import Arm
from lib.probing import geometry

TABLES = pytest.StashKey[dict[str, list[str]]]()
PAGE = Path(__file__).parents[1] / "BENCHMARKS.md"
LIBRARIES = ("torch", "transformers", "pytest-benchmark")


def pytest_addoption(parser):
    parser.addoption("--page", action="store_true", help="put the tables of this run into BENCHMARKS.md")


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """A second busy core disturbs one thread much less than two."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def arm() -> Arm:
    return random_arm()


@pytest.fixture(scope="session")
def chosen(arm):
    """The massive channels of texts that are not scored, as experiment 2 takes them."""
    norms = norms_and_loss(arm.model, COUNTED, geometry(arm.model)).norms
    return {name: chosen_mask(norms[name]) for name in EDITED}


@pytest.fixture
def report(request) -> Callable[..., None]:
    """Adds a row to a table of the run: `report("Time", comparison="..", ratio="..")`."""
    tables = request.config.stash.setdefault(TABLES, {})

    def add(title: str, **cells: object) -> None:
        rows = tables.setdefault(title, [_row(name.replace("_", " ") for name in cells), _row("---" for _ in cells)])
        rows.append(_row(cells.values()))

    return add


def pytest_terminal_summary(terminalreporter, config):
    if tables := config.stash.get(TABLES, {}):
        made = machine(config.invocation_params.args)
        text = "\n\n".join("\n".join([f"### {title}", "", *rows]) for title, rows in tables.items())
        terminalreporter.write_line(f"\n{made}\n\n{text}\n")
        if config.getoption("--page"):
            PAGE.write_text(renewed(PAGE.read_text(encoding="utf-8"), tables, made), encoding="utf-8")


def machine(arguments: Sequence[str]) -> str:
    """The command, the day, the machine and the versions of a run."""
    found = Path("/proc/cpuinfo").read_text().split("model name\t: ")[1:] if Path("/proc/cpuinfo").is_file() else []
    processor = found[0].splitlines()[0] if found else platform.processor()
    gpu = [torch.cuda.get_device_name()] if torch.cuda.is_available() else []
    libraries = [f"{name} {version(name)}" for name in LIBRARIES]
    of_machine = [processor, f"{os.cpu_count()} cores", *gpu, f"Python {platform.python_version()}", *libraries]
    return f"`pytest {shlex.join(arguments)}`, {datetime.now(UTC):%Y-%m-%d}, {', '.join(of_machine)}."


def _row(cells) -> str:
    return f"| {' | '.join(str(cell) for cell in cells)} |"
