"""The registry says what the claim tests say, and every threshold is where it was set beforehand."""

import inspect
from collections import Counter
from functools import partial

import pytest

from fixtures.planted.records import scatter
from fixtures.planted.subjects import (
    bands,
    both_sites,
    by_kind,
    course,
    disruption,
    each_arm,
    massive_values,
    ranked,
    uneven,
    with_third,
    worth,
)
from fixtures.plugin import registry
from fixtures.plugin.registry import registered
from fixtures.plugin.trial import claim_tests, run
from lib.judging.verdicts import ClaimRefuted

pytestmark = pytest.mark.cpu
EVEN = [100, 100, 100, 100]
QUERY = [250, 250, 250, 250]
counts = partial(massive_values, spread=0.002)
losses = partial(each_arm, spread=0.001, control_spread=0.0005)


def to(total: float) -> list[float]:
    """Four layers that hold `total` massive values together."""
    return [total / 4] * 4


def arms(*, rope: float, drope: float):
    """Rises of the two arms in nats, hardly varying over texts."""
    return disruption(rope={"massive": rope, "spread": 0.001}, drope={"massive": drope, "spread": 0.001})


def third(arm: str, third_query: list[float], third_key: list[float] = EVEN, **changed):
    """Counts of both arms and a third one, hardly varying over texts."""
    return with_third(arm, third_query, third_key, spread=0.002, **changed)


counted, scored, compared = partial(partial, counts), partial(partial, losses), partial(partial, arms)

# claim, records just inside its threshold, records just outside it
THRESHOLDS = {
    "query loses 30 %": ("Q1", counted(query=(QUERY, to(695))), counted(query=(QUERY, to(705)))),
    "key loses some": ("K1", counted(key=(EVEN, to(398))), counted(key=(EVEN, to(402)))),
    "key loses less than query": (
        "K1",
        counted(query=(QUERY, to(885)), key=(EVEN, to(356))),
        counted(query=(QUERY, to(895)), key=(EVEN, to(356))),
    ),
    "value gains at most 10 %": ("V1", counted(value=(EVEN, to(438))), counted(value=(EVEN, to(442)))),
    "value loses at most 10 %": ("V1", counted(value=(EVEN, to(362))), counted(value=(EVEN, to(358)))),
    "query has 4 x value": (
        "A1[query]",
        counted(query=(to(410), EVEN), value=(to(100),) * 2),
        counted(query=(to(390), EVEN), value=(to(100),) * 2),
    ),
    "key has 4 x value": (
        "A1[key]",
        counted(key=(to(410), EVEN), value=(to(100),) * 2),
        counted(key=(to(390), EVEN), value=(to(100),) * 2),
    ),
    "layer 1 gains": (
        "L1",
        counted(query=([100, 50, 100, 100], [45, 51, 50, 45])),
        counted(query=([100, 50, 100, 100], [45, 49, 50, 45])),
    ),
    "no other layer gains more than 1": (
        "L2",
        counted(query=([100, 3, 100, 45], [45, 50, 50, 45.6]), texts=80),
        counted(query=([100, 3, 100, 45], [45, 50, 50, 46.4]), texts=80),
    ),
    "other layers lose 0.25 % of 2048 channels, 5.12": (
        "L3",
        counted(query=([50, 3, 50, 50], [44.6, 50, 44.6, 44.6]), texts=80),
        counted(query=([50, 3, 50, 50], [45.2, 50, 45.2, 45.2]), texts=80),
    ),
    "10 % of value moves": (
        "V2",
        counted(value=([60, 60, 0, 0], [49.2, 70.8, 0, 0])),
        counted(value=([60, 60, 0, 0], [46.8, 73.2, 0, 0])),
    ),
    "counts vary by 10 % over texts": (
        "S1[drope-query]",
        partial(massive_values, spread=0.08, texts=100),
        partial(massive_values, spread=0.13, texts=100),
    ),
    "80 % of query are slow": (
        "F1[query]",
        counted(query=(EVEN, EVEN), slow=0.81 + scatter(20, spread=0.005, seed=0)),
        counted(query=(EVEN, EVEN), slow=0.79 + scatter(20, spread=0.005, seed=0)),
    ),
    "80 % of key are slow": (
        "F1[key]",
        counted(slow=0.81 + scatter(20, spread=0.005, seed=0)),
        counted(slow=0.79 + scatter(20, spread=0.005, seed=0)),
    ),
    "slow costs more than fast": (
        "F2",
        partial(bands, 0.502, 0.5, spread=0.001),
        partial(bands, 0.498, 0.5, spread=0.001),
    ),
    "massive costs 0.1 nats more than control": (
        "D1[rope]",
        scored(massive=0.116, controls=[0.006] * 10),
        scored(massive=0.104, controls=[0.006] * 10),
    ),
    "and 10 x control": (
        "D1[drope]",
        scored(massive=1.12, controls=[0.1] * 10),
        scored(massive=1.08, controls=[0.1] * 10),
    ),
    "and 10 x control where control is a gain": (
        "D1[rope]",
        scored(massive=0.92, controls=[-0.1] * 10),
        scored(massive=0.88, controls=[-0.1] * 10),
    ),
    "and more than every single control": (
        "D1[drope]",
        scored(massive=0.5, controls=[-0.06] * 5 + [-0.038] * 5 + [0.49]),
        scored(massive=0.5, controls=[-0.06] * 5 + [-0.042] * 5 + [0.51]),
    ),
    "control costs at most 0.05 nats": (
        "D2[rope]",
        scored(massive=7, controls=[0.045] * 10),
        scored(massive=7, controls=[0.055] * 10),
    ),
    "control gains at most 0.05 nats": (
        "D2[drope]",
        scored(massive=7, controls=[-0.045] * 10),
        scored(massive=7, controls=[-0.055] * 10),
    ),
    "rope is hurt twice as much": ("D3", compared(rope=2.05, drope=1), compared(rope=1.95, drope=1)),
    "rope is hurt at all": ("D3", compared(rope=0.01, drope=-1), compared(rope=-0.01, drope=-1)),
    "one kind is hurt 1.5 x another": (
        "D4[rope]",
        scored(massive=by_kind(145, 100, 120)),
        scored(massive=by_kind(155, 100, 120)),
    ),
    "whichever kind it is": (
        "D4[drope]",
        scored(massive=by_kind(100, 110, 145)),
        scored(massive=by_kind(100, 110, 155)),
    ),
    "dropping gains query at most 10 %": (
        "O1[query]",
        partial(third, "dropped", to(1090), query=(QUERY, QUERY)),
        partial(third, "dropped", to(1110), query=(QUERY, QUERY)),
    ),
    "dropping loses key at most 10 %": (
        "O1[key]",
        partial(third, "dropped", QUERY, to(364), key=(EVEN, EVEN)),
        partial(third, "dropped", QUERY, to(356), key=(EVEN, EVEN)),
    ),
    "row norms of query agree by 0.5": ("O2[query]", partial(ranked, 0.54), partial(ranked, 0.5)),
    "row norms of key agree by 0.5": ("O2[key]", partial(ranked, 0.54), partial(ranked, 0.5)),
    "rescaling gains query at most 10 %": (
        "X1[yarn]",
        partial(third, "yarn", to(1090), query=(QUERY, QUERY)),
        partial(third, "yarn", to(1110), query=(QUERY, QUERY)),
    ),
    "rescaling loses query at most 10 %": (
        "X1[linear]",
        partial(third, "linear", to(910), query=(QUERY, QUERY)),
        partial(third, "linear", to(890), query=(QUERY, QUERY)),
    ),
    "the rotation loses 10 % of query": (
        "X2[query]",
        partial(both_sites, query=(EVEN, to(356)), spread=0.002),
        partial(both_sites, query=(EVEN, to(364)), spread=0.002),
    ),
    "the rotation gains 10 % of key": (
        "X2[key]",
        partial(both_sites, key=(EVEN, to(444)), spread=0.002),
        partial(both_sites, key=(EVEN, to(436)), spread=0.002),
    ),
    "query falls": ("R1", partial(course, 152, 150, 148, spread=0.002), partial(course, 148, 150, 152, spread=0.002)),
    "reliance falls": ("R2", partial(worth, 1.0, 0.99, 0.98), partial(worth, 0.98, 0.99, 1.0)),
    "drope loses 10 points more than continued": (
        "R3",
        partial(third, "continued", to(805), query=(QUERY, to(695))),
        partial(third, "continued", to(795), query=(QUERY, to(705))),
    ),
    "the Gini coefficient falls by 0.02": ("R4", partial(uneven, 22.6, 20), partial(uneven, 21.5, 20)),
}
every_threshold = pytest.mark.parametrize(
    ("claim", "inside", "outside"), list(THRESHOLDS.values()), ids=list(THRESHOLDS)
)


@every_threshold
def test_just_inside_its_threshold_a_claim_is_supported(claim, inside, outside):
    assert run(claim, inside()).verdict == "supported"


@every_threshold
def test_just_outside_its_threshold_a_claim_is_refuted(claim, inside, outside):
    with pytest.raises(ClaimRefuted):
        run(claim, outside())


def test_every_claim_has_its_thresholds_tried():
    assert {claim.split("[")[0] for claim, _, _ in THRESHOLDS.values()} == {c.split("[")[0] for c in registered()}


def test_registry_and_claim_tests_name_the_same_claims():
    assert set(registered()) == set(claim_tests())


@pytest.mark.parametrize("claim", registered())
def test_a_claim_is_registered_in_the_family_its_test_names(claim):
    _, _, marker = claim_tests()[claim]
    assert marker.kwargs["family"] == registered()[claim]["family"]


@pytest.mark.parametrize("claim", registered())
def test_a_claim_says_where_it_is_from_and_what_was_published(claim):
    _, _, marker = claim_tests()[claim]
    assert set(marker.kwargs) == {"source", "published", "family", "figure"}
    assert all(marker.kwargs.values())


@pytest.mark.parametrize("claim", registered())
def test_a_claim_says_how_it_is_measured(claim):
    function, _, _ = claim_tests()[claim]
    assert len(inspect.getdoc(function)) > 60


def test_the_claims_of_a_family_share_five_percent_equally():
    sizes = Counter(entry["family"] for entry in registered().values())
    assert sizes == {
        "counts": 5,
        "layers": 4,
        "stability": 6,
        "frequency": 3,
        "disruption": 7,
        "origin": 4,
        "rescaling": 4,
        "sites": 2,
        "recalibration": 4,
    }
    for entry in registered().values():
        assert entry["alpha"] == pytest.approx(0.05 / sizes[entry["family"]])


def test_a_claim_listed_twice_is_an_error(tmp_path, monkeypatch):
    file = tmp_path / "registry.toml"
    file.write_text('[a]\nlevel = 0.05\ntests = ["X1"]\n[b]\nlevel = 0.05\ntests = ["X1"]\n')
    monkeypatch.setattr(registry, "FILE", file)
    with pytest.raises(ValueError, match="X1 is listed twice"):
        registered.__wrapped__()
