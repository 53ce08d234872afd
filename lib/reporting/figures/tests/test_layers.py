import re
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
import xarray as xr

from fixtures.planted.records import frequency
from fixtures.planted.subjects import course, massive_values, repeated, worth
from lib.effects.counts import MassiveValues
from lib.effects.thresholds import curve
from lib.effects.trajectory import Trajectory
from lib.reporting.figures import figures, layers, series, thresholds
from lib.reporting.figures.figures import as_svg
from lib.reporting.figures.pictures import draw
from lib.reporting.plotted import numbers

pytestmark = pytest.mark.cpu
PER_LAYER = pytest.mark.parametrize("name", ["query_per_layer", "value_per_layer", "change_per_layer"])


@pytest.fixture(scope="module")
def even():
    """Both arms with 4 layers of 8 heads and 256 dims."""
    return massive_values(texts=3)


@pytest.fixture(scope="module")
def wide(even):
    """The same with three times as many heads under DroPE."""
    return repeated(even, "drope", heads=3)


@pytest.fixture(scope="module")
def deep(even):
    """The same with twice as many layers under DroPE."""
    return repeated(even, "drope", layers=2)


def heights(svg, colour):
    """Heights of the points of the line in a colour."""
    path = re.search(rf'<path d="([^"]+)" clip-path="[^"]+" style="fill: none; stroke: {colour}', svg)[1]
    return [float(y) for y in re.findall(r"[ML] \S+ (\S+)", path)]


def deep_pair(layers):
    """Both arms with so many layers, one massive query channel in each, two in the first under DroPE."""
    norms = np.ones((2, layers, 2, 16), dtype=np.float32)
    norms[:, :, 0, 0] = 100
    more = norms.copy()
    more[:, 0, 0, 1] = 100
    names = {f"{name}_norm": (("text", "layer", "head", "dim"), norms) for name in ("query", "key", "value")}
    rows = np.arange(layers * 32, dtype=np.float32).reshape(layers, 2, 16)
    names |= {f"{name}_row_norm": (("layer", "head", "dim"), rows) for name in ("query", "key")}
    rope = xr.Dataset({**names, "frequency": (("layer", "dim"), frequency(layers, 16))})
    return MassiveValues({"rope": rope, "drope": rope.assign(query_norm=(rope["query_norm"].dims, more))})


def many_steps(values):
    return series.query_heat_map(Trajectory(range(100, 3100, 100), (values,) * 30))


@pytest.mark.parametrize("layers", [4, 30, 80])
@pytest.mark.parametrize(
    "draw",
    [
        layers.query_per_layer,
        layers.change_per_layer,
        figures.rank_agreement,
        partial(series.overlap_per_layer, name="query"),
        many_steps,
    ],
)
def test_labels_of_layers_do_not_collide_and_the_legend_covers_nothing(layers, draw):
    figure = draw(deep_pair(layers))
    figure.draw_without_rendering()
    axes = figure.axes[0]
    for axis, ends in ((axes.xaxis, "x0 x1"), (axes.yaxis, "y0 y1")):
        low, high = axis.get_view_interval()
        labels = [
            label.get_window_extent()
            for place, label in zip(axis.get_ticklocs(), axis.get_ticklabels(), strict=True)
            if low <= place <= high
        ]
        spans = sorted(tuple(getattr(box, end) for end in ends.split()) for box in labels)
        assert len(spans) >= 3
        assert all(first[1] < second[0] for first, second in pairwise(spans))
    assert not any(found.get_window_extent().overlaps(axes.get_window_extent()) for found in figure.legends)
    assert axes.get_legend() is None


@pytest.mark.parametrize("number", [4, 30, 80])
def test_layers_are_labelled_by_whole_numbers_from_the_first(number):
    axes = layers.change_per_layer(deep_pair(number)).axes[0]
    low, high = axes.get_xlim()
    shown = [place for place in axes.get_xticks() if low <= place <= high]
    assert shown[0] == 0
    assert shown[-1] < number
    assert all(place == int(place) for place in shown)


def test_bars_are_shares_with_their_counts_where_arms_have_other_channels(even, wide):
    svg = as_svg(figures.counts(wide))
    rate, count = (found("drope", "query").mean() for found in (wide.rates, wide.totals))
    assert f">{rate:.4g} %<" in svg
    assert f">({count:.4g})<" in svg
    assert "%" not in as_svg(figures.counts(even))


@PER_LAYER
def test_a_pair_with_equal_channels_says_nothing_of_percent(even, name):
    assert "%" not in as_svg(getattr(layers, name)(even))


def test_lines_are_shares_of_a_layer_where_arms_have_other_channels(even, wide):
    svg, plain = as_svg(layers.query_per_layer(wide)), as_svg(layers.query_per_layer(even))
    assert "massive query, % of a layer's channels" in svg.replace("&#x27;", "'")
    assert f"DroPE: {wide.totals('drope', 'query').mean():.4g} of 4 x 6144 channels" in svg
    assert heights(svg, "#d9822b") == pytest.approx(heights(plain, "#d9822b"), abs=0.01)  # the same shares


def test_arms_of_different_depth_stand_side_by_side(deep):
    svg = as_svg(layers.value_per_layer(deep))
    assert "depth: the middle of a layer, from the first (0) to the last (1)" in svg
    assert [len(heights(svg, colour)) for colour in ("#3b6fb6", "#d9822b")] == [4, 8]


def test_grouped_heads_have_shares_and_channels_on_either_side():
    svg = as_svg(layers.value_per_layer(massive_values(texts=3, kv_heads=4)))
    assert "% of a layer's channels" in svg.replace("&#x27;", "'")
    assert ">channels<" in svg


def test_the_change_of_a_layer_is_in_channels_of_the_rope_arms_layer(wide):
    svg = as_svg(layers.change_per_layer(wide))
    assert "% of the 2048 channels of RoPE's layer" in svg.replace("&#x27;", "'")


def test_what_cannot_be_compared_is_said_and_all_else_is_drawn(deep):
    found = draw({"massive_values": deep})
    reason = "not drawn, since the arms have"
    assert {name for name, (svg, _) in found.items() if not svg} == {"change_per_layer", "overlap_query", "overlap_key"}
    assert all(reason in words for svg, words in found.values() if not svg)
    assert "arms of different depth side by side" in found["query_per_layer"][1]


@pytest.mark.parametrize("heads", [1, 2])
def test_the_course_of_recalibration_is_in_shares_where_the_series_has_another_shape(even, heads):
    alike = type(even)(dict.fromkeys(even.records, even.records["rope"]))
    svg = as_svg(series.counts_over_steps(Trajectory((1, 2), (repeated(alike, "drope", heads=heads),) * 2)))
    assert ("% of all channels" in svg) == ("at the last step)" in svg) == (heads > 1)
    # as large a share as under RoPE, whose line is dashed
    style = 'style="fill: none; stroke-dasharray: [^"]+; stroke: #3b6fb6'
    (dashed,) = re.findall(rf'd="M \S+ (\S+) \nL [^"]+" [^>]+{style}', svg)
    assert heights(svg, "#3b6fb6") == pytest.approx([float(dashed)] * 2)


def test_the_loss_of_other_tokens_is_not_drawn_beside_that_of_rope():
    both = course(10, 20, 30)
    assert "dashed: RoPE" in as_svg(series.loss_over_steps(both))
    for values in both.values:
        values.records["drope"] = values.records["drope"].assign_attrs(provenance='{"tokenizer": "b"}')
        values.records["rope"] = values.records["rope"].assign_attrs(provenance='{"tokenizer": "a"}')
    svg = as_svg(series.loss_over_steps(both))
    assert "RoPE has another tokenizer: its loss is of other tokens" in svg
    assert "stroke-dasharray" not in svg


def test_the_reliance_of_another_shape_stands_beside_rope_unless_the_tokens_are_others():
    course_of = worth(3.0, 2.0, 1.0)
    assert ">RoPE<" in as_svg(series.reliance_over_steps(course_of))
    for arm, record in course_of.disruptions[0].records.items():
        course_of.disruptions[0].records[arm] = record.assign_attrs(provenance=f'{{"tokenizer": "{arm}"}}')
    assert ">RoPE<" not in as_svg(series.reliance_over_steps(course_of))


def test_the_document_has_rates_beside_counts_where_they_say_something(even, wide):
    plain, found = (numbers({"norms": v.records}, threshold=5.0, scope="layer") for v in (even, wide))
    assert "rates" not in plain["arms"]["rope"]
    assert plain["arms"]["rope"]["channels"]["value"] == 2048
    counts, rates = (found["arms"]["drope"][key]["query"][1] for key in ("counts", "rates"))
    assert rates == pytest.approx([100 * count / 6144 for count in counts])
    assert found["between"]["query"]["kept"] is None
    assert "(layers x heads x dims), so channels do not correspond" in found["between"]["query"]["reason"]


def test_the_threshold_curve_is_in_shares_where_channels_differ(even, wide):
    plain, found = (curve(v.records, lambda _: {}, thresholds=[2, 5]) for v in (even, wide))
    assert "rates" not in plain["scopes"]["layer"]
    there = found["scopes"]["head"]
    assert there["rates"]["drope"]["key"] == pytest.approx(
        [100 * n / (4 * 6144) for n in there["counts"]["drope"]["key"]]
    )
    assert "massive values, % of channels" in as_svg(thresholds.draw(found, threshold=5, scope="layer"))
    assert "%" not in as_svg(thresholds.draw(plain, threshold=5, scope="layer"))


def test_an_axis_of_steps_says_how_many_tokens_a_step_has():
    alike = massive_values(texts=2)
    svg = as_svg(series.counts_over_steps(Trajectory((1, 2), (alike,) * 2, tokens_per_step=2048)))
    assert "steps of 2,048 tokens (dashed: RoPE" in svg
    assert "tokens" not in as_svg(series.counts_over_steps(Trajectory((1, 2), (alike,) * 2)))
