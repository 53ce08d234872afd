import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from lib.judging.estimates import crossed, difference, difference_of_ratios, finite, mean, ratio
from lib.judging.spread import Variation, typical_variation, variation

pytestmark = pytest.mark.cpu


def two(first, second):
    """The difference between two groups of texts."""
    return difference({"first": first, "second": second}, "first", "second")


ESTIMATES = {"mean": mean, "variation": variation, "difference": lambda values: two(values, [1.0, 2.0])}
every_estimate = pytest.mark.parametrize("estimate", ESTIMATES.values(), ids=ESTIMATES)
samples = st.integers(2, 30).flatmap(lambda n: arrays(float, n, elements=st.floats(-1e3, 1e3, width=32)))
alphas = st.floats(1e-4, 0.49)


def varied(values: np.ndarray) -> np.ndarray:
    """The values, with enough variation that scipy and we divide by something."""
    return values + np.arange(len(values))


@given(samples.map(varied).filter(lambda v: v.std() > 1e-3), alphas)
def test_bounds_of_a_mean_are_those_of_students_t(values, alpha):
    estimate = mean(values).if_normal
    interval = stats.ttest_1samp(values, 0).confidence_interval(1 - 2 * alpha)
    np.testing.assert_allclose((estimate.lower(alpha), estimate.upper(alpha)), interval, rtol=1e-9, atol=1e-9)


@given(samples, samples, alphas)
def test_bounds_of_a_difference_are_those_of_students_test_of_two_samples(first, second, alpha):
    first, second = varied(first), 3 * varied(second)
    interval = stats.ttest_ind(first, second).confidence_interval(1 - 2 * alpha)
    estimate = two(first, second).if_normal
    bounds = estimate.lower(alpha), estimate.upper(alpha)
    np.testing.assert_allclose(bounds, interval, rtol=1e-6, atol=1e-6 * (1 + abs(np.subtract(*interval))))


def test_other_kinds_lend_a_difference_their_variance():
    groups = {"a": [1.0, 2.0, 3.0], "b": [4.0, 5.0, 6.0], "c": [0.0, 30.0, 60.0]}
    alone, together = difference({k: groups[k] for k in "ab"}, "a", "b"), difference(groups, "a", "b")
    assert (alone.value, together.value) == pytest.approx((-3, -3))
    assert (alone.freedom, together.freedom) == (4, 6)
    assert together.error == pytest.approx(((1 + 1 + 900) / 3 * 2 / 3) ** 0.5)


def test_a_difference_rests_on_its_smallest_group():
    estimate = two([1.0, 2.0, 3.0], [1.0, 2.0])
    assert (estimate.n, estimate.fewest) == (5, 2)
    assert estimate.sample == (1.0, 2.0, 3.0, 1.0, 2.0)
    assert estimate.value == pytest.approx(0.5)


@pytest.mark.parametrize("n", [10, 20])
@pytest.mark.parametrize("true", [0.02, 0.1, 0.2])
def test_each_bound_of_a_variation_misses_the_true_one_as_often_as_alpha_says(true, n):
    alpha, times = 0.05, 2000
    rng = np.random.default_rng(n)
    estimates = [variation(row) for row in rng.normal(1, true, (times, n))]
    for misses in (sum(e.lower(alpha) > true for e in estimates), sum(e.upper(alpha) < true for e in estimates)):
        assert stats.binom.ppf(1e-4, times, alpha) <= misses <= stats.binom.isf(1e-4, times, alpha)


def test_a_variation_is_the_standard_deviation_over_the_mean():
    values = [90.0, 100.0, 110.0, 104.0]
    assert variation(values).value == pytest.approx(stats.variation(values, ddof=1))


def test_the_bounds_of_a_small_variation_are_those_of_its_standard_deviation():
    values = 1 + 1e-4 * np.random.default_rng(0).normal(size=12)
    estimate, spread = variation(values), values.std(ddof=1)
    exact = [spread * (11 / stats.chi2.isf(tail, 11)) ** 0.5 for tail in (0.02, 0.98)]
    assert [estimate.lower(0.02), estimate.upper(0.02)] == pytest.approx(exact, rel=1e-3)


def test_a_variation_too_large_for_its_sample_has_no_upper_bound():
    assert variation([1.0, 10.0, 100.0]).upper(0.001) == float("inf")


@pytest.mark.parametrize("values", [[0.0, 0.0], [-1.0, -2.0], [-1.0, 1.0]])
def test_a_variation_needs_a_positive_mean(values):
    with pytest.raises(ValueError, match="positive mean"):
        variation(values)


@every_estimate
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_a_value_that_is_not_finite_is_an_error_not_an_estimate(estimate, bad):
    with pytest.raises(ValueError, match="not finite"):
        estimate([1.0, bad, 2.0])


@every_estimate
@pytest.mark.parametrize("shape", [(0,), (2, 3), ()])
def test_values_that_are_not_one_number_per_text_are_an_error(estimate, shape):
    with pytest.raises(ValueError, match="one number per text"):
        estimate(np.ones(shape))


@pytest.mark.parametrize("bad", [[], [1.0, float("nan")]])
def test_both_groups_of_a_difference_are_checked(bad):
    with pytest.raises(ValueError, match=r"text|finite"):
        two([1.0, 2.0], bad)


def test_values_become_float64():
    assert finite(np.array([1, 2, 3], dtype=np.int32)).dtype == np.float64


@pytest.mark.parametrize("number", [0.1, 1 / 3, 3.0, 1e6 / 7, 1e-9])
@pytest.mark.parametrize("n", [2, 7, 20])
def test_one_number_repeated_is_recognised_as_constant(number, n):
    assert mean([number] * n).constant
    assert variation([number] * n).constant
    assert two([number] * n, [2 * number] * n).constant
    assert ratio([number] * n, [2 * number] * n).constant


@pytest.mark.parametrize("number", [0.0, 0.1, -5.0])
def test_the_bounds_of_a_constant_are_the_number(number):
    estimate = mean([number] * 5)
    assert estimate.constant
    assert estimate.lower(0.01) == estimate.value == estimate.upper(0.01) == pytest.approx(number)


@pytest.mark.parametrize("estimate", [mean([0.1] * 7), two([0.3] * 7, [0.2] * 9), variation([0.1] * 8)])
def test_the_exact_bounds_of_a_constant_are_the_number_where_the_sign_test_reaches_the_level(estimate):
    exact = estimate.exact(100, [])
    assert exact.p == 2**-7
    assert exact.lower(2**-7) == exact.upper(2**-7) == exact.value == pytest.approx(estimate.value)
    assert (exact.lower(2**-7 - 1e-9), exact.upper(2**-7 - 1e-9)) == (-float("inf"), float("inf"))


@pytest.mark.parametrize("values", [[1.0, 1.0, 1.000001], [-1.0, 0.0, 1.0], [0.0, 0.0, 1e-9]])
def test_a_sample_that_varies_is_not_constant(values):
    assert not mean(values).constant
    assert not variation([value + 2 for value in values]).constant
    assert not two(values, [1.0] * 4).constant
    assert not ratio(values, [1.0] * 3).constant


@given(samples.map(varied), alphas, alphas)
def test_a_smaller_alpha_gives_a_wider_interval(values, first, second):
    small, large = sorted((first, second))
    for estimate in (
        mean(values),
        variation(np.abs(values) + 1),
        two(values, values),
        ratio(values, np.abs(values) + 1),
    ):
        assert estimate.lower(small) <= estimate.lower(large) + 1e-9
        assert estimate.upper(small) >= estimate.upper(large) - 1e-9


def test_the_bounds_of_a_variation_are_vangels_worked_by_hand():
    # chi-square with 9 degrees of freedom: 5 % lie above 16.919, 5 % below 3.3251
    estimate = Variation(0.3, 10)
    assert estimate.lower(0.05) == pytest.approx(0.3 / (0.8919 * 0.09 + 16.919 / 9) ** 0.5, rel=1e-4)
    assert estimate.upper(0.05) == pytest.approx(0.3 / (-0.46749 * 0.09 + 3.3251 / 9) ** 0.5, rel=1e-4)


@given(samples.map(varied).filter(lambda v: len(v) > 2), alphas)
def test_a_bound_is_never_nearer_than_students(values, alpha):
    estimate = mean(values)
    assert estimate.upper(alpha) >= estimate.if_normal.upper(alpha)
    assert estimate.lower(alpha) <= estimate.if_normal.lower(alpha)


def test_the_bootstrap_moves_the_bound_on_the_side_of_the_long_tail_and_no_other():
    estimate = mean([1.0, 1.0, 1.1, 1.2, 1.3, 1.5, 2.0, 9.0])
    assert estimate.upper(0.02) > estimate.if_normal.upper(0.02) + 1
    assert estimate.lower(0.02) == estimate.if_normal.lower(0.02)


def test_texts_in_any_order_give_the_same_bounds():
    values = np.random.default_rng(0).lognormal(size=20)
    bounds = [mean(v).upper(0.01) for v in (values, values[::-1], np.sort(values))]
    assert bounds == pytest.approx([bounds[0]] * 3, rel=1e-12)


KINDS = ("a",) * 5 + ("b",) * 3 + ("c",) * 4


def test_the_error_of_texts_by_kind_is_worked_by_hand():
    rng = np.random.default_rng(0)
    values = rng.normal(size=12) + np.repeat([0.0, 10.0, -5.0], [5, 3, 4])
    estimate = mean(values).by_kind(KINDS)
    groups = [values[:5], values[5:8], values[8:]]
    parts = [(len(g) / 12) ** 2 * g.var(ddof=1) / len(g) for g in groups]
    assert estimate.value == pytest.approx(values.mean())
    assert estimate.error == pytest.approx(sum(parts) ** 0.5)
    freedom = sum(parts) ** 2 / sum(p**2 / (len(g) - 1) for p, g in zip(parts, groups, strict=True))
    assert estimate.freedom == pytest.approx(freedom)
    assert estimate.error < mean(values).error / 2


def test_kinds_of_one_text_are_taken_together_and_a_single_one_joins_the_smallest_other():
    values = np.array([1.0, 2.0, 3.0, 4.0, 9.0])
    assert mean(values).by_kind("aabbc").error == pytest.approx(mean(values).by_kind("aabba").error)
    assert mean(values).by_kind("abacd").error == pytest.approx(mean(values).by_kind("ababb").error)
    assert mean(values).by_kind("abcde").error == pytest.approx(mean(values).error)


def test_numbers_that_differ_from_kind_to_kind_alone_are_taken_as_one_sample():
    values = [1.0, 1.0, 2.0, 2.0, 5.0, 5.0]
    estimate = mean(values).by_kind("aabbcc")
    assert estimate.error == pytest.approx(mean(values).error)
    assert not estimate.constant


def test_kinds_as_observations_are_their_means():
    estimate = mean([1.0, 3.0, 5.0, 5.0, 8.0]).over_kinds("aabbc")
    assert estimate.sample == (2.0, 5.0, 8.0)
    above = ratio([1.0, 3.0, 5.0], [2.0, 2.0, 4.0]).over_kinds("aab")
    assert (above.above, above.below) == ((2.0, 5.0), (2.0, 4.0))


def test_crossed_effects_add_the_error_of_draws_to_that_of_texts():
    table = np.random.default_rng(0).normal(size=(12, 5)) + np.arange(5)
    estimate, texts, draws = crossed(table), mean(table.mean(1)), mean(table.mean(0))
    assert estimate.value == pytest.approx(table.mean())
    assert estimate.error == pytest.approx((texts.error**2 + draws.error**2) ** 0.5)
    parts = np.array([texts.error, draws.error]) ** 2
    assert estimate.freedom == pytest.approx(parts.sum() ** 2 / (parts**2 / [11, 4]).sum())
    with pytest.raises(ValueError, match="texts and draws"):
        crossed(np.ones(3))


@given(samples.map(varied).filter(lambda v: len(v) > 2), st.floats(1e-3, 0.2))
def test_a_ratio_is_at_a_bound_where_the_difference_is_just_clear_of_0(values, alpha):
    below = np.abs(values) + 100.0 + np.arange(len(values)) % 3
    estimate = ratio(values, below).if_normal
    for bound, side in ((estimate.lower(alpha), "greater"), (estimate.upper(alpha), "less")):
        if np.isfinite(bound) and not estimate.constant:
            p = stats.ttest_1samp(values - bound / 100 * below, 0, alternative=side).pvalue
            assert p == pytest.approx(alpha, rel=1e-3)


def test_the_ends_of_a_ratio_are_found_however_far_they_are():
    below = np.array([1.0, 9.0, 2.0, 8.0, 1.0, 9.0])
    for factor in (1e-6, 1.0, 1e6):
        estimate = ratio(factor * np.array([9.0, 1.0, 8.0, 2.0, 9.0, 1.0]), below).if_normal
        for bound, sign in ((estimate.lower(0.02), 1), (estimate.upper(0.02), -1)):
            beyond = factor * np.array([9.0, 1.0, 8.0, 2.0, 9.0, 1.0]) - bound / 100 * below
            # brentq ends within 1e-9 percent
            assert sign * beyond.mean() / stats.sem(beyond) == pytest.approx(stats.t.isf(0.02, 5), rel=1e-3)


def test_a_ratio_of_0_has_ends():
    found = ratio([-2.0, 2.0, -1.0, 1.0], [2.0] * 4).if_normal
    assert found.value == 0
    assert (
        -found.lower(0.02) == pytest.approx(found.upper(0.02)) == pytest.approx(50 * mean([-2, 2, -1, 1]).upper(0.02))
    )


def test_a_variation_is_that_of_normal_texts():
    found = variation([1.0, 2.0, 4.0])
    assert found.if_normal is found


def test_a_ratio_of_texts_by_kind_has_the_error_within_kinds():
    above = np.array([1.0, 2.0, 3.0, 2.5, 11.0, 12.0, 14.0, 13.0, 1.0, 3.0, 2.0, 2.0])
    below = np.array([2.0, 3.0, 2.0, 3.5, 2.0, 3.0, 3.0, 2.5, 4.0, 2.0, 3.0, 3.0])
    kinds = "aaaabbbbcccc"
    found = ratio(above, below).by_kind(kinds).if_normal
    beyond = mean(above - found.upper(0.02) / 100 * below).by_kind(kinds)
    assert beyond.value + stats.t.isf(0.02, beyond.freedom) * beyond.error == pytest.approx(0, abs=1e-9)
    assert found.upper(0.02) < ratio(above, below).if_normal.upper(0.02) - 10


def test_a_ratio_that_differs_from_kind_to_kind_alone_is_taken_of_one_sample():
    above, below = [1.0, 1.0, 2.0, 2.0, 5.0, 5.0], [2.0] * 6
    found, plain = ratio(above, below).by_kind("aabbcc"), ratio(above, below)
    assert (found.lower(0.02), found.upper(0.02)) == (plain.lower(0.02), plain.upper(0.02))
    assert plain.lower(0.02) < plain.value < plain.upper(0.02) < float("inf")


def test_ratios_that_differ_within_rounding_alone_are_constant():
    """What differs by less than 1e-12 of 100 % is computed and no measurement."""
    assert not ratio([1e-11, 2e-11, 3e-11], [1.0, 1.0, 1.0]).constant
    assert ratio([1e-15, 2e-15, 3e-15], [1.0, 1.0, 1.0]).constant
    assert ratio([1e4, 1e4 + 1e-9, 1e4], [1.0, 1.0, 1.0]).constant
    assert not ratio([1e4, 1e4 + 1e-7, 1e4], [1.0, 1.0, 1.0]).constant


def test_a_ratio_becomes_the_limit_that_it_equals_but_for_rounding():
    tie = ratio([0.3 - 0.1] * 9, [2.0] * 9)
    assert tie.exact(9, [10.0]).value == 10.0
    assert ratio([1e-15] * 9, [1.0] * 9).exact(9, [0.0]).value == 0.0
    assert ratio([1e-11] * 9, [1.0] * 9).exact(9, [0.0]).value == pytest.approx(1e-9)
    assert ratio([1e4 + 1e-9] * 9, [1.0] * 9).exact(9, [1e6]).value == 1e6
    assert tie.exact(4, []).signs == 4
    assert tie.exact(99, []).signs == 9


def test_texts_and_draws_that_do_not_vary_have_no_error():
    estimate = crossed(np.full((4, 3), 0.1))
    assert (estimate.error, estimate.freedom) == (0.0, 2.0)
    assert estimate.lower(0.01) == estimate.upper(0.01) == estimate.value
    assert crossed(np.full((2, 5), 0.1)).freedom == 1.0


def test_a_ratio_of_means_is_not_the_mean_of_ratios():
    estimate = ratio([1.0, 10.0], [1.0, 20.0])
    assert estimate.value == pytest.approx(100 * 11 / 21)
    assert np.mean(estimate.sample) == pytest.approx(estimate.value)


def test_a_ratio_to_something_that_may_be_0_has_no_bounds():
    estimate = ratio([1.0, 2.0, 3.0, 2.0], [0.0, 5.0, 0.0, 0.1])
    assert (estimate.lower(0.001), estimate.upper(0.001)) == (-float("inf"), float("inf"))


@pytest.mark.parametrize("below", [[0.0, 0.0], [-1.0, -1.0], [1.0]])
def test_a_ratio_needs_something_positive_below_for_each_text(below):
    with pytest.raises(ValueError, match="positive mean"):
        ratio([1.0, 2.0], below)


def test_a_difference_of_ratios_is_that_of_its_parts_and_pairs_texts():
    base = np.array([100.0, 200.0, 300.0, 150.0])
    first, second = ratio(-0.1 * base, base), ratio(-0.4 * base, base)
    found = difference_of_ratios(first, second)
    assert found.value == pytest.approx(30)
    assert found.constant
    noisy = ratio(-0.1 * base + [3.0, -3.0, 1.0, 2.0], base)
    assert difference_of_ratios(noisy, second).value == pytest.approx(noisy.value + 40)
    assert difference_of_ratios(second, noisy).value == pytest.approx(-40 - noisy.value)
    own = (100 * np.array(noisy.above) - noisy.value * base) / base.mean()
    assert difference_of_ratios(second, noisy).sample == pytest.approx((-own - 40 - noisy.value).tolist())
    assert difference_of_ratios(noisy, noisy).sample == pytest.approx([0.0] * 4)


@pytest.mark.parametrize("n", [10, 20])
def test_each_bound_of_a_typical_variation_misses_the_true_one_as_often_as_alpha_says(n):
    alpha, times, true = 0.05, 2000, 0.1
    estimates = [typical_variation(row) for row in np.random.default_rng(n).normal(1, true, (times, n))]
    for misses in (sum(e.lower(alpha) > true for e in estimates), sum(e.upper(alpha) < true for e in estimates)):
        assert stats.binom.ppf(1e-4, times, 0.9 * alpha) <= misses <= stats.binom.isf(1e-4, times, 1.1 * alpha)
    assert np.mean([e.value for e in estimates]) == pytest.approx(true, rel=0.02)


def test_one_odd_text_moves_a_typical_variation_no_more_than_its_place_does():
    values = np.random.default_rng(0).normal(100, 3, 20)
    odd, odder = (np.append(values, far) for far in (300.0, 30_000.0))
    assert typical_variation(odd).value == typical_variation(odder).value
    assert typical_variation(odd).upper(0.01) < 0.07 < variation(odd).lower(0.01)


def test_a_typical_variation_needs_a_positive_median():
    with pytest.raises(ValueError, match="positive median"):
        typical_variation([-1.0, 0.0, 5.0])
