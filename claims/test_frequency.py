"""Which rotary frequencies massive values belong to, and which are missed more."""

import pytest


@pytest.mark.parametrize("name", ["query", "key"])
@pytest.mark.claim("F1", source="Jin et al. 2025", published="nearly all", family="frequency", figure="slow_share")
def test_massive_channels_sit_in_the_slow_half_of_the_rotary_pairs(rope_values, judge, name):
    """Share of the RoPE arm's massive channels that belong to the slower half of the rotary pairs, text by text."""
    rope_values.need(name, "rope")
    judge(rope_values.slow_share("rope", name), unit="% in the slow half").at_least(80)


@pytest.mark.claim(
    "F2", source="Jin et al. 2025", published="said of low frequencies", family="frequency", figure="bands"
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
