from xml.etree import ElementTree

import numpy as np
import pytest
import xarray as xr

from fixtures.planted import subjects
from fixtures.planted.records import frequency
from fixtures.plugin.catalogue import built_in
from lib.effects.answers import Answers
from lib.effects.counts import MassiveValues
from lib.effects.losses import Disruption
from lib.effects.recovery import Recovery
from lib.effects.trajectory import Trajectory
from lib.reporting.figures import bands, figures, layers, series
from lib.reporting.figures.figures import as_svg
from lib.reporting.figures.pictures import GROUPS, PICTURES, _drawn, draw, write_all
from lib.reporting.page import figures as on_page

pytestmark = pytest.mark.cpu


@pytest.fixture
def values():
    """Three arms of three layers with 1, 2 and 3 massive query channels in every text."""
    norms = np.ones((4, 3, 2, 32), dtype=np.float32)
    for layer in range(3):
        norms[:, layer, 0, : layer + 1] = 100
    names = {f"{name}_norm": (("text", "layer", "head", "dim"), norms) for name in ("query", "key", "value")}
    rows = np.arange(3 * 2 * 32, dtype=np.float32).reshape(3, 2, 32)
    names |= {f"{name}_row_norm": (("layer", "head", "dim"), rows) for name in ("query", "key")}
    names["frequency"] = (("layer", "dim"), frequency(3, 32))
    record = xr.Dataset({**names, "nll": ("text", [1.0, 2.0, 1.5, 2.5])})
    return MassiveValues(dict.fromkeys(("rope", "drope", "dropped", "continued", "linear", "yarn"), record))


@pytest.fixture
def disruption():
    nll = np.array([[1.0, 3.0, 1.1], [1.2, 3.1, 1.2], [0.9, 2.9, 1.0]])
    record = xr.Dataset(
        {"nll": (("text", "condition"), nll)},
        coords={"condition": ["baseline", "massive", "control 0"], "kind": ("text", ["plain", "odd", "odd"])},
    )
    return Disruption({"rope": record, "drope": record})


@pytest.fixture
def course(values, disruption):
    return Trajectory((100, 200, 300), (values,) * 3, (disruption,) * 3)


@pytest.fixture
def read(values, disruption, course):
    """All that claims of a whole run have read."""
    answers = subjects.answers({"baseline": 0.8, "massive": 0.3}, {"baseline": 0.7})
    third = {
        "with_dropped": values,
        "with_continued": values,
        "with_rescaled": values,
        "by_position": subjects.positions(6.0, 3.2, kind="yarn"),
        "bands": subjects.bands(0.5, 0.1),
        "specificity": subjects.specificity((4, 2), (3, 1), (3, 1)),
        "answers": answers,
        "rope_answers": Answers({"rope": answers.records["rope"]}),
        "stream": subjects.stream(),
        "sinks": subjects.sinks(),
        "modules": subjects.modules({"mlp": 7.0}),
    }
    rope = values.records["rope"]
    third["recovery"] = Recovery({"rope": rope, "dropped": rope.assign(nll=rope["nll"] + 5), "drope": rope})
    third["both_sites"] = MassiveValues({"rope": values.records["rope"], "attention": values.records["drope"]})
    return {"massive_values": values, "disruption": disruption, "trajectory": course, "reliance": course, **third}


EVERY = {claim.figure for claim in built_in().values()}


@pytest.mark.parametrize(
    ("without", "missing"),
    [
        ((), set()),
        (("with_dropped", "with_continued"), set()),
        (("trajectory", "reliance"), {"counts_over_steps", "reliance_over_steps"}),
        (("disruption",), {"perplexity", "damage_by_kind"}),
        (("with_rescaled", "by_position"), {"rescaled", "loss_by_position"}),
        (("bands",), {"bands"}),
        (("specificity",), {"specificity"}),
        (("answers",), set()),
        (("answers", "rope_answers"), {"tasks", "hidden_facts"}),
        (("both_sites",), {"sites"}),
        (("stream", "sinks"), {"stream_norms", "module_shares", "state_norms", "sink_rates"}),
        (("modules", "recovery"), {"modules", "recovery"}),
    ],
)
def test_every_claim_has_its_figure_where_there_is_something_to_draw(read, without, missing):
    found = draw({name: value for name, value in read.items() if name not in without})
    assert EVERY - set(found) == missing
    assert all(alt and ElementTree.fromstring(svg).tag.endswith("svg") for svg, alt in found.values())


@pytest.mark.parametrize("name", ["counts", "query_per_layer", "value_per_layer", "change_per_layer", "slow_share"])
def test_a_figure_goes_by_the_name_of_what_draws_it(read, values, name):
    drawing = getattr(figures, name, None) or getattr(layers, name)
    assert draw(read)[name][0] == as_svg(drawing(values))


def test_the_same_data_gives_the_same_figures(read):
    assert draw(read) == draw(read)


def test_a_figure_that_cannot_be_drawn_takes_no_other_with_it(read, values):
    values.records["rope"]["query_norm"].values[:] = 0
    found = draw({"massive_values": values})
    assert found["lorenz_query"][0] == ""
    assert found["lorenz_query"][1].startswith("Lorenz curves of query norms in each arm: not drawn, since norms that")
    assert found["counts"][0].startswith("<?xml")
    assert on_page.gallery(found).count("<img ") == sum(bool(svg) for svg, _ in found.values())


def test_every_figure_has_a_name_of_its_own_and_a_group():
    assert len(GROUPS) == len(PICTURES)
    assert list(dict.fromkeys(GROUPS.values())) == [
        "Counts", "Layers", "Frequency and weights", "Damage", "Residual stream and modules", "Attention sinks",
        "Recalibration", "Rescaling and sites", "Tasks", "Threshold",
    ]  # fmt: skip


def test_no_legend_covers_anything(read):
    drawn = [found for _, found, _ in _drawn(read)]
    assert len(drawn) == len(PICTURES) - 1  # all but that of thresholds
    for figure in drawn:
        figure.draw_without_rendering()
        boxes = [axes.get_window_extent() for axes in figure.axes]
        assert all(axes.get_legend() is None for axes in figure.axes)
        assert not any(legend.get_window_extent().overlaps(box) for legend in figure.legends for box in boxes)


def test_every_figure_is_written_as_svg_and_as_png(read, values, tmp_path):
    values.records["rope"]["query_norm"].values[:] = 0
    given = {"massive_values": values, "bands": read["bands"]}
    written = write_all(tmp_path / "new" / "folder", given)
    names = {name for name, (svg, _) in draw(given).items() if svg}
    assert {path.name for path in (tmp_path / "new" / "folder").iterdir()} == {path.name for path in written}
    assert {path.name for path in written} == {f"{name}.{kind}" for name in names for kind in ("svg", "png")}
    assert "lorenz_query" not in names
    assert (tmp_path / "new" / "folder" / "bands.svg").read_text() == draw(given)["bands"][0]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in written if path.suffix == ".png")


def test_without_records_there_are_no_figures():
    assert draw({}) == {}


def test_a_figure_shows_the_figures_of_the_data(values, disruption):
    assert ">6<" in as_svg(figures.counts(values))  # 1 + 2 + 3 in every text
    baseline = np.exp(np.mean([1.0, 1.2, 0.9]))
    assert f">{baseline:.4g}<" in as_svg(figures.perplexity(disruption))


def test_the_figure_of_bands_says_what_either_costs():
    svg = as_svg(bands.bands(subjects.bands(0.5, -0.125, spread=0.0)))
    assert ">slow: +0.5 (16 channels)<" in svg
    assert ">fast: -0.125 (16 channels)<" in svg


def test_figures_of_a_series_show_its_steps_and_counts(course):
    svg = as_svg(series.query_heat_map(course))
    for text in ("100", "200", "300", "1", "2", "3"):
        assert f">{text}<" in svg


def test_the_figure_of_rescaled_arms_shows_their_counts_and_losses(values):
    louder = values.records["yarn"].copy(deep=True)
    louder["query_norm"][0, 0, 1, 0] = 100
    svg = as_svg(series.rescaled(MassiveValues({**values.records, "yarn": louder})))
    assert svg.count(">6.25<") == 1  # one text of four has one more
    assert [svg.count(f">{name}<") for name in ("RoPE", "linear", "yarn", "ntk")] == [1, 1, 1, 0]
    assert svg.count(">loss 1.75<") == 3


def test_a_lorenz_figure_shows_the_gini_coefficients(values):
    assert as_svg(series.lorenz_curves(values, "key")).count(f"Gini {values.gini('rope', 'key').mean():.3f}") == 2


def test_a_figure_of_layers_says_where_nothing_is_massive(values):
    record = values.records["rope"].copy(deep=True)
    record["query_norm"][:, 1] = 1
    svg = as_svg(series.overlap_per_layer(MassiveValues({"rope": record, "drope": record}), "query"))
    assert svg.count(">none<") == 1


def test_the_figure_of_kinds_names_every_kind_and_draws_every_text(disruption):
    svg = as_svg(figures.damage_by_kind(disruption))
    assert svg.count(">plain<") == svg.count(">odd<") == 1
    assert svg != as_svg(
        figures.damage_by_kind(Disruption({a: r.isel(text=[0, 1]) for a, r in disruption.records.items()}))
    )


def test_a_text_that_gains_from_zeroing_is_drawn_where_the_smallest_increase_is(disruption):
    def drawn(rise):
        record = disruption.records["rope"].copy(deep=True)
        record["nll"].values[0] = 1.0, 1.0 + rise, 1.0  # the only text of its kind
        return as_svg(figures.damage_by_kind(Disruption({"rope": record, "drope": record})))

    least = np.log1p(figures.LEAST_PERCENT / 100)
    assert drawn(-0.1) == drawn(least) != drawn(10 * least)


@pytest.mark.parametrize(
    "kind", ["中文", "نص", "$\\frac{", "a_$x$", "_hidden", "<script>alert(1)</script>", "k" * 5000, "a\\x1b[31m", "🙂"]
)
def test_a_kind_of_text_that_cannot_be_drawn_as_it_is_ends_nothing(disruption, tmp_path, kind):
    record = disruption.records["rope"].assign_coords(kind=("text", ["plain", kind, kind]))
    named = Disruption({"rope": record, "drope": record})
    svg, _ = draw({"disruption": named})["damage_by_kind"]
    shown = [element.text for element in ElementTree.fromstring(svg).iter() if element.text]
    assert kind[:18] in "".join(shown)
    assert tmp_path / "damage_by_kind.png" in write_all(tmp_path, {"disruption": named})
