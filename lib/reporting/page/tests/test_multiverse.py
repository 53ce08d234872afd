import re
from itertools import product

import pytest

from lib.definitions.words import VERDICTS
from lib.reporting.page.multiverse import grids, section

pytestmark = pytest.mark.cpu

AXES = {"threshold": [3.0, 5.0], "scope": ["layer", "head"], "site": ["projection"], "first": [True, False]}


def document(letters, *, own=1, site="projection", claim="Q1"):
    """A document with one claim, whose cells have these verdicts; a small letter stands for one without estimate."""
    named = {name[0].upper(): name for name in (*VERDICTS, "error")}
    places = product(AXES["scope"], AXES["first"], AXES["threshold"])
    cells = [
        [threshold, scope, site, first, named[letter.upper()], None if letter.islower() else -38.94]
        for letter, (scope, first, threshold) in zip(letters, places, strict=True)
    ]
    of = {"cells": cells, "holds": letters.count("S"), "of": len(cells), "own": own}
    return {"multiverse": {"axes": AXES, "claims": {claim: of}}}


def text_of(html):
    return " ".join(re.sub("<[^>]*>", " ", html).split())


def test_a_grid_has_thresholds_across_and_a_row_for_each_other_choice():
    said = text_of(grids(document("SSRRIIii"))["Q1"])
    assert said.partition(": ")[2] == (
        "threshold 3 5 projection, layer S S* projection, layer, first left out R R projection, head I I "
        "projection, head, first left out I I"
    )


def test_a_line_says_in_how_many_cells_a_claim_holds_and_what_it_does_in_the_others():
    said = text_of(grids(document("SRRIIiie"))["Q1"])
    how = "Holds in 1 of 8 cells, refuted in 2, open in 2, broken in 1, with nothing to judge in 2"
    assert said.startswith(f"{how} (S supported, R refuted, I inconclusive, E error; * this run): ")
    assert "Holds in 8 of 8 cells (S supported; * this run):" in text_of(grids(document("SSSSSSSS"))["Q1"])


def test_the_runs_own_cell_is_marked_for_the_eye_and_for_a_screen_reader():
    html = grids(document("SSRRIIii"))["Q1"]
    assert html.count(' own"') == html.count("S*") == 1
    assert '<abbr title="supported, -38.9, this run">S*</abbr>' in html
    assert 'role="table"' in html
    other = grids(document("SSRRIIii", own=None))["Q1"]
    assert "this run" not in other
    assert "*" not in other


def test_a_cell_with_nothing_to_judge_looks_different_from_one_that_stays_open():
    html = grids(document("SSRRIIii"))["Q1"]
    assert html.count('class="verdict inconclusive"') == html.count('class="verdict inconclusive unjudged"') == 2
    assert html.count('title="inconclusive, nothing to judge"') == 2


def test_a_claim_with_sites_of_its_own_names_none():
    said = text_of(grids(document("SSRRIIii", site=None))["Q1"])
    assert "threshold 3 5 layer S S* layer, first left out R R" in said
    assert section(document("SSRRIIii", site=None)).count("<td></td>") == 2 + 1


def test_the_table_says_for_each_choice_in_how_many_cells_a_claim_holds():
    html = section(document("SSSRIIii"))
    assert text_of(html.partition("<table")[2]).endswith(
        "Threshold Mean over Site First position claim all 3 5 layer head projection counted left out "
        "Q1 3 of 8 2 of 4 1 of 4 3 of 4 0 of 4 3 of 8 2 of 4 1 of 4"
    )
    assert '<td style="--share:75%">3 of 4</td>' in html
    assert 'href="#claim-Q1"' in html


@pytest.mark.parametrize(
    ("letters", "said"), [("SSSSSSSS", "1 hold in all of their cells, 0 in none"), ("RRIIii" + "ee", "0 hold in all")]
)
def test_the_table_says_how_many_claims_hold_everywhere_and_nowhere(letters, said):
    assert said in section(document(letters))


def test_what_comes_from_outside_is_escaped():
    evil = document("SSRRIIii", claim="<img src=x>")
    assert "<img" not in section(evil) + "".join(grids(evil).values())


@pytest.mark.parametrize("nothing", [{}, {"multiverse": None}])
def test_without_a_multiverse_there_is_nothing_to_show(nothing):
    assert (grids(nothing), section(nothing)) == ({}, "")
