import json
import re
import time

import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from lib.definitions.massive import massive_mask
from lib.definitions.words import ARMS, NAMES, SCOPES
from lib.effects.counts import MassiveValues
from lib.effects.thresholds import THRESHOLDS, counts_at, curve
from lib.reporting.figures.figures import TENSORS, as_svg
from lib.reporting.figures.thresholds import VERDICTS, draw

pytestmark = pytest.mark.cpu

examples = settings(deadline=None, max_examples=80, derandomize=True, database=None)
# norms whose multiples of the mean are often a threshold, to the last bit or one step of rounding beside it
norms = arrays(
    np.float32,
    array_shapes(min_dims=4, max_dims=4, max_side=5),
    elements=st.sampled_from([0.0, 1.0, 1 + 2**-23, 1 - 2**-24, 2.0, 3.0, 20.0]),
)


def record(*counts):
    """Two texts of one layer with two heads of 32 dims: so many massive channels of query, key and value."""
    found = np.ones((3, 2, 1, 2, 32), dtype=np.float32)
    for norms, count in zip(found, counts, strict=False):
        norms[..., 0, :count] = 1000
    return xr.Dataset({f"{n}_norm": (("text", "layer", "head", "dim"), x) for n, x in zip(NAMES, found, strict=True)})


def verdict(name, **changes):
    return {"verdict": name, "estimate": 1.5, "low": 1.0, "high": None, "reason": "", "values": [1, 2], **changes}


def judged(values):
    """Q1 is refuted from 3.5 on, in scope head from 5 on; K1 is supported everywhere."""
    first = 3.5 if values.scope == "layer" else 5
    return {"Q1": verdict("refuted" if values.threshold >= first else "supported"), "K1": verdict("supported")}


@pytest.fixture(scope="module")
def records():
    return {"rope": record(4, 2, 1), "drope": record(3, 3, 0)}


@pytest.fixture(scope="module")
def found(records):
    return curve(records, judged)


@examples
@given(found=norms, scope=st.sampled_from(SCOPES), extra=st.lists(st.floats(1.01, 30), max_size=3))
def test_counts_are_exactly_those_of_the_mask_ties_included(found, scope, extra):
    thresholds = sorted({*THRESHOLDS, *extra, 1.125, 7 / 3, 20.0})
    counts = counts_at(found, thresholds, scope)
    for threshold, here in zip(thresholds, counts, strict=True):
        mask = massive_mask(torch.from_numpy(found), threshold=threshold, scope=scope).numpy()
        np.testing.assert_array_equal(here, mask.sum((-2, -1)))


@pytest.mark.parametrize("scope", SCOPES)
def test_a_norm_at_the_threshold_is_not_counted(scope):
    found = np.zeros((1, 1, 1, 10), dtype=np.float32)
    found[..., :2] = 1  # the mean is 1/5
    assert counts_at(found, (4.75, 5.0, 5.25), scope).ravel().tolist() == [2, 0, 0]


def test_the_thresholds_go_from_2_to_10_in_quarters():
    assert THRESHOLDS[:2] == (2, 2.25)
    assert (THRESHOLDS[-1], len(THRESHOLDS)) == (10, 33)


def test_counts_are_means_over_texts_of_totals_over_layers(records):
    lone = records["rope"].copy(deep=True)
    lone["query_norm"][1] = 1  # the second text has none
    two_layers = xr.concat([lone, lone], "layer", data_vars="all")
    counts = curve({"rope": two_layers, "drope": records["drope"]}, judged)["scopes"]["layer"]["counts"]
    assert [counts["rope"][name][12] for name in NAMES] == [4, 4, 2]
    assert [counts["drope"][name][12] for name in NAMES] == [3, 3, 0]


def test_the_judge_sees_the_massive_values_of_every_threshold_and_scope():
    rng = np.random.default_rng(0)
    shape = ("text", "layer", "head", "dim")
    noise = {f"{n}_norm": (shape, rng.lognormal(0, 1, (2, 3, 4, 16)).astype(np.float32)) for n in NAMES}
    records, seen = {"rope": xr.Dataset(noise), "drope": xr.Dataset(noise) ** 2}, []

    def judge_at(values):
        seen.append((values.scope, values.threshold))
        expected = MassiveValues(records, values.threshold, values.scope)
        for arm, name in expected.masks:
            np.testing.assert_array_equal(values.counts(arm, name), expected.masks[arm, name].sum((-2, -1)))
            np.testing.assert_array_equal(values.masks[arm, name], expected.masks[arm, name])
        return {}

    curve(records, judge_at)
    assert seen == [(scope, threshold) for scope in SCOPES for threshold in THRESHOLDS]


def test_counting_makes_no_mask_for_a_claim(records, monkeypatch):
    monkeypatch.setattr("lib.effects.counts.massive_mask", None)
    totals = []
    curve(records, lambda values: totals.append(values.totals("drope", "key").tolist()) or {})
    assert totals[0] == [3, 3]


def test_flips_lie_between_the_thresholds_where_the_verdict_changes(found):
    flips = {scope: there["flips"] for scope, there in found["scopes"].items()}
    assert flips["layer"] == {"Q1": [{"between": [3.25, 3.5], "from": "supported", "to": "refuted"}], "K1": []}
    assert flips["head"]["Q1"] == [{"between": [4.75, 5.0], "from": "supported", "to": "refuted"}]


def test_what_is_kept_of_a_judgement_is_plain(found):
    course = found["scopes"]["layer"]["claims"]["Q1"]
    assert len(course) == len(found["thresholds"]) == 33
    assert course[0] == {"verdict": "supported", "estimate": 1.5, "low": 1.0, "high": None, "reason": ""}
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_other_thresholds_and_one_scope_can_be_asked_for(records):
    found = curve(records, judged, thresholds=(3, 4), scopes=("head",))
    assert (found["thresholds"], list(found["scopes"])) == ([3, 4], ["head"])


@pytest.mark.parametrize("thresholds", [(), (3, 3), (4, 3)])
def test_thresholds_that_do_not_rise_are_no_curve(records, thresholds):
    with pytest.raises(ValueError, match="thresholds that rise"):
        curve(records, judged, thresholds=thresholds)


@pytest.mark.parametrize("thresholds", [(1, 3), (3, np.inf), (3, np.nan)])
def test_a_threshold_that_is_no_number_above_1_is_an_error(records, thresholds):
    with pytest.raises(ValueError, match="above 1"):
        curve(records, judged, thresholds=thresholds)


def test_claims_that_come_and_go_are_an_error(records):
    with pytest.raises(ValueError, match=r"at the threshold 2\.25 other claims are judged than at 2"):
        curve(records, lambda values: {f"Q{values.threshold}": verdict("refuted")})


def test_counts_of_a_model_of_7_billion_weights_take_well_under_ten_seconds():
    noise = np.random.default_rng(0).lognormal(0, 1, (20, 32, 32, 128)).astype(np.float32)
    large = xr.Dataset({f"{name}_norm": (("text", "layer", "head", "dim"), noise) for name in NAMES})
    began = time.monotonic()
    curve(dict.fromkeys(ARMS, large), lambda _: {})
    assert time.monotonic() - began < 10


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
