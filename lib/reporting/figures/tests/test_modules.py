import numpy as np
import pytest

from fixtures.planted import records
from fixtures.planted.subjects import modules as planted
from lib.definitions.words import IN_MODULES
from lib.effects.modules import Modules
from lib.reporting.figures.figures import COLOURS, as_svg
from lib.reporting.figures.modules import WORDS, modules
from lib.reporting.figures.pictures import draw

pytestmark = pytest.mark.cpu
RISES = {"attention": 0.9, "mlp": 7.5, "both": 8.0, "massive zeroed": 9.0}


def arms(*rises):
    """Arms with such rises of the loss."""
    made = [records.modules_record(each, seed=i) for i, each in enumerate(rises)]
    return Modules(dict(zip(COLOURS, made, strict=False)))


def without_massive(found, arm):
    """The same with an arm that has no massive activations."""
    record = found.records[arm]
    kept = [name for name in record["condition"].values if "zeroed" not in name and "at mean" not in name]
    return Modules({**found.records, arm: record.sel(condition=kept)})


def axes_of(found):
    (axes,) = modules(found).axes
    return axes


def rows(axes):
    """The place of each condition, by its words."""
    return dict(zip([label.get_text() for label in axes.get_yticklabels()], axes.get_yticks(), strict=True))


def drawn(axes, arm, condition):
    """The dots of an arm in a condition, and the place of the stroke of their mean."""
    place = rows(axes)[WORDS[condition].format(1)]
    near = lambda y: abs(y - place) < 0.5  # noqa: E731
    dots = [
        d for d in axes.lines if d.get_color() == COLOURS[arm] and len(d.get_xdata()) > 2 and near(d.get_ydata()[0])
    ]
    strokes = [
        segment[0][0]
        for stroke, colour in ((s, s.get_color()) for s in axes.collections)
        for segment in stroke.get_segments()
        if near(segment[:, 1].mean()) and np.allclose(colour[0], _rgba(arm))
    ]
    assert len(dots) == len(strokes) <= 1
    return (dots[0].get_xdata(), strokes[0]) if dots else None


def _rgba(arm):
    return [*(int(COLOURS[arm][i : i + 2], 16) / 255 for i in (1, 3, 5)), 1]


def test_dots_are_the_rises_of_texts_and_strokes_their_means():
    found = arms(RISES, {"attention": 5.3, "mlp": 5.3})
    axes = axes_of(found)
    for arm in found.arms:
        nll = found.records[arm]["nll"]
        for condition in IN_MODULES[1:]:
            rises = (nll.sel(condition=condition) - nll.sel(condition="baseline")).values
            dots, mean = drawn(axes, arm, condition)
            assert dots == pytest.approx(rises)
            assert mean == pytest.approx(rises.mean())
    assert drawn(axes, "rope", "mlp")[1] == pytest.approx(7.5, abs=0.02)


def test_conditions_that_an_arm_lacks_are_left_out():
    both = arms(RISES, RISES)
    one = axes_of(without_massive(both, "drope"))
    assert drawn(one, "rope", "massive zeroed")
    assert not drawn(one, "drope", "massive zeroed")
    assert drawn(one, "drope", "mlp")
    neither = axes_of(without_massive(without_massive(both, "drope"), "rope"))
    assert list(rows(neither)) == [WORDS[name].format(1) for name in IN_MODULES[1:6]]


def test_arms_stand_beside_each_other_in_the_order_of_the_legend():
    found = arms(RISES, RISES, RISES, RISES)
    axes = axes_of(found)
    heights = [
        [dots.get_ydata()[0] for dots in axes.lines if dots.get_color() == COLOURS[arm] and len(dots.get_xdata()) > 2]
        for arm in found.arms
    ]
    assert (np.diff(heights, axis=0) > 0.15).all()
    (box,) = modules(found).legends
    names = ["RoPE", "DroPE", "dropped", "continued"]
    assert [text.get_text() for text in box.get_texts()] == [f"{name} (spike layer 1)" for name in names]


def test_the_spike_layer_and_the_layer_that_is_edited_are_named():
    found = arms(RISES)
    found.records["rope"] = found.records["rope"].assign(spike=3, layer=0)
    svg = as_svg(modules(found))
    assert ">RoPE (spike layer 3)<" in svg
    assert ">MLP of layer 0<" in svg


def test_the_axis_is_linear_where_nothing_is_lost():
    assert axes_of(arms(RISES)).get_xscale() == "symlog"
    plain = axes_of(arms({}))
    assert plain.get_xscale() == "linear"
    assert "log" not in plain.get_xlabel()


def test_the_words_say_where_tokens_differ():
    found = planted({"mlp": 7.0})
    alike = draw({"modules": found})["modules"][1]
    named = {arm: r.assign_attrs(provenance=f'{{"tokenizer": "{arm}"}}') for arm, r in found.records.items()}
    assert draw({"modules": Modules(named)})["modules"][1] == (
        f"{alike} (the arms have different tokenizers: heights compare within an arm)"
    )
