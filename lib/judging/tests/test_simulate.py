"""The page says on which data bounds keep their level, and samples that are drawn here say the same."""

import re

import pytest

from lib.judging.simulate import CELLS, DRAWS, END, LEVEL, PAGE, START, TWICE, rates

pytestmark = pytest.mark.cpu

ROWS = PAGE.read_text(encoding="utf-8").split(START)[1].split(END)[0].splitlines()[2:]
FEWER = 300
"""Samples of each row that are drawn here."""
FAR = 5
"""Standard errors between two rates that are not of the same thing."""

every_row = pytest.mark.parametrize(
    ("row", "cell"), list(zip(ROWS, CELLS, strict=True)), ids=[cell.name for cell in CELLS]
)


def said(row):
    """The two rates in a row of the page."""
    return [float(percent) / 100 for percent in re.findall(r"\| ([\d.e-]+) %", row)]


@every_row
def test_a_row_is_that_of_its_cell_and_has_a_remark_where_its_level_is_not_near(row, cell):
    assert row.startswith(f"| {cell.rule} | {cell.data} |")
    assert row.endswith(f"| {cell.reason} |")
    near = LEVEL / TWICE <= max(said(row)) <= TWICE * LEVEL
    assert near == (not cell.reason)


@every_row
def test_the_rates_of_the_page_are_those_of_other_samples(row, cell):
    for rate, drawn in zip(said(row), rates(cell, FEWER, seed=1), strict=True):
        spread = (max(rate * (1 - rate), LEVEL / 4) * (1 / FEWER + 1 / DRAWS)) ** 0.5
        assert abs(rate - drawn) < FAR * spread


def test_the_same_seed_draws_the_same():
    assert rates(CELLS[2], 50) == rates(CELLS[2], 50) != rates(CELLS[2], 50, seed=2)
