"""Massive activations: a few values of the residual stream that are the same in every text, and what they are worth."""

import pytest

from fixtures.claim import claim, tried_on
from fixtures.planted import modules, stream

SUN = "Sun et al. 2024; Owen et al. 2025"
EACH_ARM = pytest.mark.parametrize("arm", ["rope", "drope"])
IN_PLACE, STEADY = "in place in 90 % of texts", "varies by 10 % at most"
ZEROED, AVERAGED, RANDOM = "zeroed", "put to their mean", "others zeroed"
WORTH = {"massive zeroed": 9.0, "massive at mean": 0.0, "random zeroed": 0.0}
EXACT = {"spread": 0.002}


@EACH_ARM
@claim("M1", source=SUN, published="up to 100,000 times the median", family="activations", figure="stream_norms")
@tried_on(
    supported=stream(times=5),
    refuted=stream(times=0.4),
    open=stream(times=1, varies=0.2),
    inside=stream(times=1.1),
    outside=stream(times=0.9),
)
def test_the_stream_holds_massive_activations(stream, judge, arm):
    """The largest value of a text's residual stream, over the lower one of two limits that it must both reach: 100, and
    1000 times the median magnitude behind the same layer; in the layer where it reaches most.
    """
    judge(stream.times_the_limits(arm), unit="times the limits").at_least(1)


@EACH_ARM
@claim("M2", source=SUN, published="few, at fixed places, constant", family="activations", figure="stream_norms")
@tried_on(
    supported=stream(),
    refuted=stream(misplaced=0.9),
    open=stream(misplaced=0.1),
    inside={IN_PLACE: stream(misplaced=0.0), STEADY: stream(varies=0.095)},
    outside={IN_PLACE: stream(misplaced=0.6), STEADY: stream(varies=0.105)},
)
def test_massive_activations_are_few_and_alike_in_every_text(stream, judge, arm):
    """Share of texts in which all massive activations sit in at most four dims, at the first position or a delimiter;
    and how far their values lie from the mean over texts, in percent of it, behind the layer at which they appear.
    """
    stream.activations(arm)
    judge.all_of(
        judge.part(stream.placed(arm), of=2, unit="% of texts", label=IN_PLACE).at_least(90),
        judge.part(stream.deviation(arm), of=2, unit="% of the mean", label=STEADY, note=stream.describe(arm)).at_most(
            10
        ),
    )


@EACH_ARM
@claim(
    "M3",
    source=SUN,
    published="zeroed: it breaks; at their mean: no change",
    family="activations",
    figure="modules",
)
@tried_on(
    supported=modules(WORTH),
    refuted=modules({**WORTH, "massive zeroed": 0.2}),
    open=modules({**WORTH, "massive zeroed": 1.0}),
    inside={
        ZEROED: modules({**WORTH, "massive zeroed": 1.02}, **EXACT),
        AVERAGED: modules({**WORTH, "massive at mean": 0.045}, **EXACT),
        RANDOM: modules({**WORTH, "random zeroed": 0.045}, **EXACT),
    },
    outside={
        ZEROED: modules({**WORTH, "massive zeroed": 0.98}, **EXACT),
        AVERAGED: modules({**WORTH, "massive at mean": 0.055}, **EXACT),
        RANDOM: modules({**WORTH, "random zeroed": 0.055}, **EXACT),
    },
)
def test_massive_activations_are_needed_and_carry_nothing_of_the_text(modules, judge, arm):
    """Rise of a held-out text's loss with its massive activations replaced behind the layer at which they appear: by
    zero, and by their mean over the counting texts; and with as many random values at the same positions zeroed.
    """
    note = f"{modules.replaced(arm):.3g} values of a text"
    parts = {name: modules.nats(arm, name) for name in ("massive zeroed", "massive at mean", "random zeroed")}
    zeroed, averaged, random = (
        judge.part(nats, of=3, unit="nats per token", label=label, note=note)
        for nats, label in zip(parts.values(), (ZEROED, AVERAGED, RANDOM), strict=True)
    )
    judge.all_of(zeroed.at_least(1), averaged.at_most(0.05), random.at_most(0.05))
