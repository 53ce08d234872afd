"""Where states are read: before the rotation (Africa 2026) or as attention receives them (Jin et al. 2025)."""

import pytest

from lib.effects.before_after import AFTER, BEFORE, pairs_said, where_it_rotates


@pytest.mark.parametrize("name", ["query", "key"])
@pytest.mark.claim(
    "X2", source="Jin et al. 2025 v Africa 2026", published="not compared", family="sites", figure="sites"
)
def test_the_count_at_attention_is_another_than_before_the_rotation(both_sites, judge, name):
    """Massive channels of the RoPE arm in the layers that rotate: how many percent the count at attention lies above or
    below the count right before the rotation, text by text, whatever the side. The rotation spreads a channel over its
    pair; the norm of the pair it cannot change.
    """
    found = where_it_rotates(both_sites)
    found.need(name, BEFORE, AFTER)
    change = found.percent_change(name, AFTER)
    note = f"{change.mean():+.3g} % at attention; {pairs_said(found, name)}"
    judge(abs(change), unit="% apart, per text", note=note).at_least(10)
