"""How many massive values there are: the study's table 1."""

import pytest

from fixtures.claim import claim, tried_on
from fixtures.planted import EACH_100, EACH_250, counts, per, to
from fixtures.planted.subjects import study_counts
from lib.judging import difference_of_ratios

STUDY = "Africa 2026"


@claim("Q1", source=f"{STUDY}, massive values", published="-38.9 %", family="counts", figure="counts", training=True)
@tried_on(
    supported=study_counts,
    refuted=counts(query=([100, 3, 100, 100], [80, 50, 80, 80])),
    open=counts(query=([100, 3, 100, 100], [54, 50, 54, 54]), spread=0.05),
    inside=counts(query=(EACH_250, to(695)), spread=0.002),
    outside=counts(query=(EACH_250, to(705)), spread=0.002),
)
def test_query_loses_at_least_30_percent_of_its_massive_values(massive_values, judge):
    """Massive Query channels are counted over all layers in both arms; the change of the mean count from RoPE to DroPE,
    in percent of RoPE's. Where the arms have different shapes it is that of the share of channels.
    """
    massive_values.need("query", "rope", least=20)
    note = massive_values.describe_rates(("rope", "query"), ("drope", "query"))
    judge(massive_values.change("query"), unit="% of the count", note=note).at_most(-30)


@claim("K1", source=f"{STUDY}, massive values", published="-11.0 %", family="counts", figure="counts", training=True)
@tried_on(
    supported=study_counts,
    refuted=counts(key=(EACH_100, to(440))),
    open=counts(key=(EACH_100, EACH_100), spread=0.05),
    inside={
        "key loses some": counts(key=(EACH_100, to(398)), spread=0.002),
        "key loses less than query": counts(query=(EACH_250, to(885)), key=(EACH_100, to(356)), spread=0.002),
    },
    outside={
        "key loses some": counts(key=(EACH_100, to(402)), spread=0.002),
        "key loses less than query": counts(query=(EACH_250, to(895)), key=(EACH_100, to(356)), spread=0.002),
    },
)
def test_key_loses_some_massive_values_and_fewer_than_query(massive_values, judge):
    """Percent change of the mean Key count, and how many points it lies above Query's. Both must hold."""
    massive_values.need("key", "rope", least=20)
    massive_values.need("query", "rope", least=20)
    key, query = massive_values.change("key"), massive_values.change("query")
    note = massive_values.describe_rates(*((arm, name) for name in ("key", "query") for arm in ("rope", "drope")))
    judge.all_of(
        judge.part(key, of=2, unit="% of the count", label="key", note=note).below(0),
        judge.part(difference_of_ratios(key, query), of=2, unit="points", label="key - query", note=note).above(0),
    )


@claim("V1", source=f"{STUDY}, massive values", published="+1.5 %", family="counts", figure="counts", training=True)
@tried_on(
    supported=study_counts,
    refuted=counts(value=([40, 40, 5, 5], [30, 30, 5, 5])),
    open=counts(value=([40, 40, 5, 5], [44, 44, 5.5, 5.5]), spread=0.05),
    inside={
        "value gains at most 10 %": counts(value=(EACH_100, to(438)), spread=0.002),
        "value loses at most 10 %": counts(value=(EACH_100, to(362)), spread=0.002),
    },
    outside={
        "value gains at most 10 %": counts(value=(EACH_100, to(442)), spread=0.002),
        "value loses at most 10 %": counts(value=(EACH_100, to(358)), spread=0.002),
    },
)
def test_value_keeps_its_number_of_massive_values(massive_values, judge):
    """Percent change of the mean Value count over all layers, judged as equivalence: both bounds must lie within the
    margin.
    """
    massive_values.need("value", "rope", least=20)
    note = massive_values.describe_rates(("rope", "value"), ("drope", "value"))
    judge(massive_values.change("value"), unit="% of the count", note=note).within(-10, 10)


@pytest.mark.parametrize("name", ["query", "key"])
@claim(
    "A1",
    source="Jin et al. 2025; Africa 2026",
    published="+779.5 (query, 8.5 x), +800.8 (key, 8.6 x)",
    family="counts",
    figure="counts",
)
@tried_on(
    supported=study_counts,
    refuted=per("name", query=counts(value=([40, 40, 10, 10],) * 2), key=counts(value=([60, 60, 10, 10],) * 2)),
    open=per(
        "name",
        query=counts(query=([90, 90, 90, 90], [45, 50, 50, 45]), spread=0.05),
        key=counts(key=(to(360), to(320)), spread=0.05),
    ),
    inside=per(
        "name",
        query=counts(query=(to(410), EACH_100), value=(to(100), to(100)), spread=0.002),
        key=counts(key=(to(410), EACH_100), value=(to(100), to(100)), spread=0.002),
    ),
    outside=per(
        "name",
        query=counts(query=(to(390), EACH_100), value=(to(100), to(100)), spread=0.002),
        key=counts(key=(to(390), EACH_100), value=(to(100), to(100)), spread=0.002),
    ),
)
def test_query_and_key_have_four_times_as_many_as_value(rope_values, judge, name):
    """Count of this tensor minus four times that of Value in the RoPE arm, text by text: a ratio judged as a
    difference, so that nothing is divided by zero. Where Value has other channels (grouped heads), both are taken in
    percent of their own.
    """
    rope_values.need(name, "rope")
    alike = rope_values.alike("rope", name, "value")
    number, unit = (rope_values.totals, "") if alike else (rope_values.rates, ", % of channels")
    surplus = number("rope", name) - 4 * number("rope", "value")
    note = rope_values.describe_rates(("rope", name), ("rope", "value"))
    judge(surplus, unit=f"{name} - 4 x value{unit}", note=note).at_least(0)
