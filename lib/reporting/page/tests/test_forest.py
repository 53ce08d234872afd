from xml.etree import ElementTree

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lib.judging.verdicts import assess, undecided
from lib.reporting.page.forest import KEY, WIDTH, forest, key
from lib.reporting.sentences import measured

pytestmark = pytest.mark.cpu
number = st.floats(-1e6, 1e6, allow_nan=False)


def judged(values=(9.0, 10.0, 11.0), rule="at_most", limits=(12,), **changes):
    return {**getattr(assess(values), rule)(*limits).as_dict(), **changes}


def elements(svg, name):
    """All elements of a kind, with their attributes as numbers where they are some."""
    return [element.attrib for element in ElementTree.fromstring(svg).iter(name)]


def x_of(svg, name, attribute, which=0):
    return float(elements(svg, name)[which][attribute])


@example([0.0, 5e-324, 5e-324], 5e-324, None)
@given(st.lists(number, min_size=3, max_size=6), number, st.none() | number)
def test_nothing_is_drawn_outside_of_the_picture(values, limit, published):
    svg = forest([judged(values, limits=(limit,))], published=published)
    xs = [float(a[k]) for name in ("circle", "line", "text", "rect") for a in elements(svg, name) for k in a if k in
          ("cx", "x", "x1", "x2")]  # fmt: skip
    assert all(0 <= x <= WIDTH for x in xs)


@given(st.lists(number, min_size=3, max_size=6), number)
def test_what_is_smaller_lies_further_left(values, limit):
    judgement = judged(values, limits=(limit,))
    svg = forest([judgement])
    estimate, threshold = x_of(svg, "circle", "cx"), x_of(svg, "line", "x1")
    assert (estimate <= threshold) if judgement["estimate"] <= limit else (estimate >= threshold)


def test_the_side_that_is_needed_is_shaded():
    for rule in ("at_most", "below"):
        assert x_of(forest([judged(rule=rule)]), "rect", "x") == 0
    for rule in ("at_least", "above"):
        svg = forest([judged(rule=rule)])
        assert x_of(svg, "rect", "x") + x_of(svg, "rect", "width") == WIDTH
    between = forest([judged(rule="within", limits=(5, 15))])
    assert x_of(between, "rect", "x") == x_of(between, "line", "x1") > 0


def test_both_sides_of_a_range_are_shaded_where_the_estimate_must_lie_outside():
    svg = forest([judged(rule="outside", limits=(5, 15))])
    (left, right), (low, high) = elements(svg, "rect"), elements(svg, "line")[:2]
    assert (float(left["x"]), float(left["width"])) == (0, float(low["x1"]))
    assert float(right["x"]) == float(high["x1"])
    assert float(right["x"]) + float(right["width"]) == WIDTH


def test_the_published_figure_is_a_mark_and_an_arrow_when_it_is_far_away():
    near, far = (forest([judged()], published=at) for at in (14, 1e5))
    assert near.count('class="published"') == far.count('class="published"') == 1
    assert "l 4.5 -4.5" in near
    assert "l 4.5 -4.5" not in far
    assert f'class="published" d="M {WIDTH - 1} ' in far
    assert "published 14" in near
    assert "published 1e+05" in far
    assert x_of(far, "circle", "cx") == x_of(forest([judged()]), "circle", "cx")


def test_an_interval_without_an_end_has_an_arrow_there():
    assert len(elements(forest([judged()]), "path")) == 0
    assert len(elements(forest([judged(low=None)]), "path")) == 1
    assert "no end to" in forest([judged(low=None)])


def test_several_runs_lie_below_each_other_on_one_axis():
    svg = forest([judged(), judged(values=(19.0, 20.0, 21.0))])
    (first, second) = elements(svg, "circle")
    assert float(first["cy"]) < float(second["cy"])
    assert float(first["cx"]) < float(second["cx"])
    assert [g["class"] for g in elements(svg, "g")] == ["supported", "refuted"]


def test_rows_have_their_names_on_the_left_and_their_figures_on_the_right():
    svg = forest([judged(), judged(values=(19.0, 20.0, 21.0))], rows=["first", "second"])
    words = [(float(e.attrib["x"]), e.text) for e in ElementTree.fromstring(svg).iter("text")]
    (plot,) = [e for e in ElementTree.fromstring(svg).iter("g") if e.attrib["class"] == "plot"]
    left, width = float(plot.attrib["transform"][10:-3]), float(ElementTree.fromstring(svg).attrib["width"])
    assert [text for x, text in words if x == 0] == ["first", "second"]
    assert [text for x, text in words if left + WIDTH < x < width] == [
        f"{measured(judged())} supported",
        f"{measured(judged(values=(19.0, 20.0, 21.0)))} refuted",
    ]
    assert "second: 20" in ElementTree.fromstring(svg).attrib["aria-label"]


def test_a_row_without_an_estimate_takes_no_name():
    svg = forest([undecided("nothing is there").as_dict(), judged()], rows=["first", "second"])
    assert ">second<" in svg
    assert ">first<" not in svg


def test_a_long_name_is_cut_in_the_picture_and_whole_in_its_words():
    name = "x" * 200
    svg = forest([judged()], rows=[name])
    assert len(next(ElementTree.fromstring(svg).iter("text")).text) < 40
    assert f"{name}: 10" in svg
    assert float(ElementTree.fromstring(svg).attrib["width"]) < 800


def test_every_mark_of_the_key_is_drawn_with_its_words():
    items = list(ElementTree.fromstring(key()).iter("li"))
    assert ["".join(item.itertext()).strip() for item in items] == list(KEY)
    assert all(len(list(item.find("svg"))) > 0 for item in items)


def test_without_an_estimate_there_is_no_picture():
    assert forest([undecided("nothing is there").as_dict()]) == ""


def test_texts_are_escaped():
    svg = forest([judged()], label='"><img src=x>')
    assert "<img" not in svg
    assert ElementTree.fromstring(svg).attrib["aria-label"].startswith('"><img src=x>; 10')
    named = forest([judged()], rows=['"><img src=x>'])
    assert "<img" not in named
    assert next(ElementTree.fromstring(named).iter("text")).text == '"><img src=x>'
