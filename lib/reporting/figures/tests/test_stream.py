import numpy as np
import pytest

from fixtures.planted import records
from fixtures.planted.subjects import stream
from lib.effects.stream import Stream
from lib.judging import NoSubject
from lib.reporting.figures.figures import COLOURS, as_svg
from lib.reporting.figures.pictures import draw
from lib.reporting.figures.stream import module_shares, state_norms, stream_norms

pytestmark = pytest.mark.cpu


def arms(number=2, **how):
    """The first so many arms."""
    return Stream({arm: records.stream_record(seed=i, **how) for i, arm in enumerate(list(COLOURS)[:number])})


def of_depth(*layers):
    """Arms of so many layers."""
    made = [records.stream_record(share=[40.0] * n, lengths=[10.0] * n, texts=3) for n in layers]
    return Stream(dict(zip(COLOURS, made, strict=False)))


def maps(found):
    """The panels of maps, without the bar of colours."""
    return [axes for axes in stream_norms(found).axes if len(axes.images) == 2]


def lines(axes, arm):
    return [line for line in axes.lines if line.get_color() == COLOURS[arm]]


@pytest.mark.parametrize("number", [1, 2, 4])
def test_a_map_has_the_mean_norm_behind_every_layer_and_the_first_position_apart(number):
    found = arms(number)
    for i, record in enumerate(found.records.values()):
        planted = 1 + i + 10 * np.arange(5)[:, None] + np.arange(5)
        record["run_norm"].values[:] = planted
        record["run_norm"].values[0] += 20  # one text of twenty
    panels = maps(found)
    assert [axes.get_title() for axes in panels] == ["RoPE", "DroPE", "dropped", "continued"][:number]
    for i, axes in enumerate(panels):
        first, rest = (np.asarray(image.get_array()) for image in axes.images)
        planted = 2 + i + 10 * np.arange(5)[:, None] + np.arange(5)
        assert first == pytest.approx(planted[:, :1])
        assert rest == pytest.approx(planted[:, 1:])


def test_rows_of_a_map_lie_behind_their_layers_and_columns_at_their_positions():
    (axes,) = maps(arms(1))
    first, rest = axes.images
    assert first.get_extent()[2:] == rest.get_extent()[2:] == [-1.5, 3.5]
    assert (first.origin, rest.origin) == ("lower", "lower")
    assert rest.get_extent()[:2] == [1, records.TOKENS]
    left, right = first.get_extent()[:2]
    assert left < right < 1
    labels = {label.get_text(): place for label, place in zip(axes.get_xticklabels(), axes.get_xticks(), strict=True)}
    assert left < labels["0"] < right
    assert labels["63"] == 63.5
    rows = dict(zip([label.get_text() for label in axes.get_yticklabels()], axes.get_yticks(), strict=True))
    assert rows == {"emb.": -1, "0": 0, "1": 1, "2": 2, "3": 3}


def test_all_arms_share_one_log_scale():
    found = arms(2)
    found.records["drope"]["run_norm"].values[:] = 5_000
    found.records["rope"]["run_norm"].values[:] = 5
    scales = {(image.norm.vmin, image.norm.vmax) for axes in maps(found) for image in axes.images}
    assert scales == {(5, 5_000)}
    assert maps(found)[0].images[0].norm(np.sqrt(5 * 5_000)) == pytest.approx(0.5)


def test_a_stream_of_zeros_is_not_drawn():
    found = arms(1)
    found.records["rope"]["run_norm"].values[:] = 0
    svg, words = draw({"stream": found})["stream_norms"]
    assert svg == ""
    assert words.endswith("not drawn, since the residual stream is zero everywhere")


def test_a_solid_line_is_attentions_share_and_a_dashed_one_leaves_out_the_first_position():
    found = arms(2, share=(50, 5, 35, 30), spread=0)
    found.records["drope"]["added_norm"].loc[{"layer": 1, "part": "mlp", "where": "first"}] *= 100
    (axes,) = module_shares(found).axes
    solid, dashed = lines(axes, "rope")
    assert solid.get_ydata() == pytest.approx([50, 5, 35, 30])
    assert dashed.get_ydata() == pytest.approx([50, 5, 35, 30])
    solid, dashed = lines(axes, "drope")
    mlp = 95 * (100 + records.TOKENS - 1) / records.TOKENS
    assert solid.get_ydata() == pytest.approx([50, 100 * 5 / (5 + mlp), 35, 30])
    assert dashed.get_ydata() == pytest.approx([50, 5, 35, 30])
    assert (solid.get_linestyle(), dashed.get_linestyle()) == ("-", "--")
    assert solid.get_xdata().tolist() == [0, 1, 2, 3]


def test_a_layer_that_adds_nothing_has_no_share_to_draw():
    found = arms(1)
    found.records["rope"]["added_norm"].values[:, 2] = 0
    with pytest.raises(NoSubject, match="a layer of RoPE adds nothing"):
        module_shares(found)


def test_each_tensor_has_a_panel_with_the_norms_of_its_states():
    found = arms(2)
    for i, (name, times) in enumerate((("query", 1), ("key", 10), ("value", 100))):
        states = found.records["drope"]["state_norm"]
        states.loc[{"state": name}] = times * np.arange(1, 5)[:, None]
        axes = state_norms(found).axes[i]
        assert axes.get_title() == name.capitalize()
        (line,) = lines(axes, "drope")
        assert line.get_ydata() == pytest.approx(times * np.arange(1, 5))
        assert axes.get_yscale() == "log"


def test_the_norm_of_states_is_the_mean_over_all_positions():
    found = arms(1)
    found.records["rope"]["state_norm"].loc[{"where": "first"}] = 64.0
    found.records["rope"]["state_norm"].loc[{"where": "rest"}] = 1.0
    (line,) = lines(state_norms(found).axes[0], "rope")
    assert line.get_ydata() == pytest.approx([(64 + 63) / 64] * 4)


def test_states_that_are_zero_leave_a_gap_and_nothing_but_zeros_is_not_drawn():
    found = arms(1)
    found.records["rope"]["state_norm"].values[:, 2] = 0
    (line,) = lines(state_norms(found).axes[1], "rope")
    assert np.isnan(line.get_ydata()).tolist() == [False, False, True, False]
    found.records["rope"]["state_norm"].values[:] = 0
    with pytest.raises(ValueError, match="all query, key and value states are zero"):
        state_norms(found)


@pytest.mark.parametrize("drawing", [module_shares, state_norms])
def test_arms_of_different_depth_stand_side_by_side(drawing):
    axes = drawing(of_depth(2, 4)).axes[0]
    assert lines(axes, "rope")[0].get_xdata().tolist() == [0.25, 0.75]
    assert lines(axes, "drope")[0].get_xdata().tolist() == [0.125, 0.375, 0.625, 0.875]
    assert axes.get_xlabel().startswith("depth")
    assert "layer" in drawing(of_depth(4, 4)).axes[0].get_xlabel()


def test_labels_of_many_layers_leave_room_for_that_of_the_embeddings():
    panels = maps(of_depth(32, 32, 32, 32))
    assert [label.get_text() for label in panels[0].get_yticklabels()][:3] == ["emb.", "5", "10"]
    assert [label.get_text() for label in panels[0].get_xticklabels()] == ["0", "63"]


@pytest.mark.parametrize("drawing", [stream_norms, module_shares, state_norms])
def test_planted_streams_of_four_arms_are_drawn_with_their_names(drawing):
    svg = as_svg(drawing(stream()))
    assert all(f">{name}<" in svg for name in ("RoPE", "DroPE", "dropped", "continued"))
