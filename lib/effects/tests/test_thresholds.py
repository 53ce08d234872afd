import json

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from fixtures.planted.turning import both_arms, judged, verdict
from lib.definitions.massive import massive_mask
from lib.definitions.words import NAMES, SCOPES
from lib.effects.counts import MassiveValues
from lib.effects.thresholds import THRESHOLDS, counts_at, curve

pytestmark = pytest.mark.cpu

examples = settings(deadline=None, max_examples=80, derandomize=True, database=None)
# norms whose multiples of the mean are often a threshold, to the last bit or one step of rounding beside it
norms = arrays(
    np.float32,
    array_shapes(min_dims=4, max_dims=4, max_side=5),
    elements=st.sampled_from([0.0, 1.0, 1 + 2**-23, 1 - 2**-24, 2.0, 3.0, 20.0]),
)


@pytest.fixture(scope="module")
def records():
    return both_arms()


@pytest.fixture(scope="module")
def found(records):
    return curve(records, judged)


@examples
@given(found=norms, scope=st.sampled_from(SCOPES), extra=st.lists(st.floats(1.01, 30), max_size=3))
def test_counts_are_exactly_those_of_the_mask_ties_included(found, scope, extra):
    thresholds = sorted({*THRESHOLDS, *extra, 1.125, 7 / 3, 20.0})
    counts = counts_at(found, thresholds, scope)
    for threshold, here in zip(thresholds, counts, strict=True):
        mask = massive_mask(found, threshold=threshold, scope=scope)
        np.testing.assert_array_equal(here, mask.sum((-2, -1)))


@pytest.mark.parametrize("scope", SCOPES)
def test_a_norm_at_the_threshold_is_not_counted(scope):
    found = np.zeros((1, 1, 1, 10), dtype=np.float32)
    found[..., :2] = 1  # the mean is 1/5
    assert counts_at(found, (4.75, 5.0, 5.25), scope).ravel().tolist() == [2, 0, 0]


def test_the_thresholds_go_from_2_to_10_in_quarters():
    assert THRESHOLDS[:2] == (2, 2.25)
    assert (THRESHOLDS[-1], len(THRESHOLDS)) == (10, 33)


def test_counts_are_means_over_texts_of_totals_over_layers(records):
    lone = records["rope"].copy(deep=True)
    lone["query_norm"][1] = 1  # the second text has none
    two_layers = xr.concat([lone, lone], "layer", data_vars="all")
    counts = curve({"rope": two_layers, "drope": records["drope"]}, judged)["scopes"]["layer"]["counts"]
    assert [counts["rope"][name][12] for name in NAMES] == [4, 4, 2]
    assert [counts["drope"][name][12] for name in NAMES] == [3, 3, 0]


def test_counts_come_with_rates_where_tensors_have_different_numbers_of_channels(records, found):
    rope = records["rope"].copy()
    heads = rope["key_norm"].sizes["head"]
    few = rope["key_norm"].isel(head=[0]).rename(head="key_head")
    there = curve({"rope": rope.drop_vars("key_norm").assign(key_norm=few)}, lambda values: {}, scopes=("layer",))
    counts, rates = (there["scopes"]["layer"][numbers]["rope"] for numbers in ("counts", "rates"))
    channels = rope["query_norm"][0].size
    assert heads > 1
    assert rates["query"] == pytest.approx([100 * count / channels for count in counts["query"]])
    assert rates["key"] == pytest.approx([100 * count * heads / channels for count in counts["key"]])
    assert "rates" not in found["scopes"]["layer"]


def test_the_judge_sees_the_massive_values_of_every_threshold_and_scope():
    rng = np.random.default_rng(0)
    shape = ("text", "layer", "head", "dim")
    noise = {f"{n}_norm": (shape, rng.lognormal(0, 1, (2, 3, 4, 16)).astype(np.float32)) for n in NAMES}
    records, seen = {"rope": xr.Dataset(noise), "drope": xr.Dataset(noise) ** 2}, []

    def judge_at(values):
        seen.append((values.scope, values.threshold))
        expected = MassiveValues(records, values.threshold, values.scope)
        for arm, name in expected.masks:
            np.testing.assert_array_equal(values.counts(arm, name), expected.masks[arm, name].sum((-2, -1)))
            np.testing.assert_array_equal(values.masks[arm, name], expected.masks[arm, name])
        return {}

    curve(records, judge_at)
    assert seen == [(scope, threshold) for scope in SCOPES for threshold in THRESHOLDS]


def test_counting_makes_no_mask_for_a_claim(records, monkeypatch):
    monkeypatch.setattr("lib.effects.counts.massive_mask", None)
    totals = []
    curve(records, lambda values: totals.append(values.totals("drope", "key").tolist()) or {})
    assert totals[0] == [3, 3]


def test_flips_lie_between_the_thresholds_where_the_verdict_changes(found):
    flips = {scope: there["flips"] for scope, there in found["scopes"].items()}
    assert flips["layer"] == {"Q1": [{"between": [3.25, 3.5], "from": "supported", "to": "refuted"}], "K1": []}
    assert flips["head"]["Q1"] == [{"between": [4.75, 5.0], "from": "supported", "to": "refuted"}]


def test_what_is_kept_of_a_judgement_is_plain(found):
    course = found["scopes"]["layer"]["claims"]["Q1"]
    assert len(course) == len(found["thresholds"]) == 33
    assert course[0] == {"verdict": "supported", "estimate": 1.5, "low": 1.0, "high": None, "reason": ""}
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_other_thresholds_and_one_scope_can_be_asked_for(records):
    found = curve(records, judged, thresholds=(3, 4), scopes=("head",))
    assert (found["thresholds"], list(found["scopes"])) == ([3, 4], ["head"])


@pytest.mark.parametrize("thresholds", [(), (3, 3), (4, 3)])
def test_thresholds_that_do_not_rise_are_no_curve(records, thresholds):
    with pytest.raises(ValueError, match="thresholds that rise"):
        curve(records, judged, thresholds=thresholds)


@pytest.mark.parametrize("thresholds", [(1, 3), (3, np.inf), (3, np.nan)])
def test_a_threshold_that_is_no_number_above_1_is_an_error(records, thresholds):
    with pytest.raises(ValueError, match="above 1"):
        curve(records, judged, thresholds=thresholds)


def test_claims_that_come_and_go_are_an_error(records):
    with pytest.raises(ValueError, match=r"at the threshold 2\.25 other claims are judged than at 2$"):
        curve(records, lambda values: {f"Q{values.threshold}": verdict("refuted")})
