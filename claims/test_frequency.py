"""Which rotary frequencies massive values belong to."""

import pytest


@pytest.mark.parametrize("name", ["query", "key"])
@pytest.mark.claim("F1", source="Jin et al. 2025", published="nearly all", family="frequency", figure="slow_share")
def test_massive_channels_sit_in_the_slow_half_of_the_rotary_pairs(rope_values, judge, name):
    """Share of the RoPE arm's massive channels that belong to the slower half of the rotary pairs, text by text."""
    rope_values.need(name, "rope")
    judge(rope_values.slow_share("rope", name), unit="% in the slow half").at_least(80)
