import numpy as np
import pytest

from fixtures.planted.subjects import course, recovery
from lib.reporting.figures import series
from lib.reporting.figures.figures import COLOURS, as_svg
from lib.reporting.figures.pictures import draw

pytestmark = pytest.mark.cpu


def curve(figure):
    """The line that is drawn with points."""
    (line,) = [line for line in figure.axes[0].lines if line.get_marker() == "o"]
    return line


def along(*losses):
    """Checkpoints with such losses of every text."""
    found = course(10, *(10 for _ in losses))
    for values, loss in zip(found.values, losses, strict=True):
        values.records["drope"] = values.records["drope"].assign(nll=("text", np.full(20, loss)))
        values.records["rope"] = values.records["rope"].assign(nll=("text", np.full(20, 99.0)))  # another one
    return found


def test_the_curve_goes_from_the_dropped_rotation_to_what_the_last_checkpoint_recovers():
    line = curve(series.recovery(recovery(3.0, 9.0, 3.6, spread=0), along(6.0, 4.5, 3.6)))
    assert list(line.get_xdata()) == [0, 100, 200, 300]
    assert list(line.get_ydata()) == pytest.approx([0, 50, 75, 90])
    assert line.get_color() == COLOURS["drope"]


def test_the_treatment_alone_is_a_point_and_the_threshold_is_marked():
    figure = series.recovery(recovery(3.0, 9.0, 3.6, spread=0))
    assert list(curve(figure).get_ydata()) == pytest.approx([90])
    levels = {line.get_label(): line.get_ydata()[0] for line in figure.axes[0].lines if line.get_marker() != "o"}
    assert levels == {"95 %": 95, "as in RoPE": 100, "rotation dropped": 0}
    assert ">DroPE: 90 %<" in as_svg(figure)


def test_where_dropping_the_rotation_costs_nothing_there_is_no_curve():
    svg, words = draw({"recovery": recovery(3.0, 3.0, 3.0, spread=0)})["recovery"]
    assert svg == ""
    assert "not drawn, since dropping the rotation costs 0 nats per token" in words
