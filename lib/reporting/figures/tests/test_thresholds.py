import re

import numpy as np
import pytest

from fixtures.planted.turning import both_arms, judged, record, verdict
from lib.definitions.words import ARMS, SCOPES
from lib.effects.thresholds import curve
from lib.reporting.figures.figures import TENSORS, as_svg
from lib.reporting.figures.thresholds import VERDICTS, draw

pytestmark = pytest.mark.cpu


@pytest.fixture(scope="module")
def records():
    return both_arms()


@pytest.fixture(scope="module")
def found(records):
    return curve(records, judged)


def texts(svg):
    """[(x, y, text)] of all words of a figure."""
    found = re.findall(r'<text [^>]*? x="(\S+)" y="(\S+)"[^>]*>([^<]*)</text>', svg)
    return [(float(x), float(y), text) for x, y, text in found]


def paths(svg, style):
    """[(x of the first point, x of the second, style)] of what is drawn within the axes in a style."""
    found = re.findall(rf'<path d="M (\S+) \S+\s+L (\S+) [^"]*" clip-path="[^"]+" style="([^"]*{style}[^"]*)"', svg)
    return [(float(first), float(second), how) for first, second, how in found]


def number(svg, word):
    return [text for *_, text in texts(svg)].count(word)


def place(svg, threshold):
    """Where a threshold is on the axis, from the labels of 3 and 4, which are no flips."""
    three, four = ({x for x, _, text in texts(svg) if text == word} for word in ("3", "4"))
    return pytest.approx(min(three) + (threshold - 3) * (min(four) - min(three)), abs=0.01)


def test_the_figure_names_the_claims_the_verdicts_and_where_they_flip(found):
    svg = as_svg(draw(found, threshold=5.0, scope="layer"))
    for word, times in (("Q1", 2), ("K1", 2), ("S", 4), ("R", 2), ("I", 0), ("3.5", 1), ("S supported", 1)):
        assert number(svg, word) == times


@pytest.mark.parametrize("scope", SCOPES)
def test_the_figure_marks_the_runs_own_scope_and_threshold(found, scope):
    svg = as_svg(draw(found, threshold=5.5, scope=scope))
    titles = {"layer": "Mean over the whole layer", "head": "Mean over each head"}
    for name, title in titles.items():
        assert (f">{title} (this run, at 5.5)<" if name == scope else f">{title}<") in svg
    marks = [
        "dash" in how for first, second, how in paths(svg, "stroke: #222222") if first == second == place(svg, 5.5)
    ]
    assert marks == [scope == "head"] * 2 + [scope == "layer"] * 2  # panel and strips, dotted but for the run's scope


def test_a_strip_changes_its_colour_where_the_verdict_flips_and_has_a_tick_there(found):
    svg = as_svg(draw(found, threshold=5.0, scope="layer"))
    flip = place(svg, 3.375)  # halfway between 3.25 and 3.5
    assert paths(svg, f"fill: {VERDICTS['supported']}")[0][1] == flip
    assert paths(svg, f"fill: {VERDICTS['refuted']}")[0][0] == flip
    assert [first for first, second, _ in paths(svg, "stroke: #222222") if first == second == flip] == [flip]
    assert [x for x, _, text in texts(svg) if text == "3.5"] == [flip]


def test_the_letter_of_a_verdict_stands_at_its_first_threshold(found):
    svg = as_svg(draw(found, threshold=5.0, scope="layer"))
    assert [x for x, _, text in texts(svg) if text == "R"] == [place(svg, 3.5), place(svg, 5)]


def test_numbers_of_flips_do_not_overlap(records):
    restless = curve(records, lambda v: {"Q1": verdict("refuted" if round(4 * v.threshold) % 2 else "supported")})
    svg = as_svg(draw(restless, threshold=5.0, scope="layer"))
    row = min(y for _, y, text in texts(svg) if text == "2.25")
    places = sorted(x for x, y, _ in texts(svg) if y == row)
    assert len(places) == 16
    assert min(np.diff(places)) > 18  # in points, of which three digits and their point take 17


def test_a_verdict_of_another_kind_is_a_question_mark(records):
    svg = as_svg(draw(curve(records, lambda _: {"Q1": verdict("error")}), threshold=5.0, scope="layer"))
    assert number(svg, "?") == 2


@pytest.mark.parametrize("threshold", [5.0, 1.5, 40.0])
def test_a_figure_can_be_drawn_without_claims_or_counts_and_for_a_threshold_outside(threshold):
    none = curve(dict.fromkeys(ARMS, record()), lambda _: {})
    svg = as_svg(draw(none, threshold=threshold, scope="layer"))
    assert f"(this run, at {threshold:g})" in svg
    assert number(svg, "2") == number(svg, "10") == 2


def test_the_same_curve_gives_the_same_figure_each_time():
    none = curve(dict.fromkeys(ARMS, record()), lambda _: {})
    assert len({as_svg(draw(none, threshold=5.0, scope="layer")) for _ in range(12)}) == 1


def test_both_arms_and_three_tensors_are_drawn_in_each_panel(found):
    svg = as_svg(draw(found, threshold=5.0, scope="layer"))
    for colour in TENSORS.values():
        drawn = ["dash" in how for *_, how in paths(svg, f"stroke: {colour}")]
        assert sorted(drawn) == [False, False, True, True]


def test_one_scope_and_one_threshold_alone_can_be_drawn(records):
    svg = as_svg(draw(curve(records, judged, scopes=("head",), thresholds=(5,)), threshold=5.0, scope="head"))
    assert (number(svg, "Q1"), number(svg, "R"), number(svg, "S")) == (1, 1, 1)


def test_there_is_room_for_the_name_of_a_claim(records):
    svg = as_svg(draw(curve(records, lambda _: {"S1[rope-query]": verdict("refuted")}), threshold=5.0, scope="layer"))
    ends = [x for x, _, text in texts(svg) if text == "S1[rope-query]"]
    assert min(ends) > 14 * 5.5  # in points, from the left edge of the figure
