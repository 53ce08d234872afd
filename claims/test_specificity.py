"""Whether massive channels matter for what they are, or as any channels that are as large."""

import pytest

from fixtures.claim import claim, tried_on
from fixtures.planted import specificity
from lib.judging import NoSubject, crossed, ratio

EACH_ARM = pytest.mark.parametrize("arm", ["rope", "drope"])
STEADY = {"spread": 0.001, "draw_spread": 0.001}
ZEROED, AVERAGED = "zeroed", "put to their mean"


@EACH_ARM
@claim("D6", source="control of Africa 2026", published="not measured", family="specificity", figure="specificity")
@tried_on(
    supported=specificity((4.2, 1.5), (3.0, 1.0), (3.5, 1.0)),
    refuted=specificity((4.2, 0.6), (3.0, 1.1), (3.5, 0.4)),
    open=specificity((3.0, 1.0), (3.0, 1.0), (2.0, 0.5)),
    inside={
        ZEROED: specificity((3.01, 1.5), (3.0, 1.0), (3.5, 1.6), **STEADY),
        AVERAGED: specificity((4.2, 1.01), (3.0, 1.0), (4.3, 1.1), **STEADY),
    },
    outside={
        ZEROED: specificity((2.99, 1.5), (3.0, 1.0), (2.5, 1.4), **STEADY),
        AVERAGED: specificity((4.2, 0.99), (3.0, 1.0), (4.1, 0.9), **STEADY),
    },
)
def test_massive_channels_matter_more_than_the_next_largest(specificity, judge, arm):
    """Rise of a held-out text's loss with the massive Query and Key channels replaced, minus that with as many of the
    largest that are not massive; with all of them zeroed, and with all put to their means over the counting texts.
    """
    specificity.need(arm)
    judge.all_of(
        *(
            judge.part(
                specificity.nats(arm, "massive", value) - specificity.nats(arm, "next", value),
                of=2,
                unit="nats per token",
                label=f"{how}: massive - next-largest",
                note=specificity.compare(arm, "next-largest", value),
            ).above(0)
            for value, how in (("zero", ZEROED), ("mean", AVERAGED))
        )
    )


@EACH_ARM
@claim("D7", source="control of Africa 2026", published="not measured", family="specificity", figure="specificity")
@tried_on(
    supported=specificity((4.2, 1.5), (3.0, 1.0), (3.5, 1.0)),
    refuted=specificity((3.0, 1.5), (2.0, 1.0), (3.5, 1.0)),
    open=specificity((3.5, 1.0), (3.0, 0.5), (3.5, 1.0)),
    inside={
        ZEROED: specificity((3.51, 1.5), (3.6, 1.6), (3.5, 1.0), **STEADY),
        AVERAGED: specificity((4.2, 1.01), (4.3, 1.1), (3.0, 1.0), **STEADY),
    },
    outside={
        ZEROED: specificity((3.49, 1.5), (3.4, 1.4), (3.5, 1.0), **STEADY),
        AVERAGED: specificity((4.2, 0.99), (4.1, 0.9), (3.0, 1.0), **STEADY),
    },
)
def test_massive_channels_matter_more_than_random_ones_of_equal_energy(specificity, judge, arm):
    """Rise of a held-out text's loss with the massive Query and Key channels replaced, minus that with random ones that
    hold as much energy in their layer; zeroed, and put to their means over the counting texts. Texts and draws are both
    random: what a single draw adds to all texts is no finding.
    """
    specificity.need(arm)
    judge.all_of(
        *(
            judge.part(
                crossed(specificity.nats(arm, "massive", value)[:, None] - specificity.drawn(arm, value)),
                of=2,
                unit="nats per token",
                label=f"{how}: massive - equal energy",
                note=specificity.compare(arm, "random", value),
            ).above(0)
            for value, how in (("zero", ZEROED), ("mean", AVERAGED))
        )
    )


@EACH_ARM
@claim(
    "D5",
    source="Parodi 2026; control of Africa 2026",
    published="not measured",
    family="specificity",
    figure="specificity",
)
@tried_on(
    supported=specificity((4.0, 3.5), (3.0, 1.0), (3.5, 1.0)),
    refuted=specificity((4.0, 0.4), (3.0, 1.0), (3.5, 1.0)),
    open=specificity((4.0, 2.0), (3.0, 1.0), (3.5, 1.0)),
    inside=specificity((4.0, 2.03), (3.0, 1.0), (3.5, 1.0), **STEADY),
    outside=specificity((4.0, 1.97), (3.0, 1.0), (3.5, 1.0), **STEADY),
)
def test_at_least_half_of_the_damage_stays_when_channels_are_put_to_their_mean(specificity, judge, arm):
    """Rise of a held-out text's loss with the massive Query and Key channels put to their means over the counting
    texts, in percent of that with them zeroed: a ratio of means over texts. What the mean restores was no more than an
    offset that is the same in every text.
    """
    specificity.need(arm)
    zeroed = specificity.nats(arm, "massive", "zero")
    if zeroed.mean() <= 0:
        raise NoSubject(f"zeroing the massive channels costs the {arm} arm {zeroed.mean():.3g} nats: nothing can stay")
    judge(ratio(specificity.nats(arm, "massive", "mean"), zeroed), unit="% of the damage").at_least(50)
