import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from lib.judging.estimates import Variation, contrast, finite, mean, trend, variation

pytestmark = pytest.mark.cpu
ESTIMATES = {"mean": mean, "variation": variation, "contrast": lambda values: contrast(values, [1.0, 2.0], 1.0)}
every_estimate = pytest.mark.parametrize("estimate", ESTIMATES.values(), ids=ESTIMATES)
samples = st.integers(2, 30).flatmap(lambda n: arrays(float, n, elements=st.floats(-1e3, 1e3, width=32)))
alphas = st.floats(1e-4, 0.49)


def varied(values: np.ndarray) -> np.ndarray:
    """The values, with enough variation that scipy and we divide by something."""
    return values + np.arange(len(values))


@given(samples.map(varied).filter(lambda v: v.std() > 1e-3), alphas)
def test_bounds_of_a_mean_are_those_of_students_t(values, alpha):
    estimate = mean(values)
    interval = stats.ttest_1samp(values, 0).confidence_interval(1 - 2 * alpha)
    np.testing.assert_allclose((estimate.lower(alpha), estimate.upper(alpha)), interval, rtol=1e-9, atol=1e-9)


@given(samples, samples, st.floats(0.5, 12), alphas)
def test_bounds_of_a_contrast_are_those_of_welchs_test_on_scaled_groups(first, second, weight, alpha):
    first, second = varied(first), 3 * varied(second)
    welch = stats.ttest_ind(first, weight * second, equal_var=False).confidence_interval(1 - 2 * alpha)
    estimate = contrast(first, second, weight)
    bounds = estimate.lower(alpha), estimate.upper(alpha)
    np.testing.assert_allclose(bounds, welch, rtol=1e-6, atol=1e-6 * (1 + abs(np.subtract(*welch))))


def test_a_contrast_of_unlike_groups_has_welchs_degrees_of_freedom_not_pooled_ones():
    wide, narrow = [0.0, 100.0, 200.0], [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]
    assert contrast(wide, narrow, 1).freedom == pytest.approx(stats.ttest_ind(wide, narrow, equal_var=False).df)
    assert contrast(wide, narrow, 1).freedom < 2.01


def test_a_contrast_rests_on_its_smallest_group():
    estimate = contrast([1.0, 2.0, 3.0], [1.0, 2.0], 1.5)
    assert (estimate.n, estimate.fewest) == (5, 2)
    assert estimate.sample == (1.0, 2.0, 3.0, 1.0, 2.0)
    assert estimate.value == pytest.approx(2 - 1.5 * 1.5)


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
def test_both_groups_of_a_contrast_are_checked(bad):
    with pytest.raises(ValueError, match=r"text|finite"):
        contrast([1.0, 2.0], bad, 1)


def test_values_become_float64():
    assert finite(np.array([1, 2, 3], dtype=np.int32)).dtype == np.float64


@pytest.mark.parametrize("number", [0.1, 1 / 3, 3.0, 1e6 / 7, 1e-9])
@pytest.mark.parametrize("n", [2, 7, 20])
def test_one_number_repeated_is_recognised_as_constant(number, n):
    assert mean([number] * n).constant
    assert variation([number] * n).constant
    assert contrast([number] * n, [2 * number] * n, 1.5).constant


@pytest.mark.parametrize("n", [3, 7, 19])
def test_a_contrast_of_constants_is_constant_also_where_it_is_zero_but_for_rounding(n):
    assert contrast([0.3] * n, [0.2] * n, 1.5).constant


@pytest.mark.parametrize("number", [0.0, 0.1, -5.0])
def test_the_bounds_of_a_constant_are_the_number(number):
    estimate = mean([number] * 5)
    assert estimate.lower(0.01) == estimate.value == estimate.upper(0.01) == pytest.approx(number)


@pytest.mark.parametrize("estimate", [mean([0.1] * 7), contrast([0.3] * 7, [0.2] * 9, 2.0), variation([0.1] * 8)])
def test_the_exact_bounds_of_a_constant_are_the_number_where_the_sign_test_reaches_the_level(estimate):
    exact = estimate.exact(100, [])
    assert (exact.p, exact.n, exact.sample) == (2**-7, estimate.n, estimate.sample)
    assert exact.lower(2**-7) == exact.upper(2**-7) == exact.value == pytest.approx(estimate.value)
    assert (exact.lower(2**-7 - 1e-9), exact.upper(2**-7 - 1e-9)) == (-float("inf"), float("inf"))


@pytest.mark.parametrize("values", [[1.0, 1.0, 1.000001], [-1.0, 0.0, 1.0], [0.0, 0.0, 1e-9]])
def test_a_sample_that_varies_is_not_constant(values):
    assert not mean(values).constant
    assert not variation([value + 2 for value in values]).constant
    assert not contrast(values, [1.0] * 4, 1.5).constant


@given(samples.map(varied), alphas, alphas)
def test_a_smaller_alpha_gives_a_wider_interval(values, first, second):
    small, large = sorted((first, second))
    for estimate in (mean(values), variation(np.abs(values) + 1), contrast(values, values, 2)):
        assert estimate.lower(small) <= estimate.lower(large) + 1e-9
        assert estimate.upper(small) >= estimate.upper(large) - 1e-9


def test_the_bounds_of_a_variation_are_vangels_worked_by_hand():
    # chi-square with 9 degrees of freedom: 5 % lie above 16.919, 5 % below 3.3251
    estimate = Variation(0.3, 10, 10)
    assert estimate.lower(0.05) == pytest.approx(0.3 / (0.8919 * 0.09 + 16.919 / 9) ** 0.5, rel=1e-4)
    assert estimate.upper(0.05) == pytest.approx(0.3 / (-0.46749 * 0.09 + 3.3251 / 9) ** 0.5, rel=1e-4)


tables = st.tuples(st.integers(3, 12), st.integers(3, 8)).flatmap(
    lambda shape: arrays(float, shape, elements=st.integers(0, 9).map(float))
)


@given(tables, alphas)
def test_a_bound_of_a_trend_is_clear_of_0_exactly_when_pages_test_rejects(table, alpha):
    found = trend(table)
    for p, clear in ((found.p_rising, found.lower(alpha) > 0), (found.p_falling, found.upper(alpha) < 0)):
        if abs(p - alpha) > 1e-9:
            assert clear == (p < alpha)


@given(tables)
def test_the_p_values_of_a_trend_are_scipys(table):
    found = trend(table)
    assert found.p_rising == pytest.approx(stats.page_trend_test(table, method="asymptotic").pvalue)
    assert found.p_falling == pytest.approx(stats.page_trend_test(-table, method="asymptotic").pvalue)


@given(tables)
def test_pages_l_counted_by_hand_gives_the_same_trend(table):
    n, k = table.shape
    ranks = np.array([[sum(b < a for b in row) + (sum(b == a for b in row) + 1) / 2 for a in row] for row in table])
    page = sum(j * total for j, total in enumerate(ranks.sum(0), start=1))
    assert trend(table).value == pytest.approx(12 * (page - n * k * (k + 1) ** 2 / 4) / (n * (k**3 - k)), abs=1e-12)


def test_without_ties_a_trend_is_the_mean_of_spearmans_rho():
    table = np.random.default_rng(0).permuted(np.tile(np.arange(6.0), (8, 1)), axis=1)
    rhos = [stats.spearmanr(row, range(6)).statistic for row in table]
    assert trend(table).sample == pytest.approx(rhos)
    assert trend(table).value == pytest.approx(np.mean(rhos))


def test_values_that_always_fall_have_a_trend_of_minus_1_and_always_rise_of_1():
    steps = np.arange(5.0) * np.arange(1, 5)[:, None]
    assert trend(-steps).value == pytest.approx(-1)
    assert trend(steps).value == pytest.approx(1)


@given(tables)
def test_a_trend_turned_round_is_its_opposite(table):
    assert trend(table[:, ::-1]).value == pytest.approx(-trend(table).value, abs=1e-12)


@pytest.mark.parametrize("points", [3, 6])
def test_without_a_trend_pages_test_is_wrong_as_often_as_alpha_says(points):
    alpha, times = 0.05, 2000
    rng = np.random.default_rng(points)
    found = [trend(rng.normal(size=(12, points))) for _ in range(times)]
    for misses in (sum(t.lower(alpha) > 0 for t in found), sum(t.upper(alpha) < 0 for t in found)):
        # the normal approximation is a little off at 3 points
        assert stats.binom.ppf(1e-4, times, 0.8 * alpha) <= misses <= stats.binom.isf(1e-4, times, 1.2 * alpha)


def test_the_bounds_of_a_trend_are_correlations():
    falling = trend([[3.0, 2.0, 1.0], [6.0, 5.0, 3.0]])
    assert falling.lower(0.05) == -1
    assert trend([[1.0, 2.0, 3.0], [3.0, 5.0, 6.0]]).upper(0.05) == 1


def test_equal_values_have_no_trend_and_the_same_row_again_is_one_observation():
    assert trend(np.ones((4, 5))).value == 0
    assert trend(np.tile([3.0, 2.0, 1.0], (4, 1))).constant
    assert not trend(np.array([[3.0, 2.0, 1.0], [6.0, 5.0, 4.0]])).constant


@pytest.mark.parametrize("shape", [(4,), (4, 2), (0, 3)])
def test_a_trend_of_too_little_is_an_error(shape):
    with pytest.raises(ValueError, match="texts at 3 points or more"):
        trend(np.ones(shape))


def test_one_text_has_a_trend_that_shows_nothing():
    alone = trend([[3.0, 2.0, 1.0]])
    assert (alone.fewest, alone.p_falling, alone.p_rising) == (1, 1.0, 1.0)


def test_a_trend_with_a_value_that_is_not_finite_is_an_error():
    with pytest.raises(ValueError, match="not finite"):
        trend(np.array([[1.0, 2.0, 3.0], [1.0, np.nan, 3.0]]))
