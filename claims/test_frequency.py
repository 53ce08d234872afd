"""Which rotary frequencies massive values belong to, and which are missed more."""

import pytest

from fixtures.claim import claim, tried_on
from fixtures.planted import EACH_100, bands, counts, per
from fixtures.planted.records import scatter

INSIDE, OUTSIDE = (share + scatter(20, spread=0.005, seed=0) for share in (0.81, 0.79))
"""Shares in the slow half, of 20 texts, on the two sides of the threshold."""


@pytest.mark.parametrize("name", ["query", "key"])
@claim("F1", source="Jin et al. 2025", published="nearly all", family="frequency", figure="slow_share")
@tried_on(
    supported=counts(),
    refuted=counts(slow=0.5),
    open=counts(slow=0.8 + scatter(20, spread=0.05, seed=0)),
    inside=per(
        "name",
        query=counts(query=(EACH_100, EACH_100), slow=INSIDE, spread=0.002),
        key=counts(slow=INSIDE, spread=0.002),
    ),
    outside=per(
        "name",
        query=counts(query=(EACH_100, EACH_100), slow=OUTSIDE, spread=0.002),
        key=counts(slow=OUTSIDE, spread=0.002),
    ),
)
def test_massive_channels_sit_in_the_slow_half_of_the_rotary_pairs(rope_values, judge, name):
    """Share of the RoPE arm's massive channels that belong to the slower half of the rotary pairs, text by text."""
    rope_values.need(name, "rope", least=20)
    judge(rope_values.slow_share("rope", name, least=20), unit="% in the slow half").at_least(80)


@claim("F2", source="Jin et al. 2025", published="said of low frequencies", family="frequency", figure="bands")
@tried_on(
    supported=bands(0.5, 0.1),
    refuted=bands(0.1, 0.5),
    open=bands(0.1, 0.1),
    inside=bands(0.502, 0.5, spread=0.001),
    outside=bands(0.498, 0.5, spread=0.001),
)
def test_zeroing_slow_channels_hurts_more_than_zeroing_as_many_fast_ones(bands, judge):
    """Loss of a held-out text of the RoPE arm with the largest channels of the slower half of the rotary pairs zeroed,
    minus that with as many of the faster half: in every layer that rotates, and in Query and Key each, as many as are
    massive there. The largest are those of the counting texts.
    """
    bands.need()
    slow, fast = bands.nats("slow"), bands.nats("fast")
    note = f"slow {slow.mean():+.3g} nats, fast {fast.mean():+.3g} nats, {bands.zeroed('slow')} channels of each zeroed"
    judge(slow - fast, unit="nats per token", note=note).above(0)
