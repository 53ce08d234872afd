"""Every claim can win, lose and stay open: planted records on which it must do so."""

from contextlib import nullcontext
from itertools import product

import numpy as np
import pytest

from claims.counterexamples import CASES
from fixtures.planted import records
from fixtures.planted.subjects import NAMES, STUDY, bands, course, massive_values, study_counts, with_texts
from fixtures.plugin.registry import registered
from fixtures.plugin.trial import claim_tests, run
from lib.definitions.words import ARMS, RESCALED
from lib.effects.counts import MassiveValues
from lib.effects.losses import Bands, Disruption
from lib.effects.trajectory import Trajectory
from lib.judging.verdicts import ClaimInconclusive, ClaimRefuted, NoSubject

pytestmark = pytest.mark.cpu
every_claim = pytest.mark.parametrize("claim", CASES)


def test_every_claim_has_its_counterexamples_and_no_other_has():
    assert set(CASES) == set(registered()) == set(claim_tests())


@every_claim
def test_a_claim_is_supported_where_it_holds(claim):
    assert run(claim, CASES[claim][0]()).verdict == "supported"


@every_claim
def test_a_claim_is_refuted_where_it_does_not_hold(claim):
    with pytest.raises(ClaimRefuted):
        run(claim, CASES[claim][1]())


@every_claim
def test_a_claim_stays_open_where_the_records_do_not_tell(claim):
    with pytest.raises(ClaimInconclusive, match="the interval holds the threshold"):
        run(claim, CASES[claim][2]())


@every_claim
def test_a_smoke_run_supports_no_claim(claim):
    with pytest.raises(ClaimInconclusive, match="smoke"):
        run(claim, CASES[claim][0](), smoke=True)


@every_claim
def test_two_texts_decide_no_claim(claim):
    few = with_texts(CASES[claim][1](), [0, -1])
    with pytest.raises(ClaimInconclusive, match="too few"):
        run(claim, few)


@pytest.mark.parametrize("claim", ["Q1", "K1", "L1", "L3", "D3", "R4"])
@pytest.mark.parametrize("arm", ARMS)
def test_a_claim_of_a_difference_is_refuted_when_an_arm_is_compared_with_itself(claim, arm):
    holds = CASES[claim][0]()
    with pytest.raises(ClaimRefuted):
        run(claim, type(holds)(dict.fromkeys(ARMS, holds.records[arm])))


@pytest.mark.parametrize("claim", ["Q1", "K1", "L1", "L3", "D3", "R4"])
def test_a_claim_of_a_difference_is_refuted_when_the_arms_are_swapped(claim):
    holds = CASES[claim][0]()
    with pytest.raises(ClaimRefuted):
        run(claim, type(holds)(dict(zip(ARMS, reversed(holds.records.values()), strict=True))))


@pytest.mark.parametrize("claim", [claim for claim in CASES if claim[0] not in "DR" and claim != "F2"])
def test_without_massive_values_every_claim_about_counts_stays_open(claim):
    none = massive_values(**dict.fromkeys(NAMES, ([1e-9] * 4,) * 2))
    none = MassiveValues({**none.records, **dict.fromkeys(("dropped", "attention"), none.records["rope"])})
    with pytest.raises(NoSubject, match="nothing to judge") as caught:
        run(claim, none)
    assert caught.value.judgement.verdict == "inconclusive"


@pytest.mark.parametrize("claim", [claim for claim in CASES if claim[0] == "D"])
def test_where_nothing_was_zeroed_every_claim_about_damage_stays_open(claim):
    nothing = {
        arm: record.assign(query_zeroed=record.query_zeroed & False, key_zeroed=record.key_zeroed & False)
        for arm, record in CASES[claim][0]().records.items()
    }
    with pytest.raises(NoSubject, match="nothing to judge"):
        run(claim, Disruption(nothing))


@pytest.mark.parametrize(
    ("nothing", "why"),
    [
        ({"zeroed": 0}, "no layer .* has a massive query or key channel"),
        ({"frequency": 0.0}, "no layer .* rotates,"),
        ({"frequency": np.nan}, "how the rope arm rotates cannot be read"),
    ],
)
def test_without_anything_massive_or_rotating_no_band_matters(nothing, why):
    with pytest.raises(NoSubject, match=why):
        run("F2", bands(0.5, 0.1, **nothing))


def test_bands_that_are_swapped_refute_what_they_supported():
    record = bands(0.5, 0.1).records["rope"]
    assert run("F2", Bands({"rope": record})).estimate == pytest.approx(0.4)
    swapped = record.assign_coords(condition=["baseline", "fast", "slow"])
    with pytest.raises(ClaimRefuted):
        run("F2", Bands({"rope": swapped}))


def test_a_series_without_massive_values_has_no_trend_of_them():
    with pytest.raises(NoSubject, match="no checkpoint has more than 0 massive query values"):
        run("R1", course(1e-9, 1e-9, 1e-9))


def test_a_series_at_which_nothing_was_zeroed_has_no_trend_of_what_that_costs():
    nothing = [records.disruption_record(records.losses(massive=n), zeroed=0) for n in (3, 2, 1)]
    with pytest.raises(NoSubject, match="no checkpoint has a massive query or key channel to zero"):
        run("R2", Trajectory((1, 2, 3), (), [Disruption(dict.fromkeys(ARMS, record)) for record in nothing]))


def test_a_fall_that_more_training_explains_has_no_subject_without_massive_values():
    none = massive_values(query=([1e-9] * 4,) * 2)
    with pytest.raises(NoSubject, match="nothing to judge"):
        run("R3", MassiveValues({**none.records, "continued": none.records["rope"]}))


@pytest.mark.parametrize(("steps", "judged"), [((900, 900), True), ((900, None), True), ((900, 500), False)])
def test_a_control_of_another_length_compares_with_nothing(steps, judged):
    given = {"trained_steps": dict(zip(("drope", "continued"), steps, strict=True))}
    with nullcontext() if judged else pytest.raises(NoSubject, match="trained for 900 steps and continued for 500"):
        assert run("R3", CASES["R3"][0](), **given).verdict == "supported"


@pytest.mark.parametrize("kind", RESCALED)
@pytest.mark.parametrize(("nats", "judged"), [(0.0, False), (0.0009, False), (0.0011, True), (-0.0011, True)])
def test_a_rescaling_that_moves_no_loss_did_nothing(kind, nats, judged):
    holds = CASES[f"X1[{kind}]"][0]()
    moved = holds.records["rope"]["nll"].copy()
    moved[3] += nats  # in one text
    holds.records[kind]["nll"] = moved
    with nullcontext() if judged else pytest.raises(NoSubject, match=f"the {kind} arm has the RoPE arm's loss"):
        found = run(f"X1[{kind}]", holds)
        assert (found.verdict, found.note) == ("supported", f"the loss moves by {nats / 20:+.3g} nats per token")


def test_a_flat_series_of_equal_texts_has_no_trend():
    with pytest.raises(ClaimInconclusive, match="the interval holds the threshold"):
        run("R1", course(150, 150, 150, spread=0))


def test_texts_that_are_copies_of_one_another_support_no_trend():
    with pytest.raises(ClaimInconclusive, match="every text gives the same number"):
        run("R1", with_texts(CASES["R1"][0](), [0] * 20))


@pytest.mark.parametrize("without", [0, 1])
def test_one_massive_value_per_text_is_a_subject_and_fewer_are_none(without):
    some = np.array([[1, 0]] * (20 - without) + [[0, 0]] * without)
    record = records.norms_record(dict.fromkeys(NAMES, some))
    found = MassiveValues(dict.fromkeys(ARMS, record))
    with pytest.raises(NoSubject) if without else nullcontext():
        found.need("value", *ARMS)


def test_massive_values_in_one_arm_are_subject_enough_for_a_claim_of_both():
    appeared = massive_values(query=([100, 0, 100, 100], [45, 50, 50, 45]))
    assert run("L1", appeared).verdict == run("L3", appeared).verdict == "supported"


def test_a_layer_where_massive_values_first_appear_under_drope_is_another_exception():
    with pytest.raises(ClaimRefuted, match="layer 3"):
        run("L2", massive_values(query=([100, 3, 100, 0], [45, 50, 50, 45])))


def test_a_layer_without_massive_values_in_either_arm_does_not_keep_layer_1_from_being_the_only_one():
    assert run("L2", massive_values(query=([100, 3, 100, 0], [45, 50, 50, 0]))).verdict == "supported"


def test_planted_counts_are_found_again():
    counts = {name: records.layer_counts([40, 0, 7.5], [50, 60, 70, 0], seed=1) for name in NAMES}
    found = MassiveValues(dict.fromkeys(ARMS, records.norms_record(counts, slow=0.5)))
    for name in NAMES:
        np.testing.assert_array_equal(found.counts("rope", name), counts[name])
    assert found.counts("rope", "query").sum(-1).tolist() == [50, 60, 70, 0]


def test_planting_too_many_channels_to_be_massive_is_an_error():
    with pytest.raises(ValueError, match="can be planted"):
        records.norms_record(dict.fromkeys(NAMES, np.full((3, 2), 10)), heads=1, kv_heads=1, dim=64)


def test_planted_losses_are_found_again():
    found = Disruption({"rope": records.disruption_record(records.losses(2.0, [0.01, 0.03], spread=0.1))})
    assert found.massive("rope").mean() == pytest.approx(2.0)
    assert found.massive("rope").std(ddof=1) == pytest.approx(0.1)
    assert found.controls("rope").mean(0) == pytest.approx([0.01, 0.03])


def test_the_studys_records_have_the_published_totals_and_spreads():
    for arm, name in product(ARMS, NAMES):
        center, spread = STUDY["text"]["massive_values"][name][arm]
        totals = study_counts().totals(arm, name)
        assert totals.mean() == pytest.approx(center, abs=0.5)
        assert totals.std(ddof=1) == pytest.approx(spread, abs=0.5)


@pytest.mark.parametrize("claim", ["F1[query]", "F1[key]", "X2[query]", "X2[key]"])
def test_where_no_layer_rotates_claims_about_the_rotation_stay_open(claim):
    found = CASES[claim][0]().records
    still = {arm: record.assign(frequency=0 * record["frequency"]) for arm, record in found.items()}
    with pytest.raises(NoSubject, match="no layer of the rope arm rotates"):
        run(claim, MassiveValues(still))
