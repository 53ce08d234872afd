"""Attention sinks: how many heads give the first position much of their attention, and whether its content matters."""

import pytest

from fixtures.claim import claim, tried_on
from fixtures.planted import sinks
from lib.definitions import OTHERS

GU = "Gu et al. 2025"
EACH_ARM = pytest.mark.parametrize("arm", ["rope", "drope"])
EACH_OTHER = pytest.mark.parametrize("other", OTHERS)


@EACH_OTHER
@claim(
    "Z1",
    source="Africa 2026, experiment 4; Xiao et al. 2024",
    published={"drope": "97.8 v 95.6 % of heads", "dropped": "not measured", "continued": "not measured"},
    training=("drope", "continued"),
    family="sinks",
    figure="sink_rates",
)
@tried_on(
    supported=sinks(rate=80, drope={"rate": 79}),
    refuted=sinks(rate=80, drope={"rate": 40}),
    open=sinks(rate=80, drope={"rate": 76}, spread=5),
    inside=sinks(rate=80, drope={"rate": 75.5}, spread=0.3),
    outside=sinks(rate=80, drope={"rate": 74.5}, spread=0.3),
)
def test_as_many_heads_are_sinks_with_and_without_rotation(sinks, judge, other):
    """Share of heads that give the first of 64 tokens at least 0.3 of their attention, mean over positions, in another
    arm minus that in the RoPE arm, text by text. Beginnings of texts.
    """
    sinks.need("rope", other)
    note = "; ".join([sinks.describe("rope"), sinks.describe(other), sinks.chance("rope")])
    judge(sinks.rate(other, "texts") - sinks.rate("rope", "texts"), unit="% of heads", note=note).within(-5, 5)


@EACH_ARM
@claim("Z2", source=GU, published="the sink disappears", family="sinks", figure="sink_rates")
@tried_on(
    supported=sinks(repeated=2),
    refuted=sinks(repeated=60),
    open=sinks(repeated=10, spread=5),
    inside=sinks(repeated=9),
    outside=sinks(repeated=11),
)
def test_no_head_is_a_sink_where_one_token_is_repeated(sinks, judge, arm):
    """Share of heads that are sinks where all 64 tokens are the same, which is drawn anew for every text: what is first
    is then first by its position alone.
    """
    sinks.need(arm)
    judge(sinks.rate(arm, "repeated"), unit="% of heads", note=f"{sinks.describe(arm)}; {sinks.chance(arm)}").below(10)


@EACH_ARM
@claim("Z3", source=GU, published="the first key is small", family="sinks", figure="sink_rates")
@tried_on(
    supported=sinks(key=0.5),
    refuted=sinks(key=1.0),
    open=sinks(key=0.7, spread=5),
    inside=sinks(key=0.69, spread=0.5),
    outside=sinks(key=0.71, spread=0.5),
)
def test_the_first_key_is_smaller_than_the_others(sinks, judge, arm):
    """Norm of the first position's Key over the mean norm of the others', as attention receives them, mean over all
    layers and heads, text by text. Beginnings of texts of 64 tokens.
    """
    values = sinks.norm_ratio(arm, "value").mean()
    judge(sinks.norm_ratio(arm), unit="of the others' norm", note=f"values: {values:.3g}").at_most(0.7)
