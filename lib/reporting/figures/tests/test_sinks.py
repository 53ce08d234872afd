from itertools import pairwise

import numpy as np
import pytest

from fixtures.planted import records
from lib.effects.sinks import Sinks
from lib.reporting.figures.figures import COLOURS as ARMS
from lib.reporting.figures.figures import as_svg
from lib.reporting.figures.sinks import COLOURS, sink_rates

pytestmark = pytest.mark.cpu


def arms(number=2, **how):
    """The first so many arms."""
    return Sinks({arm: records.sinks_record(seed=i, **how) for i, arm in enumerate(list(ARMS)[:number])})


def panels(found):
    """The maps, the panels of rates below them, and the bar of colours."""
    axes = sink_rates(found).axes
    number = len(found.records)
    return axes[:number], axes[number : 2 * number], axes[2 * number]


def test_a_map_has_what_every_head_gives_the_first_position_of_texts():
    found = arms(2, texts=2)
    for i, record in enumerate(found.records.values()):
        record["first_share"].values[:] = 0.9  # random and repeated tokens
        record["first_share"].values[0] = np.arange(200).reshape(4, 50) / 400
        record["first_share"].values[0, 1] += 0.02 * (i + 1)  # one text of two
    above, *_ = panels(found)
    assert [axes.get_title() for axes in above] == ["RoPE", "DroPE"]
    for i, axes in enumerate(above):
        expected = np.arange(200).reshape(4, 50) / 4 + i + 1
        assert np.asarray(axes.images[0].get_array()) == pytest.approx(expected.T)
        assert axes.images[0].origin == "lower"


def test_colours_of_sinks_stand_apart_from_all_others_and_the_threshold_is_marked():
    above, _, bar = panels(arms(1))
    image = above[0].images[0]
    shares = [29.5, 29.99, 30.0, 31.0]
    below, almost, just, beyond = (np.array(image.cmap(image.norm(share))[:3]) for share in shares)
    assert below.tolist() == almost.tolist()
    assert abs(just - almost).max() > 0.4 > 10 * abs(beyond - just).max()
    assert (image.norm.vmin, image.norm.vmax) == (0, 100)
    assert [label.get_text() for label in bar.get_yticklabels()] == ["0", "30", "100"]


def test_lines_are_the_rates_of_all_inputs_by_layer():
    found = arms(2, texts=2)
    for record in found.records.values():
        record["first_share"].values[:] = 0.05
    shares = found.records["drope"]["first_share"].values
    shares[0, 0, 1, :25] = 0.6  # texts: a half of layer 1's heads, on one text of two
    shares[1, :, 2] = 0.3  # random tokens: exactly what makes a sink
    shares[2, :, 3, :5] = 0.9
    _, (rope, drope), _ = panels(found)
    expected = {"texts": [0, 25, 0, 0], "random": [0, 0, 100, 0], "repeated": [0, 0, 0, 10]}
    for inputs, colour in COLOURS.items():
        (line,) = [line for line in drope.lines if line.get_color() == colour]
        assert line.get_ydata().tolist() == pytest.approx(expected[inputs])
        assert line.get_xdata().tolist() == [0, 1, 2, 3]
    assert all(not line.get_ydata().any() for line in rope.lines)


def test_what_uniform_attention_gives_is_marked_and_said():
    found = arms(1)
    *_, bar = panels(found)
    expected = 100 * sum(1 / seen for seen in range(1, 65)) / 64
    assert [line.get_ydata()[0] for line in bar.lines] == pytest.approx([expected])
    assert ">uniform attention over 64 tokens gives the first one 7.41 %, a sink 30 %<" in as_svg(sink_rates(found))


@pytest.mark.parametrize(("number", "layers"), [(1, 32), (4, 32), (4, 12), (4, 4)])
def test_labels_of_many_layers_do_not_collide(number, layers):
    texts, heads = 2, 8
    record = records.sinks_record(texts=texts)
    shares = (("input", "text", "layer", "head"), np.full((3, texts, layers, heads), 0.1))
    deep = record.drop_vars(["first_share", "key_norm", "value_norm"]).assign(first_share=shares)
    figure = sink_rates(Sinks(dict.fromkeys(list(ARMS)[:number], deep)))
    figure.draw_without_rendering()
    for axes in figure.axes[: 2 * number]:
        spans = [label.get_window_extent() for label in axes.get_xticklabels()]
        assert len(spans) >= 3
        assert all(first.x1 < second.x0 for first, second in pairwise(spans))
