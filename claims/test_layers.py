"""Where massive values come and go: layer by layer."""

import numpy as np
import pytest

from lib.judging.verdicts import NoSubject

STUDY = "Africa 2026"


@pytest.mark.claim(
    "L1", source=f"{STUDY}, layer analysis", published="2.7 -> 101.3", family="layers", figure="change_per_layer"
)
def test_layer_1_has_more_massive_query_values_under_drope(massive_values, judge):
    """Massive Query channels of layer 1 under DroPE minus under RoPE, text by text. Where the arms' layers have
    different numbers of channels, those of DroPE are scaled to RoPE's.
    """
    massive_values.need_layers()
    massive_values.need("query", "rope", "drope", layer=1)
    gain = massive_values.change_per_layer("query")
    judge(gain[:, 1], unit="channels of layer 1", note=_rates(massive_values, 1)).above(0)


@pytest.mark.claim(
    "L2", source=f"{STUDY}, layer analysis", published="only layer 1", family="layers", figure="change_per_layer"
)
def test_no_other_layer_has_more_massive_query_values_under_drope(massive_values, judge):
    """The same difference in every other layer that has massive values at all. Supported when no layer can have gained
    more than one channel (of a RoPE layer), refuted as soon as one layer has.
    """
    massive_values.need_layers()
    massive_values.need("query", "rope", "drope")
    before, after = massive_values.counts("rope", "query"), massive_values.counts("drope", "query")
    change = massive_values.change_per_layer("query")
    # a layer without a single massive value in either arm is no evidence for either side
    layers = [layer for layer in _other_layers(before) if before[:, layer].any() or after[:, layer].any()]
    if not layers:
        raise NoSubject("no layer but layer 1 has massive query values")
    parts = [
        judge.part(
            change[:, layer],
            of=len(layers),
            unit="channels",
            label=f"layer {layer}",
            note=_rates(massive_values, layer),
        )
        for layer in layers
    ]
    judge.all_of(*(part.at_most(1) for part in parts))


@pytest.mark.claim(
    "L3",
    source=f"{STUDY}, layer analysis",
    published="-17 of 4096 (-0.42 %)",
    family="layers",
    figure="query_per_layer",
)
def test_every_other_layer_loses_a_quarter_percent_of_its_query_channels(massive_values, judge):
    """Change of the Query count in all layers but layer 1, mean over layers, in percent of the channels of a layer,
    text by text.
    """
    massive_values.need_layers()
    massive_values.need("query", "rope")
    change = massive_values.change_per_layer("query")
    percent = 100 * change[:, _other_layers(change)].mean(-1) / massive_values.channels("query")
    note = massive_values.rates_said(("rope", "query"), ("drope", "query"))
    judge(percent, unit="% of a layer's channels", note=note).at_most(-0.25)


@pytest.mark.claim(
    "V2",
    source="not claimed; Africa 2026's stored data",
    published="79 % in layers 0-1",
    family="layers",
    figure="value_per_layer",
)
def test_value_keeps_its_massive_values_layer_by_layer(massive_values, judge):
    """Share of the Value count that sits in other layers under DroPE than under RoPE: half the sum of absolute
    differences between the layers' shares, text by text.
    """
    massive_values.need_layers()
    massive_values.need("value", "rope", "drope")
    judge(massive_values.moved_share("value"), unit="% of the count moved").at_most(10)


def _rates(massive_values, layer: int) -> str:
    return massive_values.rates_said(("rope", "query"), ("drope", "query"), layer=layer)


def _other_layers(counts: np.ndarray) -> list[int]:
    return [layer for layer in range(counts.shape[1]) if layer != 1]
