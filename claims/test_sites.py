"""Where states are read: before the rotation (Africa 2026) or as attention receives them (Jin et al. 2025)."""

from collections.abc import Callable

import pytest

from fixtures.claim import claim, tried_on
from fixtures.planted import EACH_100, both_sites, per, to
from lib.effects import AFTER, BEFORE, describe_pairs, where_it_rotates


def _at_attention(total: float) -> Callable:
    """400 massive values before the rotation, and this total at attention."""
    return per(
        "name",
        query=both_sites(query=(EACH_100, to(total)), spread=0.002),
        key=both_sites(key=(EACH_100, to(total)), spread=0.002),
    )


@pytest.mark.parametrize("name", ["query", "key"])
@claim("X2", source="Jin et al. 2025 v Africa 2026", published="not compared", family="sites", figure="sites")
@tried_on(
    # the rotation moves a channel over the threshold or under it, on whichever side the count comes out
    supported=per("name", query=both_sites(query=(EACH_100, to(280))), key=both_sites(key=(EACH_100, to(520)))),
    refuted=per("name", query=both_sites(query=(EACH_100, to(388))), key=both_sites(key=(EACH_100, to(412)))),
    open=per(
        "name",
        query=both_sites(query=(EACH_100, to(360)), spread=0.05),
        key=both_sites(key=(EACH_100, to(440)), spread=0.05),
    ),
    inside={
        "the rotation loses 10 %": _at_attention(356),
        "the rotation gains 10 %": _at_attention(444),
    },
    outside={
        "the rotation loses 10 %": _at_attention(364),
        "the rotation gains 10 %": _at_attention(436),
    },
)
def test_the_count_at_attention_is_another_than_before_the_rotation(both_sites, judge, name):
    """Massive channels of the RoPE arm in the layers that rotate: how many percent the mean count at attention lies
    above the count right before the rotation; supported on either side. The rotation spreads a channel over its pair;
    the norm of the pair it cannot change.
    """
    found = where_it_rotates(both_sites)
    found.need(name, BEFORE, least=20)
    judge(found.change(name, AFTER), unit="% at attention", note=describe_pairs(found, name)).outside(-10, 10)
