"""Layer 1, and what its attention and its MLP add: whether DroPE rebuilds it, or dropping the rotation, or training."""

from math import log

import pytest

from fixtures.claim import claim, tried_on
from fixtures.planted import modules, stream
from lib.definitions import OTHERS

STUDY = "Africa 2026"
EACH_OTHER = pytest.mark.parametrize("other", OTHERS)
"""DroPE, and the two controls: the rotation dropped without training, and training without dropping it."""
DROPE = pytest.mark.parametrize("other", ["drope"])
TRAINED = ("drope", "continued")
BREAKS, SPARED = "RoPE breaks", "the other arm does not"
FIRST, SECOND = "layer 1", "layer 0"
MEAN, EACH = "mean over layers", "each layer"
EXACT = {"spread": 0.002}
BEFORE, AFTER = (50.0, 5.0, 35.0, 35.0), (10.0, 70.0, 35.0, 35.0)
"""Attention's share of what layers add, under RoPE and under DroPE, as the study has them."""


def of_drope(figure: str) -> dict[str, str]:
    """A figure that the study has of DroPE; it has none of the controls."""
    return {"drope": figure, "dropped": "not measured", "continued": "not measured"}


def _after(*share: float, **how) -> dict:
    return {"share": share, **how}


@EACH_OTHER
@claim(
    "B1",
    source=f"{STUDY}, experiment 4",
    published=of_drope("1249 v 1.00 times"),
    family="modules",
    figure="modules",
    training=TRAINED,
)
@tried_on(
    supported=modules({"mlp at first": 7.0}, {"mlp at first": 0.0}),
    refuted=modules({"mlp at first": 7.0}, {"mlp at first": 5.0}),
    open=modules({"mlp at first": log(100)}, {"mlp at first": 0.0}),
    inside={
        BREAKS: modules({"mlp at first": log(102)}, {"mlp at first": 0.0}, **EXACT),
        SPARED: modules({"mlp at first": 7.0}, {"mlp at first": 0.095}, **EXACT),
    },
    outside={
        BREAKS: modules({"mlp at first": log(98)}, {"mlp at first": 0.0}, **EXACT),
        SPARED: modules({"mlp at first": 7.0}, {"mlp at first": 0.105}, **EXACT),
    },
)
def test_only_rope_needs_what_the_mlp_writes_at_the_first_position(modules, judge, other):
    """Rise of a held-out text's loss with the MLP's output at the first position zeroed, in the spike layer of each
    arm: that behind which the norm of the first position grows most, in proportion to that of the others.
    """
    spikes = f"spike layer {modules.spike('rope')} under RoPE, {modules.spike(other)} under {modules.label(other)}"
    parts = {
        label: judge.part(modules.nats(arm, "mlp at first"), of=2, unit="nats per token", label=label, note=spikes)
        for arm, label in (("rope", BREAKS), (other, SPARED))
    }
    judge.all_of(parts[BREAKS].at_least(log(100)), parts[SPARED].at_most(0.1))


@EACH_OTHER
@claim(
    "B2",
    source=f"{STUDY}, experiments 8 and 9",
    published=of_drope("layer 1: 0.9 to 68.6 %; layer 0: 46.9 to 3.3 %"),
    family="modules",
    training=TRAINED,
    figure="module_shares",
)
@tried_on(
    supported=stream(share=BEFORE, drope=_after(*AFTER)),
    refuted=stream(share=BEFORE, drope=_after(*BEFORE)),
    open=stream(share=BEFORE, drope=_after(10, 35, 35, 35), spread=0.3),
    inside={
        FIRST: stream(share=BEFORE, drope=_after(10, 35.3, 35, 35), **EXACT),
        SECOND: stream(share=BEFORE, drope=_after(19.7, 70, 35, 35), **EXACT),
    },
    outside={
        FIRST: stream(share=BEFORE, drope=_after(10, 34.7, 35, 35), **EXACT),
        SECOND: stream(share=BEFORE, drope=_after(20.3, 70, 35, 35), **EXACT),
    },
)
def test_attention_takes_over_layer_1_and_leaves_layer_0(stream, judge, other):
    """Attention's share of what a layer adds to the residual stream (norms of attention's and of the MLP's output, mean
    over all positions) in another arm minus that under RoPE, text by text.
    """
    stream.need_layers(other, least=2)
    first, second = (
        judge.part(stream.gain(other, layer), of=2, unit="points", label=label, note=stream.without_first(other, layer))
        for layer, label in ((1, FIRST), (0, SECOND))
    )
    judge.all_of(first.at_least(30), second.at_most(-30))


@DROPE
@claim(
    "B3",
    source=f"{STUDY}, experiment 9",
    published="34.7 v 35.2 %; stored 34.6 v 36.0 %",
    family="modules",
    training=TRAINED,
    figure="module_shares",
)
@tried_on(
    supported=stream(share=BEFORE, drope=_after(10, 70, 36, 34)),
    refuted=stream(share=BEFORE, drope=_after(10, 70, 60, 60)),
    open=stream(share=BEFORE, drope=_after(10, 70, 40, 40), spread=0.3),
    inside={
        MEAN: stream(share=BEFORE, drope=_after(10, 70, 39.7, 39.7), **EXACT),
        EACH: stream(share=BEFORE, drope=_after(10, 70, 39.7, 30.3), **EXACT),
    },
    outside={
        MEAN: stream(share=BEFORE, drope=_after(10, 70, 40.3, 40.3), **EXACT),
        EACH: stream(share=BEFORE, drope=_after(10, 70, 40.3, 29.7), **EXACT),
    },
)
def test_from_layer_2_on_attention_keeps_its_share(stream, judge, other):
    """Attention's share of what a layer adds, in another arm minus that under RoPE: the mean over the layers from 2 on,
    and the mean distance of a layer, since layers that are apart in both directions did not stay.
    """
    stream.need_layers(other, least=3)
    gains = stream.gains(other)[:, 2:]
    judge.all_of(
        judge.part(gains.mean(1), of=2, unit="points", label=MEAN).within(-5, 5),
        judge.part(abs(gains).mean(1), of=2, unit="points", label=EACH).at_most(5),
    )


@EACH_OTHER
@claim(
    "B4",
    source=f"{STUDY}, experiment 8",
    published=of_drope("query 145 times, key 106 times"),
    family="modules",
    training=TRAINED,
    figure="state_norms",
)
@tried_on(
    supported=stream(drope={"lengths": (40, 4000, 40, 40)}),
    refuted=stream(drope={"lengths": (40, 80, 40, 40)}),
    open=stream(drope={"lengths": (40, 400, 40, 40)}),
    inside=stream(drope={"lengths": (40, 404, 40, 40)}, **EXACT),
    outside=stream(drope={"lengths": (40, 396, 40, 40)}, **EXACT),
)
def test_query_and_key_of_layer_1_grow_tenfold(stream, judge, other):
    """Norm of a position's Query and Key states in layer 1, all heads together, as the projections give them, mean over
    all positions: in another arm in percent of that under RoPE, each tensor on its own.
    """
    parts = {name: stream.times(other, name, 1) for name in ("query", "key")}
    note = stream.of_value(other, 1)
    judge.all_of(
        *(
            judge.part(times, of=2, unit="% of RoPE's", label=name, note=note).at_least(1000)
            for name, times in parts.items()
        )
    )


@EACH_OTHER
@claim(
    "B5",
    source=f"{STUDY}, experiment 6",
    published=of_drope("RoPE 1815 v 2.5 times, DroPE 202 v 201 times"),
    family="modules",
    training=TRAINED,
    figure="modules",
)
@tried_on(
    supported=modules({"mlp": 7.5, "attention": 0.9}, {"mlp": 5.3, "attention": 5.3}),
    refuted=modules({"mlp": 0.3, "attention": 3.0}, {"mlp": 5.3, "attention": 5.3}),
    open=modules({"mlp": 6.0, "attention": 1.0}, {"mlp": 5.3, "attention": 5.3}),
    inside={
        BREAKS: modules({"mlp": 6.0, "attention": 0.98}, {"mlp": 5.3, "attention": 5.3}, **EXACT),
        SPARED: modules({"mlp": 7.5, "attention": 0.9}, {"mlp": 5.3, "attention": 4.32}, **EXACT),
    },
    outside={
        BREAKS: modules({"mlp": 6.0, "attention": 1.02}, {"mlp": 5.3, "attention": 5.3}, **EXACT),
        SPARED: modules({"mlp": 7.5, "attention": 0.9}, {"mlp": 5.3, "attention": 4.28}, **EXACT),
    },
)
def test_layer_1_rests_on_its_mlp_under_rope_and_on_both_alike_otherwise(modules, judge, other):
    """Rise of a held-out text's loss with what the MLP of layer 1 adds zeroed, minus that with what its attention adds
    zeroed; under RoPE, and in another arm.
    """
    modules.need_layer("rope", other)
    parts = []
    for arm, label in (("rope", BREAKS), (other, SPARED)):
        mlp, attention = modules.nats(arm, "mlp"), modules.nats(arm, "attention")
        note = f"MLP {mlp.mean():.3g}, attention {attention.mean():.3g}, both {modules.nats(arm, 'both').mean():.3g}"
        parts.append(judge.part(mlp - attention, of=2, unit="nats per token", label=label, note=note))
    judge.all_of(parts[0].at_least(5), parts[1].within(-1, 1))


@DROPE
@claim(
    "B6",
    source=f"{STUDY}, experiment 5",
    published="4.12 v 3.39 times",
    family="modules",
    training=TRAINED,
    figure="modules",
)
@tried_on(
    supported=modules({"value at first": 1.4}, {"value at first": 1.3}),
    refuted=modules({"value at first": 1.4}, {"value at first": 4.0}),
    open=modules({"value at first": 1.4}, {"value at first": 2.1}),
    inside=modules({"value at first": 1.4}, {"value at first": 2.08}, **EXACT),
    outside=modules({"value at first": 1.4}, {"value at first": 2.12}, **EXACT),
)
def test_the_value_at_the_first_position_is_worth_as_much_with_and_without_rotation(modules, judge, other):
    """Rise of a held-out text's loss with the Value of the first position zeroed in all layers: in another arm in
    percent of that under RoPE, at most 1.5 times apart either way. Both in nats per token.
    """
    modules.need_same_tokens()
    judge(modules.compared(other, "value at first"), unit="% of RoPE's").within(100 / 1.5, 150)
