import re

import pytest

from lib.judging import mean, proportion, ratio
from lib.judging.order import order
from lib.judging.verdicts import all_of, assess, undecided
from lib.reporting.sentences import by_how_much, distance, largest, over_kinds, refutation, texts_to_decide

pytestmark = pytest.mark.cpu

TEN = [9.0, 10.0, 11.0, 10.5, 9.5]  # mean 10
"""Five texts; the 95 % one-sided bounds of Student's t are 10 -+ 0.7538."""
KINDS = "aabbccdd"
ENDLESS = ratio([1.0, -2, 3, 1, -1, 2, 0, 1], [1.0, -1, 2, -2, 1, 0.5, 0, 1])
"""A ratio whose denominator may be zero."""


def judged(rule, *limits, values=TEN, **options):
    return getattr(assess(mean(values).if_normal, unit="%", **options), rule)(*limits).as_dict()


def of_kinds(*values, kinds=KINDS, **options):
    return assess(values, unit="%", kinds=kinds, **options).at_most(12).as_dict()


@pytest.mark.parametrize(
    ("rule", "limits", "verdict", "away", "half_widths"),
    [
        ("at_most", (12,), "supported", 2, 2.653),
        ("at_most", (8,), "refuted", -2, -2.653),
        ("at_least", (9.5,), "inconclusive", 0.5, 0.6633),
        ("above", (10.5,), "inconclusive", -0.5, -0.6633),
        ("below", (8,), "refuted", -2, -2.653),
        ("within", (9, 13), "supported", 1, 1.327),
        ("within", (2, 6), "refuted", -4, -5.307),
        ("within", (14, 20), "refuted", -4, -5.307),
        ("outside", (4, 7), "supported", 3, 3.98),
        ("outside", (12, 15), "supported", 2, 2.653),
        ("outside", (7, 12), "refuted", -2, -2.653),
        ("outside", (9.5, 14), "inconclusive", -0.5, -0.6633),
        ("outside", (6, 9.5), "inconclusive", 0.5, 0.6633),
    ],
)
def test_the_distance_is_that_to_the_nearest_limit_and_tells_the_verdict(rule, limits, verdict, away, half_widths):
    judgement = judged(rule, *limits)
    found = distance(judgement)
    assert judgement["verdict"] == verdict
    assert found.away == pytest.approx(away)
    assert found.half_widths == pytest.approx(half_widths, rel=1e-3)


@pytest.mark.parametrize(("rule", "end"), [("at_most", "high"), ("at_least", "low")])
def test_an_estimate_at_its_limit_is_measured_by_the_end_that_misses_it(rule, end):
    judgement = judged(rule, 10)
    assert distance(judgement).bound == judgement[end]


def test_no_number_of_texts_is_named_that_nobody_has():
    assert texts_to_decide(judged("at_least", 10 - 1e-4)) is None


def test_an_interval_without_an_end_has_no_half_width():
    far = judged("at_most", 8) | {"low": None}
    assert distance(far).half_widths is None
    assert by_how_much(far) == "10 (%), needed <= 8: the estimate misses it by 2."


@pytest.mark.parametrize(("limit", "sign"), [(10, 1), (11, 1), (9, -1)])
def test_texts_that_are_all_alike_are_infinitely_many_half_widths_away(limit, sign):
    assert distance(judged("at_most", limit, values=[10.0] * 5, distinct=5)).half_widths == sign * float("inf")


def test_where_nothing_was_estimated_there_is_no_distance_but_the_reason():
    nothing = undecided("the rope arm has none").as_dict()
    assert distance(nothing) is None
    assert by_how_much(nothing) == "The rope arm has none."
    assert refutation(nothing) == ""


@pytest.mark.parametrize(
    ("rule", "limits", "sentence"),
    [
        (
            "at_most",
            (12,),
            "10 (%), needed <= 12: clear of the threshold by 2, and the interval ends 1.25 short of it.",
        ),
        (
            "at_most",
            (8,),
            "10 (%), needed <= 8: the estimate misses it by 2, and the end of the interval nearest to it by 1.25.",
        ),
        (
            "at_least",
            (9.5,),
            "10 (%), needed >= 9.5: the estimate meets it by 0.5, and the interval holds the threshold; about 13 texts "
            "of the same spread would decide it (n = 5 now).",
        ),
        (
            "at_least",
            (10,),
            "10 (%), needed >= 10: the estimate meets it by 0, and the interval holds the threshold; an estimate so "
            "near to it is not decided by more texts.",
        ),
    ],
)
def test_a_sentence_says_by_how_much(rule, limits, sentence):
    assert by_how_much(judged(rule, *limits)) == sentence


def test_a_reason_other_than_the_interval_is_given():
    smoke = judged("at_most", 12, smoke=True)
    assert by_how_much(smoke).endswith("the estimate meets it by 2, but a smoke run (--limit) supports nothing.")
    few = judged("at_most", 8, values=[10.0, 11.0])
    assert "misses it by 2.5, but has no interval (2 texts are too few" in by_how_much(few)


def test_a_number_that_is_the_same_in_every_text_is_judged_in_a_sentence_of_its_own():
    tens = {"values": [10.0] * 20, "distinct": 20}
    by_signs = " by 2 in every text (20 of 20 texts, sign test p = 9.5e-07)."
    assert by_how_much(judged("at_most", 12, **tens)) == f"10 (%), needed <= 12: clear of the threshold{by_signs}"
    assert by_how_much(judged("at_most", 8, **tens)) == f"10 (%), needed <= 8: misses it{by_signs}"
    few = judged("at_most", 8, values=[10.0] * 4, distinct=4)
    assert by_how_much(few).endswith(
        "misses it by 2, but has no interval (4 of 4 texts, sign test p = 0.062, and the level is 0.05)."
    )


def test_as_many_texts_as_said_do_decide():
    judgement = judged("at_least", 9.5)
    more = TEN * (texts_to_decide(judgement) // len(TEN) + 1)
    assert judged("at_least", 9.5, values=more)["verdict"] == "supported"
    assert judged("at_least", 9.5, values=TEN + TEN[:2])["verdict"] == "inconclusive"


@pytest.mark.parametrize(
    ("rule", "limits", "when"),
    [
        ("at_most", (12,), "lies above 12"),
        ("at_least", (12,), "lies below 12"),
        ("below", (0,), "lies at or above 0"),
        ("above", (0,), "lies at or below 0"),
        ("within", (-10, 10), "lies below -10 or above 10"),
        ("outside", (-10, 10), "lies between -10 and 10"),
    ],
)
def test_it_is_said_what_would_refute_a_claim(rule, limits, when):
    assert refutation(judged(rule, *limits)) == f"Refuted when the whole interval {when}."


def test_a_claim_of_several_parts_is_refuted_by_one_of_them():
    parts = [assess(TEN, label=f"layer {i}", parts=6).at_most(12) for i in range(6)]
    sentence = refutation(all_of(parts).as_dict())
    assert sentence.startswith("Refuted as soon as one of its 6 parts is: layer 0 (the whole interval lies above 12)")
    assert sentence.endswith("and 2 more.")


def test_an_order_whose_bound_is_at_its_end_is_said_like_any_other():
    falling = assess(order([[6, 5, 4, 2, 3, 1]] * 4 + [[6, 5, 4, 2, 3, 0]])).below(0).as_dict()
    assert falling["low"] == -1
    assert by_how_much(falling) == (
        "-0.9429, needed < 0: clear of the threshold by 0.943, and the interval ends 0.143 short of it."
    )


def test_what_more_of_would_decide_an_order_are_its_points():
    mixed = assess(order([[6, 4, 5, 1, 2, 3]] * 4 + [[6, 4, 5, 1, 2, 3.1]])).below(0).as_dict()
    assert by_how_much(mixed).endswith("about 9 points in the same order would decide it (n = 6 now).")


def test_an_interval_without_ends_holds_every_threshold_for_want_of_texts():
    endless = assess(ENDLESS, alpha=0.01).at_most(8).as_dict()
    assert (endless["low"], endless["high"]) == (None, None)
    why = "8 texts are too few, or too unlike, for an interval at this level"
    assert by_how_much(endless).endswith(f"has no interval ({why}).")


def test_the_same_claim_is_said_with_the_kinds_of_text_as_the_unit():
    assert over_kinds(of_kinds(*TEN)) == ""
    found = over_kinds(of_kinds(9.0, 9.2, 10.0, 10.2, 11.0, 11.2, 10.0, 10.4, alpha=0.2))
    assert re.fullmatch(r"With 4 kinds of text as the unit: 10[.]12 \[9[.].*, 10[.].*\] %, supported[.]", found)


@pytest.mark.parametrize(
    ("values", "kinds", "why"),
    [
        ([9.0, 9.2, 10.1, 10.2, 11.0, 11.3, 10.0, 10.4], "aaaabbbb", "2 kinds are too few, 3 are needed"),
        (ENDLESS, KINDS, "4 kinds are too few, or too unlike, for an interval at this level"),
    ],
)
def test_too_few_kinds_of_text_tell_nothing_of_others(values, kinds, why):
    found = assess(values, kinds=kinds, alpha=0.005).at_most(12).as_dict()
    assert over_kinds(found) == f"Beyond these kinds of text: {why}."


@pytest.mark.parametrize(("odd", "named"), [(2.1, False), (2.4, True), (-2.4, True)])
def test_a_text_that_holds_a_quarter_of_the_sum_is_named(odd, named):
    sentence = "The largest text holds 26 % of the sum of all: where so few carry an effect, others may lack it."
    assert largest(judged("at_most", 12, values=[1.0] * 7 + [odd])) == (sentence if named else "")


def test_sentences_speak_of_items_where_numbers_are_of_items():
    def said(values, needed, **how):
        return assess(values, observations="items", unit="points", **how).at_least(needed).as_dict()

    assert largest(said([1.0] * 7 + [2.4], 9)).startswith("The largest item holds ")
    assert "in every item (20 of 20 items, sign test p = " in by_how_much(said([5.0] * 20, 4, distinct=20))
    assert "is not decided by more items." in by_how_much(said([1.0, 2.0, 3.0, 2.0], 2))
    share = said(proportion(85, 100), 84)
    assert " items of the same spread would decide it (n = 100 now)." in by_how_much(share)


def test_where_texts_are_few_each_holds_much_and_none_is_named():
    assert largest(judged("at_most", 12, values=[1.0] * 6 + [9.0])) == ""
    assert largest(judged("at_most", 12, values=[0.0] * 8)) == ""
    assert largest(undecided("none").as_dict()) == ""
