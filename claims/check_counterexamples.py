"""Every claim can win, lose and stay open: planted records on which it must do so."""

import importlib
import inspect
from collections.abc import Callable
from contextlib import nullcontext
from functools import cache, partial
from itertools import product
from pathlib import Path

import numpy as np
import pytest

import lib.planted as planted
from claims.subjects import (
    NAMES,
    STUDY,
    Subject,
    by_kind,
    course,
    disruption,
    each_arm,
    massive_values,
    ranked,
    study_counts,
    study_kinds,
    study_losses,
    uneven,
    with_texts,
    with_third,
    worth,
)
from fixtures.judging import ClaimJudge
from fixtures.registry import registered
from lib.effects import ARMS, Disruption, MassiveValues
from lib.trajectory import Trajectory
from lib.verdicts import ClaimInconclusive, ClaimRefuted, Judgement, NoSubject

pytestmark = pytest.mark.cpu
counts, losses = partial(partial, massive_values), partial(partial, each_arm)
EVERY_QUERY_LAYER = ([90, 90, 90, 90], [45, 50, 50, 45])

# claim: records on which it is supported, refuted, inconclusive
CASES: dict[str, tuple[Callable[[], Subject], ...]] = {
    "Q1": (
        study_counts,
        counts(query=([100, 3, 100, 100], [80, 50, 80, 80])),
        counts(query=([100, 3, 100, 100], [54, 50, 54, 54]), spread=0.05),
    ),
    "K1": (
        study_counts,
        counts(key=([100] * 4, [110] * 4)),
        counts(key=([100] * 4, [100] * 4), spread=0.05),
    ),
    "V1": (
        study_counts,
        counts(value=([40, 40, 5, 5], [30, 30, 5, 5])),
        counts(value=([40, 40, 5, 5], [44, 44, 5.5, 5.5]), spread=0.05),
    ),
    "A1[query]": (
        study_counts,
        counts(value=([40, 40, 10, 10],) * 2),
        counts(query=EVERY_QUERY_LAYER, spread=0.05),
    ),
    "A1[key]": (
        study_counts,
        counts(value=([60, 60, 10, 10],) * 2),
        counts(key=([90] * 4, [80] * 4), spread=0.05),
    ),
    "L1": (
        study_counts,
        counts(query=([100, 50, 100, 100], [45, 3, 50, 45])),
        counts(query=([100, 50, 100, 100], [45, 50, 50, 45]), spread=0.1),
    ),
    "L2": (
        study_counts,
        counts(query=([100, 3, 100, 20], [45, 50, 50, 45])),
        counts(query=([100, 3, 100, 45], [45, 50, 50, 46]), spread=0.1),
    ),
    "L3": (
        study_counts,
        counts(query=([50, 3, 50, 50], [50, 50, 50, 50])),
        counts(query=([50, 3, 50, 50], [45, 50, 45, 44.6]), spread=0.1),
    ),
    # the total is kept, but layers 0 and 1 swap: the study's own counts refute it
    "V2": (counts(), study_counts, counts(value=([60, 60, 0, 0], [48, 72, 0, 0]))),
    **{
        f"S1[{arm}-{name}]": (study_counts, counts(spread=0.2), counts(spread=0.1))
        for arm, name in product(ARMS, NAMES)
    },
    **{
        f"F1[{name}]": (counts(), counts(slow=0.5), counts(slow=0.8 + planted.scatter(20, spread=0.05, seed=0)))
        for name in ("query", "key")
    },
    **{f"D1[{arm}]": (study_losses, losses(massive=0.05), losses(massive=0.1)) for arm in ARMS},
    **{
        f"D2[{arm}]": (
            study_losses,
            losses(massive=7, controls=[0.1] * 10),
            losses(massive=7, controls=[0.05] * 10, control_spread=0.05),
        )
        for arm in ARMS
    },
    "D3": (
        study_losses,
        losses(massive=2.0),
        partial(disruption, rope={"massive": 4.0}, drope={"massive": 2.0}),
    ),
    **{
        f"D4[{arm}]": (
            partial(study_kinds, stored=False),
            partial(study_kinds, stored=True),  # the stored figures are not the published ones
            losses(massive=by_kind(100, 150, 120), spread=0.05),
        )
        for arm in ARMS
    },
}
CASES |= {
    "O1[query]": (
        partial(with_third, "dropped", [101, 3, 99, 101]),
        partial(with_third, "dropped", [50, 3, 50, 50]),
        partial(with_third, "dropped", [110, 3, 110, 111], spread=0.05),
    ),
    "O1[key]": (
        partial(with_third, "dropped", third_key=[101, 99, 101, 99]),
        partial(with_third, "dropped", third_key=[130] * 4),
        partial(with_third, "dropped", third_key=[90] * 4, spread=0.05),
    ),
    **{
        f"O2[{name}]": (
            partial(ranked, 0.9),
            partial(ranked, 0.1),
            partial(ranked, 0.52 + planted.scatter(20, spread=0.1, seed=0)),
        )
        for name in ("query", "key")
    },
    "R1": (
        partial(course, 200, 150, 120, 110),
        partial(course, 110, 120, 150, 200),
        partial(course, *[150] * 4, spread=0.05),
    ),
    "R2": (partial(worth, 2.0, 1.5, 1.0, 0.5), partial(worth, 0.5, 1.0, 1.5, 2.0), partial(worth, *[1.0] * 4)),
    # both arms lose as much: more training did it, whatever was done to the rotation
    "R3": (
        partial(with_third, "continued", [95, 3, 95, 95]),
        partial(with_third, "continued", [45, 50, 50, 45]),
        partial(with_third, "continued", [72, 3, 72, 73], spread=0.1),
    ),
    "R4": (partial(uneven, 100, 20), partial(uneven, 20, 20), partial(uneven, 22, 20, spread=0.1)),
}
every_claim = pytest.mark.parametrize("claim", CASES)


@cache
def claim_tests() -> dict[str, tuple[Callable, dict, pytest.Mark]]:
    """{claim id: (test function, its parameters, its claim marker)} of every test of this folder that is a claim."""
    found = {}
    for file in sorted(Path(__file__).parent.glob("test_*.py")):
        for function in vars(importlib.import_module(f"claims.{file.stem}")).values():
            marks = [mark for mark in getattr(function, "pytestmark", []) if isinstance(mark, pytest.Mark)]
            for claim in (mark for mark in marks if mark.name == "claim"):
                axes = [mark.args for mark in marks if mark.name == "parametrize"]
                for values in product(*(choices for _, choices in axes)):
                    arguments = dict(zip((name for name, _ in axes), values, strict=True))
                    key = f"{claim.args[0]}[{'-'.join(values)}]" if values else claim.args[0]
                    found[key] = function, arguments, claim
    return found


def run(claim: str, subject: Subject, *, smoke: bool = False, **given) -> Judgement:
    """Run a claim's own test on planted records, at the claim's registered level; return what it judged.

    What it reads goes by another name in every test: it is whatever is neither the judge nor a parameter.
    """
    function, arguments, _ = claim_tests()[claim]
    judge = ClaimJudge(registered()[claim]["alpha"], smoke)
    given = {"trained_steps": {"drope": None, "continued": None}, **given}
    asked = inspect.signature(function).parameters
    (read,) = [name for name in asked if name not in ("judge", *arguments, *given)]
    function(judge=judge, **{read: subject}, **arguments, **{k: v for k, v in given.items() if k in asked})
    return judge.judgement


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


@pytest.mark.parametrize("claim", [claim for claim in CASES if claim[0] not in "DR"])
def test_without_massive_values_every_claim_about_counts_stays_open(claim):
    none = massive_values(**dict.fromkeys(NAMES, ([1e-9] * 4,) * 2))
    none = MassiveValues({**none.records, "dropped": none.records["rope"]})
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


def test_a_series_without_massive_values_has_no_trend_of_them():
    with pytest.raises(NoSubject, match="no checkpoint has more than 0 massive query values"):
        run("R1", course(1e-9, 1e-9, 1e-9))


def test_a_series_at_which_nothing_was_zeroed_has_no_trend_of_what_that_costs():
    nothing = [planted.disruption_record(planted.losses(massive=n), zeroed=0) for n in (3, 2, 1)]
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


def test_a_flat_series_of_equal_texts_has_no_trend():
    with pytest.raises(ClaimInconclusive, match="the interval holds the threshold"):
        run("R1", course(150, 150, 150, spread=0))


def test_texts_that_are_copies_of_one_another_support_no_trend():
    with pytest.raises(ClaimInconclusive, match="every text gives the same number"):
        run("R1", with_texts(CASES["R1"][0](), [0] * 20))


@pytest.mark.parametrize("without", [0, 1])
def test_one_massive_value_per_text_is_a_subject_and_fewer_are_none(without):
    some = np.array([[1, 0]] * (20 - without) + [[0, 0]] * without)
    record = planted.norms_record(dict.fromkeys(NAMES, some))
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
    counts = {name: planted.layer_counts([40, 0, 7.5], [50, 60, 70, 0], seed=1) for name in NAMES}
    found = MassiveValues(dict.fromkeys(ARMS, planted.norms_record(counts, slow=0.5)))
    for name in NAMES:
        np.testing.assert_array_equal(found.counts("rope", name), counts[name])
    assert found.counts("rope", "query").sum(-1).tolist() == [50, 60, 70, 0]


def test_planting_too_many_channels_to_be_massive_is_an_error():
    with pytest.raises(ValueError, match="can be planted"):
        planted.norms_record(dict.fromkeys(NAMES, np.full((3, 2), 10)), heads=1, kv_heads=1, dim=64)


def test_planted_losses_are_found_again():
    found = Disruption({"rope": planted.disruption_record(planted.losses(2.0, [0.01, 0.03], spread=0.1))})
    assert found.massive("rope").mean() == pytest.approx(2.0)
    assert found.massive("rope").std(ddof=1) == pytest.approx(0.1)
    assert found.controls("rope").mean(0) == pytest.approx([0.01, 0.03])


def test_the_studys_records_have_the_published_totals_and_spreads():
    for arm, name in product(ARMS, NAMES):
        center, spread = STUDY["text"]["massive_values"][name][arm]
        totals = study_counts().totals(arm, name)
        assert totals.mean() == pytest.approx(center, abs=0.5)
        assert totals.std(ddof=1) == pytest.approx(spread, abs=0.5)
