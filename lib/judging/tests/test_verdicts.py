import json
from contextlib import suppress
from itertools import product

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import stats

from lib.judging.estimates import crossed, difference, mean, ratio
from lib.judging.order import order
from lib.judging.spread import typical_variation, variation
from lib.judging.verdicts import (
    REPEATED,
    Assessment,
    ClaimInconclusive,
    ClaimRefuted,
    Judge,
    Judgement,
    all_of,
    assess,
    conclude,
    undecided,
)

pytestmark = pytest.mark.cpu
AROUND_5 = [4.9, 5.0, 5.1, 5.0, 4.95, 5.05]
RULES = ("at_most", "at_least", "below", "above", "within", "outside")
SETTLED = {  # rule: (a threshold that AROUND_5 meets, one it misses, one it cannot tell)
    "at_most": ([6], [4], [5]),
    "at_least": ([4], [6], [5]),
    "below": ([6], [4], [5]),
    "above": ([4], [6], [5]),
    "within": ([4, 6], [6, 7], [5, 6]),
    "outside": ([1, 4], [4, 6], [1, 5]),
}
VERDICTS = ("supported", "refuted", "inconclusive")

# whole numbers: sums of them are exact, so that rounding cannot decide a verdict
whole = st.integers(-50, 50).map(float)
samples = st.lists(whole, min_size=1, max_size=12)
one_sided = st.sampled_from(RULES[:4])
thresholds = st.integers(-60, 60).map(float)
alphas = st.floats(1e-4, 0.49)


def two(first, second):
    """The difference between two groups of texts."""
    return difference({"first": first, "second": second}, "first", "second")


def student(values):
    """A mean with Student's bounds alone."""
    return mean(values).if_normal


def judge(values, **options):
    """A claim of one rule, judged at the level 0.05."""
    return Judge(0.05)(values, **options)


def verdict(values, rule, *threshold, **options) -> str:
    return getattr(assess(values, **options), rule)(*threshold).verdict


def judgement(name: str) -> Judgement:
    return Judgement(name, f"rule of the {name} part", estimate=1.0, label=name)


@pytest.mark.parametrize("rule", RULES)
def test_a_supported_claim_returns_its_judgement(rule):
    found = getattr(judge(AROUND_5, unit="nats"), rule)(*SETTLED[rule][0])
    assert (found.verdict, found.n, found.unit, found.values) == ("supported", 6, "nats", tuple(AROUND_5))
    assert found.low < found.estimate < found.high
    assert found.estimate == pytest.approx(5.0)


@pytest.mark.parametrize("rule", RULES)
def test_a_refuted_claim_raises(rule):
    with pytest.raises(ClaimRefuted, match="refuted") as caught:
        getattr(judge(AROUND_5), rule)(*SETTLED[rule][1])
    assert caught.value.judgement.verdict == "refuted"


@pytest.mark.parametrize("rule", RULES)
def test_an_undecided_claim_raises(rule):
    with pytest.raises(ClaimInconclusive, match="the interval holds the threshold") as caught:
        getattr(judge(AROUND_5), rule)(*SETTLED[rule][2])
    assert caught.value.judgement.verdict == "inconclusive"


def test_a_failed_claim_is_an_assertion_error_of_its_own_kind():
    assert issubclass(ClaimRefuted, AssertionError)
    assert issubclass(ClaimInconclusive, AssertionError)
    assert not issubclass(ClaimRefuted, ClaimInconclusive)
    assert not issubclass(ClaimInconclusive, ClaimRefuted)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_a_broken_measurement_is_no_verdict(rule, bad):
    with pytest.raises(ValueError, match="not finite"):
        getattr(judge([5.0, bad, 5.0]), rule)(*SETTLED[rule][0])


@pytest.mark.parametrize("values", [[], np.ones((3, 2))])
def test_judging_needs_one_number_per_text(values):
    with pytest.raises(ValueError, match="one number per text"):
        judge(values)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("which", range(3))
@pytest.mark.parametrize("told", [{}, {"distinct": 1}, {"distinct": lambda: 1}], ids=["not told", "one", "counted"])
def test_one_measurement_that_is_repeated_decides_nothing_on_either_side(rule, which, told):
    found = getattr(assess([5.0] * 20, **told), rule)(*SETTLED[rule][which])
    assert (found.verdict, found.reason) == ("inconclusive", REPEATED.format("text"))
    assert (found.n, found.estimate, found.low, found.high) == (1, 5.0, None, None)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(("which", "verdict"), [(0, "supported"), (1, "refuted")])
def test_the_same_number_from_distinct_measurements_is_judged_by_the_sign_test(rule, which, verdict):
    found = getattr(assess([5.0] * 20, distinct=20), rule)(*SETTLED[rule][which])
    assert (found.verdict, found.reason) == (verdict, "20 of 20 texts, sign test p = 9.5e-07")
    assert (found.n, found.estimate, found.low, found.high) == (20, 5.0, 5.0, 5.0)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize(("n", "decided"), [(4, False), (5, True)])  # 2^-4 is 0.0625 and 2^-5 is 0.031
def test_a_sign_test_decides_from_the_number_of_texts_on_that_reaches_the_level(rule, which, n, decided):
    found = getattr(assess([5.0] * n, distinct=n, alpha=0.05), rule)(*SETTLED[rule][which])
    assert (found.verdict != "inconclusive") == decided
    if not decided:
        assert found.reason == "4 of 4 texts, sign test p = 0.062, and the level is 0.05"
        assert (found.as_dict()["low"], found.as_dict()["high"]) == (None, None)


@pytest.mark.parametrize(("n", "decided"), [(6, False), (7, True)])  # a quarter of 0.05 is 0.0125
def test_a_sign_test_refutes_a_part_at_its_share_of_the_level_and_supports_it_at_the_whole(n, decided):
    part = assess([5.0] * n, distinct=n, parts=4)
    assert part.at_most(6).verdict == "supported"
    refuted = part.at_most(4)
    assert (refuted.verdict == "refuted") == decided
    assert decided or refuted.reason == "6 of 6 texts, sign test p = 0.016, and the level is 0.013"


@pytest.mark.parametrize(
    ("rule", "expected"),
    [("at_most", "supported"), ("at_least", "supported"), ("below", "refuted"), ("above", "refuted")],
)
@pytest.mark.parametrize("number", [5.0, 0.1, 1 / 3])
def test_a_constant_exactly_at_the_threshold_meets_at_most_and_misses_below(rule, expected, number):
    assert verdict([number] * 7, rule, number, distinct=7) == expected


@pytest.mark.parametrize(
    ("rule", "expected"), [("at_most", "supported"), ("above", "refuted"), ("at_least", "supported")]
)
@pytest.mark.parametrize("sign", [-1, 1])
def test_a_tie_is_not_decided_by_the_last_bit(rule, expected, sign):
    nearly_0 = two([0.7 + sign * 3e-16] * 6, [0.7] * 6)
    assert sign * nearly_0.value > 0
    assert verdict(nearly_0, rule, 0, distinct=12) == expected


@pytest.mark.parametrize(("lo", "hi"), [(5.0, 6.0), (4.0, 5.0)])
def test_the_margins_belong_to_the_interval_of_an_equivalence(lo, hi):
    assert verdict([5.0] * 7, "within", lo, hi, distinct=7) == "supported"


@pytest.mark.parametrize(("lo", "hi"), [(5.1, 6.0), (4.0, 4.9)])
def test_an_equivalence_is_refuted_by_a_constant_on_either_side(lo, hi):
    assert verdict([5.0] * 7, "within", lo, hi, distinct=7) == "refuted"


@pytest.mark.parametrize("constant", [-3.0, 7.0])
def test_the_ends_of_a_range_lie_outside_of_it(constant):
    assert verdict([constant] * 20, "outside", -3, 7, distinct=20) == "supported"


def test_an_estimate_of_which_nothing_is_known_is_one_measurement():
    assert Assessment(mean([5.0] * 20)).at_most(6).reason == REPEATED.format("text")


def test_two_measurements_are_judged_by_the_signs_of_two():
    found = assess([5.0] * 20, distinct=2).at_most(6)
    assert (found.verdict, found.n) == ("inconclusive", 20)
    assert found.reason.startswith("2 of 2 texts")


def test_texts_that_share_a_measurement_count_once():
    found = assess([5.0] * 20, distinct=4).at_most(6)
    assert (found.verdict, found.reason) == ("inconclusive", "4 of 4 texts, sign test p = 0.062, and the level is 0.05")


def test_a_constant_difference_has_as_many_signs_as_its_smaller_group():
    found = assess(two([3.0] * 20, [1.0] * 5), distinct=25).at_least(0)
    assert (found.verdict, found.reason) == ("supported", "5 of 5 texts, sign test p = 0.031")
    assert verdict(two([3.0] * 20, [1.0] * 4), "at_least", 0, distinct=24) == "inconclusive"


def test_a_variation_of_0_has_a_sign_less_than_texts():
    found = assess(variation([7.0] * 20), distinct=20).at_most(0.1)
    assert (found.verdict, found.reason) == ("supported", "19 of 19 texts, sign test p = 1.9e-06")
    assert (found.low, found.high) == (0.0, 0.0)
    assert verdict(variation([7.0] * 20), "at_least", 0.1, distinct=20) == "refuted"
    assert verdict(variation([7.0] * 20), "at_most", 0.0, distinct=20) == "supported"
    assert verdict(variation([7.0] * 5), "at_most", 0.1, distinct=5) == "inconclusive"


def test_an_order_that_all_texts_share_keeps_its_bounds_where_their_measurements_differ():
    found = order(np.tile([6.0, 5.0, 4.0, 3.0, 2.0, 1.0], (12, 1)))
    judged = assess(found, distinct=12).below(0)
    assert (judged.verdict, judged.reason) == ("supported", "")
    assert (judged.low, judged.high) == (found.lower(0.05), found.upper(0.05))
    assert assess(found).below(0).reason == REPEATED.format("text")


def test_a_typical_variation_of_0_has_two_signs_less_than_texts():
    found = assess(typical_variation([7.0] * 19 + [90.0]), distinct=20).at_most(0.1)
    assert (found.verdict, found.reason) == ("supported", "18 of 18 texts, sign test p = 3.8e-06")
    assert verdict(typical_variation([7.0] * 6), "at_most", 0.1, distinct=6) == "inconclusive"


def test_draws_that_differ_keep_their_bounds_where_all_texts_agree():
    table = np.tile([0.0, 0.1, 0.2, 0.3], (20, 1))
    found = assess(crossed(table), distinct=20).within(-1, 1)
    assert (found.verdict, found.reason) == ("supported", "")
    interval = stats.ttest_1samp(table[0], 0).confidence_interval(0.90)
    assert (found.low, found.high) == pytest.approx(tuple(interval))


def test_measurements_are_counted_only_where_all_numbers_are_equal():
    def counted():
        raise AssertionError("counted")

    assert assess(AROUND_5, distinct=counted).at_most(6).verdict == "supported"
    with pytest.raises(AssertionError, match="counted"):
        assess([5.0] * 6, distinct=counted).at_most(6)


def test_a_judge_hands_the_count_of_measurements_to_all_its_parts():
    claim = Judge(0.05, distinct=lambda: 20)
    assert claim([5.0] * 20).at_most(6).verdict == "supported"
    assert claim.all_of(claim.part([5.0] * 20, of=2).at_most(6), claim.part(AROUND_5, of=2).at_most(6))
    with pytest.raises(ClaimRefuted, match="sign test"):
        claim([5.0] * 20).at_most(4)
    with pytest.raises(ClaimInconclusive, match="n = 1"):
        Judge(0.05)([5.0] * 20).at_most(4)


@pytest.mark.parametrize("rule", ["below", "above"])
def test_a_bound_that_touches_the_threshold_is_neither_below_nor_above_it(rule):
    estimate = assess(student([4.0, 5.0, 6.0]), alpha=0.1)
    touched = estimate.estimate.upper(0.1) if rule == "below" else estimate.estimate.lower(0.1)
    assert getattr(estimate, rule)(touched).verdict == "inconclusive"


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("which", range(3))
@pytest.mark.parametrize("n", [1, 2])
def test_fewer_than_three_texts_decide_nothing(rule, which, n):
    found = getattr(assess(AROUND_5[:n]), rule)(*SETTLED[rule][which])
    assert found.verdict == "inconclusive"
    assert f"{n} texts are too few" in found.reason


def test_three_texts_are_enough():
    assert verdict([4.9, 5.0, 5.1], "at_most", 6) == "supported"
    assert verdict([4.9, 5.0, 5.1], "at_most", 4) == "refuted"


def test_a_difference_with_one_small_group_decides_nothing():
    assert verdict(two(AROUND_5 * 4, [1.0, 1.1]), "at_least", 0) == "inconclusive"


@pytest.mark.parametrize("rule", RULES)
def test_a_smoke_run_supports_nothing_but_can_refute(rule):
    meets, misses, _ = SETTLED[rule]
    found = getattr(assess(AROUND_5, smoke=True), rule)(*meets)
    assert (found.verdict, "smoke" in found.reason) == ("inconclusive", True)
    assert verdict(AROUND_5, rule, *misses, smoke=True) == "refuted"


@pytest.mark.parametrize("rule", ["within", "outside"])
@pytest.mark.parametrize(("lo", "hi"), [(1, 1), (2, 1), (float("nan"), 1)])
def test_the_ends_of_a_range_are_in_order(rule, lo, hi):
    with pytest.raises(ValueError, match="lo < hi"):
        getattr(assess(AROUND_5), rule)(lo, hi)


@pytest.mark.parametrize("alpha", [0, -0.1, 0.5, 1, float("nan")])
def test_the_level_lies_between_0_and_a_half(alpha):
    with pytest.raises(ValueError, match="alpha"):
        assess(AROUND_5, alpha=alpha)


def test_the_level_is_5_percent_one_sided_unless_said_otherwise():
    found = assess(student(AROUND_5)).at_most(6)
    interval = stats.ttest_1samp(AROUND_5, 0).confidence_interval(0.90)
    assert (found.low, found.high, found.alpha) == pytest.approx((*interval, 0.05))


def test_an_equivalence_is_two_one_sided_tests():
    lower = stats.ttest_1samp(AROUND_5, 4.95, alternative="greater").pvalue
    upper = stats.ttest_1samp(AROUND_5, 5.08, alternative="less").pvalue
    level = max(lower, upper)
    assert verdict(student(AROUND_5), "within", 4.95, 5.08, alpha=level + 1e-6) == "supported"
    assert verdict(student(AROUND_5), "within", 4.95, 5.08, alpha=level - 1e-6) == "inconclusive"


@pytest.mark.parametrize(("lo", "hi"), [(5.03, 6), (4, 4.97)])
def test_an_equivalence_is_refuted_when_the_interval_misses_the_margins_on_either_side(lo, hi):
    nearest, side = (lo, "less") if lo > 5 else (hi, "greater")
    level = stats.ttest_1samp(AROUND_5, nearest, alternative=side).pvalue
    assert verdict(student(AROUND_5), "within", lo, hi, alpha=level + 1e-6) == "refuted"
    assert verdict(student(AROUND_5), "within", lo, hi, alpha=level - 1e-6) == "inconclusive"


def test_a_part_is_supported_at_alpha_and_refuted_at_its_share_of_alpha():
    level = stats.ttest_1samp(AROUND_5, 4.93, alternative="greater").pvalue
    assert verdict(student(AROUND_5), "at_least", 4.93, alpha=level + 1e-6, parts=4) == "supported"
    assert verdict(student(AROUND_5), "at_least", 4.93, alpha=level - 1e-6, parts=4) == "inconclusive"
    assert verdict(student(AROUND_5), "at_most", 4.93, alpha=4 * level + 1e-6, parts=4) == "refuted"
    assert verdict(student(AROUND_5), "at_most", 4.93, alpha=4 * level - 1e-6, parts=4) == "inconclusive"


@pytest.mark.parametrize(("lo", "hi", "side"), [(3, 4.93, "greater"), (5.07, 6, "less")])
def test_a_difference_on_either_side_is_supported_where_the_whole_interval_lies_beyond_an_end(lo, hi, side):
    nearest = hi if side == "greater" else lo
    level = stats.ttest_1samp(AROUND_5, nearest, alternative=side).pvalue
    assert verdict(student(AROUND_5), "outside", lo, hi, alpha=level + 1e-6) == "supported"
    assert verdict(student(AROUND_5), "outside", lo, hi, alpha=level - 1e-6) == "inconclusive"


def test_a_difference_on_either_side_is_refuted_by_equivalence():
    lower = stats.ttest_1samp(AROUND_5, 4.95, alternative="greater").pvalue
    upper = stats.ttest_1samp(AROUND_5, 5.08, alternative="less").pvalue
    level = max(lower, upper)
    assert verdict(student(AROUND_5), "outside", 4.95, 5.08, alpha=level + 1e-6) == "refuted"
    assert verdict(student(AROUND_5), "outside", 4.95, 5.08, alpha=level - 1e-6) == "inconclusive"


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("which", range(3))
@pytest.mark.parametrize("parts", [1, 20])
def test_the_interval_that_is_shown_is_the_one_that_decided(rule, which, parts):
    threshold = SETTLED[rule][which]
    found = getattr(assess(student(AROUND_5), parts=parts), rule)(*threshold)
    x, y = threshold[0], threshold[-1]
    supported, refuted = {
        "at_most": (found.high <= x, found.low > x),
        "at_least": (found.low >= x, found.high < x),
        "below": (found.high < x, found.low >= x),
        "above": (found.low > x, found.high <= x),
        "within": (x <= found.low and found.high <= y, found.low > y or found.high < x),
        "outside": (found.low >= y or found.high <= x, x < found.low and found.high < y),
    }[rule]
    assert found.verdict == ("supported" if supported else "refuted" if refuted else "inconclusive")
    ends = [student(AROUND_5).lower(found.levels[0]), student(AROUND_5).upper(found.levels[1])]
    assert [found.low, found.high] == ends
    assert {*found.levels} <= {0.05, 0.05 / parts}


@pytest.mark.parametrize("rule", ["within", "outside"])
@pytest.mark.parametrize(("which", "level"), [(0, 0.05), (1, 0.0025), (2, 0.0025)])
def test_a_rule_of_two_ends_is_shown_at_the_level_of_its_verdict_and_undecided_at_the_stricter_one(rule, which, level):
    found = getattr(assess(AROUND_5, parts=20), rule)(*SETTLED[rule][which])
    assert (found.verdict, found.levels) == (VERDICTS[which], (level, level))


def test_a_part_that_no_share_of_the_level_refutes_shows_an_interval_that_holds_the_threshold():
    values = [4.9, 5.0, 5.1, 5.2]
    level = stats.ttest_1samp(values, 4.9, alternative="greater").pvalue
    alone, one_of_six = (assess(student(values), alpha=1.5 * level, parts=parts).at_most(4.9) for parts in (1, 6))
    assert (alone.verdict, one_of_six.verdict) == ("refuted", "inconclusive")
    assert one_of_six.low < 4.9 < one_of_six.high == alone.high


@pytest.mark.parametrize("verdicts", list(product(VERDICTS, repeat=3)), ids="-".join)
def test_several_rules_are_supported_if_all_are_and_refuted_if_one_is(verdicts):
    found = all_of([judgement(name) for name in verdicts])
    refuted, supported = "refuted" in verdicts, set(verdicts) == {"supported"}
    assert found.verdict == ("refuted" if refuted else "supported" if supported else "inconclusive")
    assert (found.label, found.rule) == (found.verdict, f"rule of the {found.verdict} part")
    assert [part.verdict for part in found.parts] == list(verdicts)


def test_no_rules_are_no_claim():
    with pytest.raises(ValueError, match="at least one"):
        all_of([])


@pytest.mark.parametrize(
    "found",
    [
        assess(np.array(AROUND_5, dtype=np.float32), unit="%", label="key").at_most(4),
        assess([5.0]).at_most(4),
        undecided("no massive values"),
        assess(two(AROUND_5, AROUND_5)).at_most(0),
        assess(variation([1.0, 10.0, 100.0]), alpha=0.001).at_most(0.1),
        all_of([assess(AROUND_5, parts=2).at_most(6), assess(variation(AROUND_5), parts=2).at_most(1)]),
    ],
    ids=["float32", "one text", "undecided", "difference", "no upper bound", "parts"],
)
def test_a_judgement_becomes_plain_json_and_a_sentence(found):
    plain = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert plain == found.as_dict()
    assert (plain["verdict"], plain["values"]) == (found.verdict, list(found.values))
    assert found.verdict in str(found)


def test_a_sentence_holds_the_figures_the_rule_and_the_reason():
    text = str(assess(AROUND_5, unit="nats", label="key", smoke=True).within(4, 6))
    for piece in ("key: 5 [4.9", "nats", "in [4, 6]", "n = 6", "inconclusive", "smoke"):
        assert piece in text


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("which", range(3))
def test_a_judge_keeps_every_judgement_also_one_it_raises(rule, which):
    claim = Judge(0.05)
    with suppress(AssertionError):
        getattr(claim(AROUND_5), rule)(*SETTLED[rule][which])
    assert claim.judgement.verdict == VERDICTS[which]


def test_a_judge_judges_at_its_own_level():
    level = stats.ttest_1samp(AROUND_5, 4.95, alternative="greater").pvalue
    assert Judge(level + 1e-6)(student(AROUND_5)).at_least(4.95).alpha == level + 1e-6
    with pytest.raises(ClaimInconclusive):
        Judge(level - 1e-6)(student(AROUND_5)).at_least(4.95)


def test_a_judge_of_a_smoke_run_supports_nothing():
    with pytest.raises(ClaimInconclusive, match="smoke run"):
        Judge(0.05, smoke=True)(AROUND_5).at_most(6)


def test_a_judge_takes_a_part_for_the_only_one_and_the_kinds_for_observations_too_unless_told():
    kinds = [kind for kind in "abc" for _ in range(4)]
    values = [5.0, 5.1, 4.9, 5.0, 5.2, 5.1, 5.0, 5.0, 4.8, 4.9, 5.0, 5.0]
    found = Judge(0.05, kinds=lambda: kinds).part(values).at_most(4)
    assert found.levels == (0.05, 0.05)
    assert found.over_kinds.n == 3
    assert Judge(0.05, kinds=lambda: kinds, over_kinds=False).part(values).at_most(4).over_kinds is None


def test_what_is_undecided_before_any_arithmetic_rests_on_no_text():
    assert (undecided("no figure").n, undecided("no figure").verdict) == (0, "inconclusive")


def test_a_part_is_returned_whatever_it_is_and_judges_no_claim():
    claim = Judge(0.05)
    parts = [claim.part(AROUND_5, label=f"{x}").at_most(x) for x in (6, 4, 5)]
    assert [part.verdict for part in parts] == list(VERDICTS)
    assert claim.judgement is None


def test_parts_together_are_the_claims_judgement():
    level = stats.ttest_1samp(AROUND_5, 4.93, alternative="greater").pvalue
    claim = Judge(2 * level - 1e-6)
    misses, meets = claim.part(AROUND_5, of=2).at_most(4.93), claim.part(AROUND_5, of=2).at_most(6)
    with pytest.raises(ClaimInconclusive):  # a part of two is refuted at half the level
        claim.all_of(misses, meets)
    assert claim.judgement.parts == (misses, meets)
    assert claim.all_of(meets, meets) == claim.judgement
    assert claim.judgement.verdict == "supported"
    with pytest.raises(ClaimRefuted):
        claim.all_of(claim.part(AROUND_5, of=2).at_most(4), meets)


def test_concluding_returns_what_is_supported_and_raises_the_rest():
    assert conclude(judgement("supported")) == judgement("supported")
    for name, error in (("refuted", ClaimRefuted), ("inconclusive", ClaimInconclusive)):
        with pytest.raises(error) as caught:
            conclude(judgement(name))
        assert caught.value.judgement == judgement(name)


# properties


@given(samples, one_sided, thresholds, st.integers(-40, 40))
def test_shifting_values_and_threshold_together_changes_no_verdict(values, rule, x, shift):
    assert verdict(values, rule, x) == verdict([value + shift for value in values], rule, x + shift)


@given(samples, thresholds, st.integers(1, 30), st.integers(-40, 40))
def test_shifting_values_and_margins_together_changes_no_verdict(values, lo, width, shift):
    moved = [value + shift for value in values]
    assert verdict(values, "within", lo, lo + width) == verdict(moved, "within", lo + shift, lo + width + shift)


@given(samples, one_sided, thresholds, st.sampled_from([0.25, 2.0, 1024.0]))
def test_another_unit_changes_no_verdict(values, rule, x, factor):
    assert verdict(values, rule, x) == verdict([factor * value for value in values], rule, factor * x)


@given(samples, st.sampled_from([("at_most", "at_least"), ("below", "above")]), thresholds, st.integers(1, 12))
@example([0.0] * 5 + [1.0, -7.0, 11.0, 13.0, 41.0], ("at_most", "at_least"), 23.0, 1)  # resamples need mirroring, too
def test_upper_and_lower_rules_mirror_each_other_under_negation(values, rules, x, distinct):
    turned = verdict([-value for value in values], rules[1], -x, distinct=distinct)
    assert verdict(values, rules[0], x, distinct=distinct) == turned


@given(samples, thresholds, st.integers(1, 30))
def test_an_equivalence_is_its_own_mirror(values, lo, width):
    assert verdict(values, "within", lo, lo + width) == verdict([-v for v in values], "within", -lo - width, -lo)


@given(samples, one_sided, thresholds, st.integers(0, 30))
def test_a_looser_threshold_is_never_worse(values, rule, x, slack):
    loose = x + slack if rule in ("at_most", "below") else x - slack
    order = ("refuted", "inconclusive", "supported")
    assert order.index(verdict(values, rule, loose)) >= order.index(verdict(values, rule, x))


@given(samples, thresholds, st.integers(1, 30), st.integers(0, 9), st.integers(0, 9))
def test_wider_margins_are_never_worse(values, lo, width, below, above):
    order = ("refuted", "inconclusive", "supported")
    narrow, wide = (lo, lo + width), (lo - below, lo + width + above)
    assert order.index(verdict(values, "within", *wide)) >= order.index(verdict(values, "within", *narrow))


@given(samples, one_sided, thresholds, alphas, alphas)
def test_a_smaller_alpha_decides_nothing_that_a_larger_one_leaves_open(values, rule, x, first, second):
    small, large = sorted((first, second))
    strict = verdict(values, rule, x, alpha=small)
    assert strict in ("inconclusive", verdict(values, rule, x, alpha=large))


@given(samples, one_sided, thresholds, st.integers(2, 50), st.integers(1, 12))
def test_more_parts_never_decide_more_and_leave_support_alone(values, rule, x, parts, distinct):
    alone, together = (verdict(values, rule, x, parts=of, distinct=distinct) for of in (1, parts))
    assert together in (alone, "inconclusive")
    assert (together == "supported") == (alone == "supported")


@given(samples, thresholds)
def test_opposite_rules_are_never_both_supported_nor_both_refuted(values, x):
    assert {verdict(values, "at_most", x), verdict(values, "above", x)} not in ({"supported"}, {"refuted"})
    assert {verdict(values, "at_least", x), verdict(values, "below", x)} not in ({"supported"}, {"refuted"})


@given(samples.flatmap(lambda values: st.tuples(st.just(values), st.permutations(values))), one_sided, thresholds)
def test_the_order_of_the_texts_changes_no_verdict(both, rule, x):
    assert verdict(both[0], rule, x) == verdict(both[1], rule, x)


@given(st.lists(samples, min_size=1, max_size=4), thresholds)
def test_several_rules_are_supported_exactly_when_each_is(parts, x):
    found = [assess(values, parts=len(parts)).at_most(x) for values in parts]
    assert (all_of(found).verdict == "supported") == all(verdict(v, "at_most", x) == "supported" for v in parts)


@given(whole, st.integers(1, 20), st.sampled_from(RULES), thresholds)
def test_no_measurement_repeated_is_ever_decided(value, n, rule, x):
    assert verdict([value] * n, rule, *([x, x + 100] if rule in ("within", "outside") else [x])) == "inconclusive"


@given(whole, st.integers(3, 20), one_sided, thresholds, alphas)
def test_a_constant_is_decided_exactly_when_scipys_sign_test_rejects(value, n, rule, x, alpha):
    found = verdict([value] * n, rule, x, distinct=n, alpha=alpha)
    p = stats.binomtest(n, n, 0.5, alternative="greater").pvalue
    meets = {"at_most": value <= x, "at_least": value >= x, "below": value < x, "above": value > x}[rule]
    assert found == ("inconclusive" if p > alpha else "supported" if meets else "refuted")


@given(samples, one_sided, thresholds)
def test_a_decided_claim_has_its_estimate_on_the_side_of_the_verdict(values, rule, x):
    found = getattr(assess(values), rule)(x)
    slack = x - found.estimate if rule in ("at_most", "below") else found.estimate - x
    assert {"supported": slack >= 0, "refuted": slack <= 0, "inconclusive": True}[found.verdict]


@given(samples, one_sided, thresholds, st.integers(1, 12), st.integers(0, 12))
def test_more_different_measurements_never_decide_less(values, rule, x, distinct, more):
    few, many = (verdict(values, rule, x, distinct=number) for number in (distinct, distinct + more))
    assert few in ("inconclusive", many)


# error rates: how often a verdict is false when the truth lies exactly at the threshold

TIMES, ALPHA = 1000, 0.05
MOST = stats.binom.isf(1e-4, TIMES, ALPHA)
LEAST = stats.binom.ppf(1e-4, TIMES, ALPHA)


def frequencies(assessed, rule, *threshold) -> dict[str, int]:
    """How often each verdict comes up over assessments."""
    found = [getattr(assessment, rule)(*threshold).verdict for assessment in assessed]
    return {name: found.count(name) for name in VERDICTS}


def normal(center: float, spread: float = 1.0, *, times: int = TIMES, n: int = 5, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(center, spread, (times, n))


@pytest.mark.parametrize("rule", RULES[:4])
def test_at_the_threshold_either_verdict_is_as_rare_as_alpha_says(rule):
    found = frequencies((assess(student(row), alpha=ALPHA) for row in normal(3)), rule, 3)
    assert LEAST <= found["supported"] <= MOST
    assert LEAST <= found["refuted"] <= MOST


@pytest.mark.parametrize("true", [-1.0, 1.0])
def test_at_either_margin_an_equivalence_is_as_rarely_decided_as_alpha_says(true):
    found = frequencies((assess(student(row), alpha=ALPHA) for row in normal(true, 0.5)), "within", -1, 1)
    assert LEAST <= found["supported"] <= MOST
    assert LEAST <= found["refuted"] <= MOST


def test_a_wide_sample_is_never_equivalent_to_anything():
    found = frequencies((assess(row, alpha=ALPHA) for row in normal(0, 5, times=300)), "within", -1, 1)
    assert (found["supported"], found["refuted"] <= 30) == (0, True)


def test_at_equality_a_difference_is_as_rarely_decided_as_alpha_says():
    rows = zip(normal(6, n=4), normal(4, n=9, seed=1), strict=True)
    found = frequencies((assess(two(a, b).if_normal, alpha=ALPHA) for a, b in rows), "at_most", 2)
    assert LEAST <= found["supported"] <= MOST
    assert LEAST <= found["refuted"] <= MOST


@pytest.mark.parametrize("true", [0.05, 0.1])
def test_at_the_threshold_a_variation_is_as_rarely_decided_as_alpha_says(true):
    rows = normal(1, true, n=20)
    found = frequencies((assess(variation(row), alpha=ALPHA) for row in rows), "at_most", true)
    assert LEAST <= found["supported"] <= MOST
    assert LEAST <= found["refuted"] <= MOST


@pytest.mark.parametrize("n", [3, 5])
def test_where_half_of_the_texts_lie_beyond_a_threshold_all_of_them_do_as_rarely_as_the_sign_test_says(n):
    rows = np.random.default_rng(0).choice([4.0, 6.0], (TIMES, n))
    constant = [assess(row, alpha=0.13, distinct=n) for row in rows if np.ptp(row) == 0]
    found = frequencies(constant, "at_most", 5)
    for decided in (found["supported"], found["refuted"]):
        assert stats.binom.ppf(1e-4, TIMES, 0.5**n) <= decided <= stats.binom.isf(1e-4, TIMES, 0.5**n)


def several(centers, times: int) -> list[str]:
    """Verdicts on claims of one rule per center, each part `at_most(0)`."""
    rows = np.random.default_rng(2).normal(centers, 1.0, (times, 6, len(centers)))
    claims = ([assess(student(part), alpha=ALPHA, parts=len(centers)).at_most(0) for part in row.T] for row in rows)
    return [all_of(parts).verdict for parts in claims]


def test_with_every_part_at_its_threshold_a_claim_of_four_is_refuted_no_more_often_than_alpha():
    found = several([0, 0, 0, 0], times=600)
    assert found.count("refuted") <= stats.binom.isf(1e-4, 600, ALPHA)
    assert found.count("refuted") >= stats.binom.ppf(1e-4, 600, 1 - (1 - ALPHA / 4) ** 4)


def test_with_one_part_at_its_threshold_a_claim_of_four_is_supported_as_often_as_alpha_says():
    found = several([-9, -9, 0, -9], times=600)
    low, high = stats.binom.ppf(1e-4, 600, ALPHA), stats.binom.isf(1e-4, 600, ALPHA)
    assert low <= found.count("supported") <= high


CLEAR = {
    "at_most": [3.0],
    "at_least": [-3.0],
    "below": [3.0],
    "above": [-3.0],
    "within": [-3.0, 3.0],
    "outside": [-9.0, -3.0],
}


@pytest.mark.parametrize("rule", RULES)
def test_a_clear_effect_is_nearly_always_supported(rule):
    found = frequencies((assess(row, alpha=ALPHA) for row in normal(0, n=10, times=300)), rule, *CLEAR[rule])
    assert found["supported"] >= 0.99 * 300


@pytest.mark.parametrize("rule", RULES)
def test_a_clear_failure_is_nearly_always_refuted(rule):
    center = {"at_least": -9, "above": -9, "outside": -6}.get(rule, 9)
    found = frequencies((assess(row, alpha=ALPHA) for row in normal(center, n=10, times=300)), rule, *CLEAR[rule])
    assert found["refuted"] >= 0.99 * 300


def test_clear_differences_and_variations_are_nearly_always_decided():
    rows = normal(10, 0.5, n=10, times=300)
    for estimates, meets, misses in (
        ([two(row, row[::-1]) for row in rows], 2, -2),
        ([variation(row) for row in rows], 0.15, 0.01),
    ):
        assert frequencies(map(assess, estimates), "at_most", meets)["supported"] >= 0.99 * 300
        assert frequencies(map(assess, estimates), "at_most", misses)["refuted"] >= 0.99 * 300


KINDS = ("letter",) * 3 + ("poem",) * 3


def test_a_verdict_on_texts_of_known_kinds_takes_what_differs_between_kinds_for_no_chance():
    values = [1.0, 1.1, 0.9, 9.0, 9.1, 8.9]
    assert verdict(values, "above", 3, alpha=0.02) == "inconclusive"
    assert verdict(values, "above", 3, alpha=0.02, kinds=KINDS) == "supported"


def test_a_second_line_judges_the_kinds_as_observations_and_says_when_they_are_too_few():
    found = assess([1.0, 1.1, 0.9, 9.0, 9.1, 8.9], kinds=KINDS).above(3)
    assert (found.over_kinds.n, found.over_kinds.verdict) == (2, "inconclusive")
    assert found.over_kinds.reason == "2 kinds are too few, 3 are needed"
    kinds = ("a", "a", "b", "b", "c", "c")
    over = assess(student([1.0, 1.2, 1.4, 1.6, 1.8, 2.0]), kinds=kinds).above(0).over_kinds
    interval = stats.ttest_1samp([1.1, 1.5, 1.9], 0).confidence_interval(0.90)
    assert over.estimate == pytest.approx(1.5)
    assert over.low <= interval.low + 1e-9
    assert over.high >= interval.high - 1e-9


def test_numbers_that_are_none_of_the_texts_have_no_kinds():
    assert assess([1.0, 2.0, 3.0], kinds=KINDS).above(0).over_kinds is None
    assert assess(order(np.ones((6, 6))), distinct=6, kinds=KINDS).above(0).over_kinds is None


def test_the_share_of_the_largest_text_is_told():
    assert assess([1.0, 1.0, 1.0, -7.0]).above(0).largest == pytest.approx(70)
    assert assess([0.0, 0.0, 0.0]).above(0).largest is None


def test_a_ratio_is_judged_like_a_mean():
    found = assess(ratio([-4.0, -5.0, -6.0, -5.0], [10.0, 10.0, 10.0, 10.0]))
    assert found.at_most(-30).verdict == "supported"
    assert found.at_most(-80).verdict == "refuted"
