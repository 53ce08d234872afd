"""Where massive values come and go: layer by layer."""

import numpy as np

from fixtures.claim import claim, tried_on
from fixtures.planted import counts
from fixtures.planted.subjects import study_counts
from lib.judging import NoSubject

STUDY = "Africa 2026"


@claim(
    "L1",
    source=f"{STUDY}, layer analysis",
    published="2.7 -> 101.3",
    family="layers",
    figure="change_per_layer",
    training=True,
)
@tried_on(
    supported=study_counts,
    refuted=counts(query=([100, 50, 100, 100], [45, 3, 50, 45])),
    open=counts(query=([100, 50, 100, 100], [45, 50, 50, 45]), spread=0.1),
    inside=counts(query=([100, 50, 100, 100], [45, 51, 50, 45]), spread=0.002),
    outside=counts(query=([100, 50, 100, 100], [45, 49, 50, 45]), spread=0.002),
)
def test_layer_1_has_more_massive_query_values_under_drope(massive_values, judge):
    """Massive Query channels of layer 1 under DroPE minus under RoPE, text by text. Where the arms' layers have
    different numbers of channels, those of DroPE are scaled to RoPE's. Layer 1 is the second of Llama-2-7B's 32; the
    claim says nothing of which layer takes its place in a model of another depth.
    """
    massive_values.need_layers()
    massive_values.need("query", "rope", "drope", layer=1)
    gain = massive_values.change_per_layer("query")
    note = "; ".join(filter(None, (massive_values.describe_layer("query"), _rates(massive_values, 1))))
    judge(gain[:, 1], unit="channels of layer 1", note=note).above(0)


@claim(
    "L2",
    source=f"{STUDY}, layer analysis",
    published="only layer 1",
    family="layers",
    figure="change_per_layer",
    training=True,
)
@tried_on(
    supported=study_counts,
    refuted=counts(query=([100, 3, 100, 20], [45, 50, 50, 45])),
    open=counts(query=([100, 3, 100, 45], [45, 50, 50, 46]), spread=0.1),
    inside=counts(query=([100, 3, 100, 45], [45, 50, 50, 45.6]), spread=0.002, texts=80),
    outside=counts(query=([100, 3, 100, 45], [45, 50, 50, 46.4]), spread=0.002, texts=80),
)
def test_no_other_layer_has_more_massive_query_values_under_drope(massive_values, judge):
    """The same difference in every other layer that has massive values at all. Supported when no layer can have gained
    more than one channel (of a RoPE layer), refuted as soon as one layer has. One channel is one of Llama-2-7B's 4,096;
    of a smaller layer it is a larger share.
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
            note="; ".join(filter(None, (massive_values.describe_layer("query"), _rates(massive_values, layer)))),
        )
        for layer in layers
    ]
    judge.all_of(*(part.at_most(1) for part in parts))


@claim(
    "L3",
    source=f"{STUDY}, layer analysis",
    published="-0.53 % of a layer's channels",
    family="layers",
    figure="query_per_layer",
    training=True,
)
@tried_on(
    supported=study_counts,
    refuted=counts(query=([50, 3, 50, 50], [50, 50, 50, 50])),
    open=counts(query=([50, 3, 50, 50], [45, 50, 45, 44.6]), spread=0.1),
    # 0.25 % of 2048 channels are 5.12
    inside=counts(query=([50, 3, 50, 50], [44.6, 50, 44.6, 44.6]), spread=0.002, texts=80),
    outside=counts(query=([50, 3, 50, 50], [45.2, 50, 45.2, 45.2]), spread=0.002, texts=80),
)
def test_every_other_layer_loses_a_quarter_percent_of_its_query_channels(massive_values, judge):
    """Change of the Query count in all layers but layer 1, mean over layers, in percent of the channels of a layer,
    text by text.
    """
    massive_values.need_layers()
    massive_values.need("query", "rope")
    percent = 100 * massive_values.change_but_for("query", 1) / massive_values.channels("query")
    note = massive_values.describe_rates(("rope", "query"), ("drope", "query"))
    judge(percent, unit="% of a layer's channels", note=note).at_most(-0.25)


@claim(
    "V2",
    source="not claimed; Africa 2026's stored data",
    published="stored 40.6 % moved",
    family="layers",
    figure="value_per_layer",
    training=True,
)
@tried_on(
    supported=counts(),
    refuted=study_counts,  # the total is kept, but layers 0 and 1 swap
    open=counts(value=([60, 60, 0, 0], [48, 72, 0, 0])),
    inside=counts(value=([60, 60, 0, 0], [49.2, 70.8, 0, 0]), spread=0.002),
    outside=counts(value=([60, 60, 0, 0], [46.8, 73.2, 0, 0]), spread=0.002),
)
def test_value_keeps_its_massive_values_layer_by_layer(massive_values, judge):
    """Share of the Value count that sits in other layers under DroPE than under RoPE: half the sum of differences
    between the layers' shares, text by text. Which layers gain is told by the other texts, so that noise adds nothing.
    """
    massive_values.need_layers()
    massive_values.need("value", "rope", least=20)
    massive_values.need("value", "drope", least=20)
    judge(massive_values.moved_share("value"), unit="% of the count moved").at_most(10)


def _rates(massive_values, layer: int) -> str:
    return massive_values.describe_rates(("rope", "query"), ("drope", "query"), layer=layer)


def _other_layers(counts: np.ndarray) -> list[int]:
    return [layer for layer in range(counts.shape[1]) if layer != 1]
