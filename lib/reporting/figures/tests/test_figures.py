import re

import numpy as np
import pytest
import xarray as xr
from matplotlib.layout_engine import LayoutEngine

from fixtures.planted.records import frequency
from lib.effects.counts import MassiveValues
from lib.reporting.figures import figures, layers

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
    words = layers.query_per_layer(other).replace("Query", "Value").replace("query", "value")
    assert layers.value_per_layer(both) == words
    assert ">Value, layer by layer<" in words


def test_value_counts_are_drawn_layer_by_layer_for_each_arm():
    rope = record()
    for layer, count in enumerate((1, 0, 2)):
        rope["value_norm"][:, layer, 0, :count] = 1000
    svg = layers.value_per_layer(values(rope))
    heights = [y for _, y in points(svg, figures.COLOURS["rope"])]
    assert (heights[2] - heights[1]) == pytest.approx(2 * (heights[0] - heights[1]), rel=1e-4)
    assert len({y for _, y in points(svg, figures.COLOURS["drope"])}) == 1


def test_rotary_pairs_go_from_fast_to_slow_and_the_slow_share_is_said():
    # dims d and d + 4 make pair d; pairs 2 and 3 are the slow half
    svg = figures.slow_share(values(record(query=[3, 7], key=[0, 2])))
    assert ">Query: 100 % in the slow half<" in svg
    assert ">Key: 50 % in the slow half<" in svg


@pytest.mark.parametrize(("dims", "pair"), [([0, 4], 0), ([4], 0), ([1], 1), ([3, 7], 3)])
def test_the_massive_channels_of_a_pair_stand_at_its_place(dims, pair):
    outline = points(figures.slow_share(values(record(query=dims))), figures.TENSORS["query"])
    width, top = outline[-1][0] - outline[0][0], max(y for _, y in outline)
    left, right = (edge([x for x, y in outline if y == top]) for edge in (min, max))
    assert [(x - outline[0][0]) / width for x in (left, right)] == pytest.approx([pair / 4, (pair + 1) / 4], abs=1e-3)


def test_the_slow_half_is_shaded():
    svg = figures.slow_share(values(record(query=[3])))
    outline = points(svg, figures.TENSORS["query"])
    shade = re.search(r'<path d="([^"]+)" clip-path="[^"]+" style="fill: #8899aa; opacity: 0.2', svg)[1]
    found = [float(x) for x, _ in re.findall(r"[ML] (\S+) (\S+)", shade)]
    assert min(found) == pytest.approx((outline[0][0] + outline[-1][0]) / 2, abs=0.01)
    assert max(found) == pytest.approx(outline[-1][0], abs=0.01)


def test_pairs_are_those_of_the_rope_arm_alone():
    svg = figures.slow_share(values(record(query=[0]), record(query=[3], key=[3])))
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
def test_the_same_records_give_the_same_figure_also_without_massive_values(draw):
    for rope in (record(query=[1], value=[2]), record()):
        assert draw(values(rope)) == draw(values(rope))
        assert draw(values(rope)).startswith("<?xml")
