import re
import struct
from functools import partial
from itertools import pairwise
from xml.etree import ElementTree

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.layout_engine import LayoutEngine

from fixtures.planted.records import frequency
from lib.effects.counts import MassiveValues
from lib.reporting.figures import figures, layers, series
from lib.reporting.figures.figures import apart, as_png, as_svg, legend

pytestmark = pytest.mark.cpu

NAMES = ("query", "key", "value")


def record(**dims):
    """Two texts, three layers and two heads of 8 dims; in each layer, massive channels at these dims of head 1."""
    found = {name: np.ones((2, 3, 2, 8), dtype=np.float32) for name in NAMES}
    for name, massive in dims.items():
        found[name][:, :, 1, massive] = 1000
    norms = {f"{name}_norm": (("text", "layer", "head", "dim"), norms) for name, norms in found.items()}
    return xr.Dataset({**norms, "frequency": (("layer", "dim"), frequency(3, 8))})


def values(rope, drope=None):
    return MassiveValues({"rope": rope, "drope": record() if drope is None else drope})


def points(svg, colour):
    """Points of the first line that is drawn in a colour, y upwards."""
    path = re.search(rf'<path d="([^"]+)" clip-path="[^"]+" style="fill: none; stroke: {colour}', svg)[1]
    return [(float(x), -float(y)) for x, y in re.findall(r"[ML] (\S+) (\S+)", path)]


def test_the_figure_of_value_counts_is_that_of_query_counts_with_other_words():
    swapped = {"query_norm": "value_norm", "value_norm": "query_norm"}
    both = values(record(value=[1, 2]), record(value=[3]))
    other = MassiveValues({arm: found.rename(swapped) for arm, found in both.records.items()})
    words = as_svg(layers.query_per_layer(other)).replace("Query", "Value").replace("query", "value")
    assert as_svg(layers.value_per_layer(both)) == words
    assert ">Value, layer by layer<" in words


def test_value_counts_are_drawn_layer_by_layer_for_each_arm():
    rope = record()
    for layer, count in enumerate((1, 0, 2)):
        rope["value_norm"][:, layer, 0, :count] = 1000
    svg = as_svg(layers.value_per_layer(values(rope)))
    heights = [y for _, y in points(svg, figures.COLOURS["rope"])]
    assert (heights[2] - heights[1]) == pytest.approx(2 * (heights[0] - heights[1]), rel=1e-4)
    assert len({y for _, y in points(svg, figures.COLOURS["drope"])}) == 1


def test_rotary_pairs_go_from_fast_to_slow_and_the_slow_share_is_said():
    # dims d and d + 4 make pair d; pairs 2 and 3 are the slow half
    svg = as_svg(figures.slow_share(values(record(query=[3, 7], key=[0, 2]))))
    assert ">Query: 100 % in the slow half<" in svg
    assert ">Key: 50 % in the slow half<" in svg


@pytest.mark.parametrize(("dims", "pair"), [([0, 4], 0), ([4], 0), ([1], 1), ([3, 7], 3)])
def test_the_massive_channels_of_a_pair_stand_at_its_place(dims, pair):
    outline = points(as_svg(figures.slow_share(values(record(query=dims)))), figures.TENSORS["query"])
    width, top = outline[-1][0] - outline[0][0], max(y for _, y in outline)
    left, right = (edge([x for x, y in outline if y == top]) for edge in (min, max))
    assert [(x - outline[0][0]) / width for x in (left, right)] == pytest.approx([pair / 4, (pair + 1) / 4], abs=1e-3)


def test_the_slow_half_is_shaded():
    svg = as_svg(figures.slow_share(values(record(query=[3]))))
    outline = points(svg, figures.TENSORS["query"])
    shade = re.search(r'<path d="([^"]+)" clip-path="[^"]+" style="fill: #8899aa; opacity: 0.2', svg)[1]
    found = [float(x) for x, _ in re.findall(r"[ML] (\S+) (\S+)", shade)]
    assert min(found) == pytest.approx((outline[0][0] + outline[-1][0]) / 2, abs=0.01)
    assert max(found) == pytest.approx(outline[-1][0], abs=0.01)


def test_pairs_are_those_of_the_rope_arm_alone():
    svg = as_svg(figures.slow_share(values(record(query=[0]), record(query=[3], key=[3]))))
    assert ">Query: 0 % in the slow half<" in svg
    assert ">Key: none<" in svg


class Unsteady(LayoutEngine):
    """Places the axes, but for the last digits of a float."""

    _adjust_compatible = _colorbar_gridspec = False

    def __init__(self, off):
        super().__init__()
        self.off = off

    def execute(self, figure):
        figure.axes[0].set_position([0.1 + self.off, 0.2, 0.7, 0.6])


def test_last_digits_of_a_layout_change_no_figure():
    drawn = set()
    for off in (0, 1e-14, 1e-12):
        figure, axes = figures.canvas()
        figure.set_layout_engine(Unsteady(off))
        axes.plot([1, 2, 4])
        drawn.add(figures.as_svg(figure))
    assert len(drawn) == 1


@pytest.mark.parametrize("draw", [layers.value_per_layer, figures.slow_share])
def test_the_same_records_give_the_same_figure(draw):
    both = values(record(query=[1], value=[2]))
    assert as_svg(draw(both)) == as_svg(draw(both))
    assert as_svg(draw(both)).startswith("<?xml")


@pytest.mark.parametrize(
    "draw",
    [
        layers.query_per_layer,
        layers.value_per_layer,
        layers.change_per_layer,
        figures.slow_share,
        partial(series.overlap_per_layer, name="key"),
    ],
)
def test_without_massive_values_there_is_nothing_to_draw(draw):
    with pytest.raises(ValueError, match="massive"):
        draw(values(record()))


def test_a_figure_is_the_same_as_svg_and_as_png():
    figure = figures.slow_share(values(record(query=[3])))
    svg, png = as_svg(figure), as_png(figure, dpi=100)
    size = [float(x) for x in re.search('viewBox="0 0 ([0-9.]+) ([0-9.]+)"', svg).groups()]
    assert png.startswith(b"\x89PNG")
    assert struct.unpack(">II", png[16:24]) == tuple(round(points / 72 * 100) for points in size)


def test_an_svg_is_slim_and_keeps_the_digits_of_its_words():
    figure, axes = figures.canvas()
    axes.plot([1 / 3, 2 / 3], [1, 2], label="0.123456")
    axes.text(0.5, 1.5, 'x="0.123456"')
    legend(figure)
    svg = as_svg(figure)
    assert ">0.123456<" in svg
    assert '="0.123456' in svg.replace("&quot;", '"')
    assert max(len(number) for number in re.findall(r'[ "]\d+[.](\d+)[ "]', re.sub(">[^<]+<", "><", svg))) <= 2
    assert "metadata" not in svg
    assert ElementTree.fromstring(svg).tag.endswith("svg")


def test_a_long_legend_takes_several_lines():
    figure, axes = figures.canvas()
    for name in "abc":
        axes.plot([1, 2], label=name * 40)
    legend(figure)
    figure.draw_without_rendering()
    (box,) = [found.get_window_extent() for found in figure.legends]
    assert 0 <= box.x0 < box.x1 <= figure.bbox.x1


@given(st.lists(st.integers(0, 5000), min_size=2, unique=True).map(sorted))
def test_labelled_places_keep_apart_and_the_last_is_one_of_them(places):
    kept = apart(places)
    assert kept[-1] == places[-1]
    assert set(kept) <= set(places)
    assert all(later - earlier >= 0.1 * (places[-1] - places[0]) for earlier, later in pairwise(kept))
