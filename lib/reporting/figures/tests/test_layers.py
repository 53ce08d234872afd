import re

import pytest

from fixtures.planted.subjects import course, massive_values, repeated, worth
from lib.effects import thresholds
from lib.effects.trajectory import Trajectory
from lib.reporting.figures import figures, layers, series
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


def test_bars_are_shares_with_their_counts_where_arms_have_other_channels(even, wide):
    svg = figures.counts(wide)
    rate, count = (found("drope", "query").mean() for found in (wide.rates, wide.totals))
    assert f">{rate:.4g} %<" in svg
    assert f">({count:.4g})<" in svg
    assert "%" not in figures.counts(even)


@PER_LAYER
def test_a_pair_with_equal_channels_says_nothing_of_percent(even, name):
    assert "%" not in getattr(layers, name)(even)


def test_lines_are_shares_of_a_layer_where_arms_have_other_channels(even, wide):
    svg, plain = layers.query_per_layer(wide), layers.query_per_layer(even)
    assert "massive query, % of a layer's channels" in svg.replace("&#x27;", "'")
    assert f"DroPE: {wide.totals('drope', 'query').mean():.4g} of 4 x 6144 channels" in svg
    assert heights(svg, "#d9822b") == pytest.approx(heights(plain, "#d9822b"), abs=0.01)  # the same shares


def test_arms_of_different_depth_stand_side_by_side(deep):
    svg = layers.value_per_layer(deep)
    assert "depth: the middle of a layer, from the first (0) to the last (1)" in svg
    assert [len(heights(svg, colour)) for colour in ("#3b6fb6", "#d9822b")] == [4, 8]


def test_grouped_heads_have_shares_and_channels_on_either_side():
    svg = layers.value_per_layer(massive_values(texts=3, kv_heads=4))
    assert "% of a layer's channels" in svg.replace("&#x27;", "'")
    assert ">channels<" in svg


def test_the_change_of_a_layer_is_in_channels_of_the_rope_arms_layer(wide):
    svg = layers.change_per_layer(wide)
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
    svg = series.counts_over_steps(Trajectory((1, 2), (repeated(alike, "drope", heads=heads),) * 2))
    assert ("% of all channels" in svg) == ("at the last step)" in svg) == (heads > 1)
    # as large a share as under RoPE, whose line is dashed
    style = 'style="fill: none; stroke-dasharray: [^"]+; stroke: #3b6fb6'
    (dashed,) = re.findall(rf'd="M \S+ (\S+) \nL [^"]+" [^>]+{style}', svg)
    assert heights(svg, "#3b6fb6") == pytest.approx([float(dashed)] * 2)


def test_the_loss_of_other_tokens_is_not_drawn_beside_that_of_rope():
    both = course(10, 20, 30)
    assert "dashed: RoPE" in series.loss_over_steps(both)
    for values in both.values:
        values.records["drope"] = values.records["drope"].assign_attrs(provenance='{"tokenizer": "b"}')
        values.records["rope"] = values.records["rope"].assign_attrs(provenance='{"tokenizer": "a"}')
    svg = series.loss_over_steps(both)
    assert "RoPE has another tokenizer: its loss is of other tokens" in svg
    assert "stroke-dasharray" not in svg


def test_the_reliance_of_another_shape_stands_beside_rope_unless_the_tokens_are_others():
    series = worth(3.0, 2.0, 1.0)
    assert ">RoPE<" in series.reliance_over_steps(series)
    for arm, record in series.disruptions[0].records.items():
        series.disruptions[0].records[arm] = record.assign_attrs(provenance=f'{{"tokenizer": "{arm}"}}')
    assert ">RoPE<" not in series.reliance_over_steps(series)


def test_the_document_has_rates_beside_counts_where_they_say_something(even, wide):
    plain, found = (numbers(v.records, {}, threshold=5.0, scope="layer") for v in (even, wide))
    assert "rates" not in plain["arms"]["rope"]
    assert plain["arms"]["rope"]["channels"]["value"] == 2048
    counts, rates = (found["arms"]["drope"][key]["query"][1] for key in ("counts", "rates"))
    assert rates == pytest.approx([100 * count / 6144 for count in counts])
    assert found["between"]["query"]["kept"] is None
    assert "(layers x heads x dims), so channels do not correspond" in found["between"]["query"]["reason"]


def test_the_threshold_curve_is_in_shares_where_channels_differ(even, wide):
    plain, found = (thresholds.curve(v.records, lambda _: {}, thresholds=[2, 5]) for v in (even, wide))
    assert "rates" not in plain["scopes"]["layer"]
    there = found["scopes"]["head"]
    assert there["rates"]["drope"]["key"] == pytest.approx(
        [100 * n / (4 * 6144) for n in there["counts"]["drope"]["key"]]
    )
    assert "massive values, % of channels" in thresholds.draw(found, threshold=5, scope="layer")
    assert "%" not in thresholds.draw(plain, threshold=5, scope="layer")
