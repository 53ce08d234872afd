from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.reporting.page.strip_plot import EDGE, WIDTH, strip_plot

pytestmark = pytest.mark.cpu
number = st.floats(-1e6, 1e6, allow_nan=False)


def xs(svg, name, key):
    return [float(element.attrib[key]) for element in ElementTree.fromstring(svg).iter(name)]


@given(st.lists(number, min_size=1, max_size=8), st.lists(number, max_size=2))
def test_every_text_is_a_dot_in_the_order_of_its_number(values, limits):
    dots = xs(strip_plot(values, limits), "circle", "cx")
    assert len(dots) == len(values)
    assert all(EDGE <= x <= WIDTH - EDGE for x in dots)
    order = sorted(range(len(values)), key=values.__getitem__)
    assert [dots[i] for i in order] == sorted(dots)


def test_limits_are_lines_and_the_ends_are_said():
    svg = strip_plot([1.0, 2.0], [4.0])
    assert xs(svg, "line", "x1") == [WIDTH - EDGE]
    assert "2 texts from 1 to 2" in svg
    assert ">1<" in svg
    assert ">4<" in svg
