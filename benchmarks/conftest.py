"""A random model for all benchmarks, one thread, and the tables at the end of the run."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from workload import random_arm

from lib.models.loading import Arm

TABLES = pytest.StashKey[dict[str, list[str]]]()
FILE = Path(__file__).parent.parent / ".benchmarks" / "figures.md"
"""The tables of the latest run, as BENCHMARKS.md quotes them."""


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """A second busy core disturbs one thread much less than two."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def arm() -> Arm:
    return random_arm()


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
        text = "\n\n".join("\n".join([f"{title}:", "", *rows]) for title, rows in tables.items())
        FILE.parent.mkdir(exist_ok=True)
        FILE.write_text(text + "\n")
        terminalreporter.write_line(f"\n{text}\n\nwritten to {FILE}")


def _row(cells) -> str:
    return f"| {' | '.join(str(cell) for cell in cells)} |"
