import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from lib.judging.order import EXACT, critical, order
from lib.judging.verdicts import assess

pytestmark = pytest.mark.cpu
courses = st.integers(3, 12).flatmap(lambda n: arrays(float, n, elements=st.integers(0, 9).map(float)))


def rises(course, axis):
    """Orders courses without ties as Spearman's rho does."""
    return (course * np.arange(course.shape[axis])).sum(axis)


@given(courses.filter(lambda c: len(set(c)) == len(c)))
def test_without_ties_an_order_is_spearmans_rho_of_the_means(course):
    table = np.stack([course - 1, course + 1])
    assert order(table).value == pytest.approx(stats.spearmanr(course, range(len(course))).statistic)


@given(courses)
def test_a_course_turned_round_has_the_opposite_order(course):
    assert order(course[None, ::-1]).value == pytest.approx(-order(course[None]).value, abs=1e-12)


@pytest.mark.parametrize("points", [4, 5, 7])
@pytest.mark.parametrize("alpha", [0.05, 0.0125, 0.2])
def test_an_order_is_clear_of_0_exactly_when_the_share_of_all_orders_that_reach_it_is_small(points, alpha):
    rng = np.random.default_rng(points)
    for _ in range(30):
        course = rng.permutation(points).astype(float)
        drawn = stats.permutation_test(
            (course,), rises, vectorized=True, permutation_type="pairings", alternative="less", n_resamples=np.inf
        )
        if abs(drawn.pvalue - alpha) > 1e-9:
            assert (order(course[None]).upper(alpha) < 0) == (drawn.pvalue < alpha)


def test_orders_of_up_to_8_points_are_counted_so_that_a_bound_lies_between_two_of_them():
    steps = critical(EXACT, 0.0125) * (EXACT * (EXACT**2 - 1) / 12)  # the smallest difference of two orders is 1
    assert (EXACT, steps % 1) == (8, pytest.approx(0.5))


def test_an_order_that_is_as_rare_as_the_level_is_rare_enough():
    # of the 6 orders of 3 points, 3 reach a rho of 0.5
    assert critical(3, 0.5) == 0


def test_where_no_order_is_rare_enough_the_bounds_are_all_correlations():
    falling = order([[3.0, 2.0, 1.0]])
    assert (falling.lower(0.01), falling.upper(0.01)) == (-1, 1)


@pytest.mark.parametrize("points", [9, 12])
def test_beyond_the_orders_that_are_counted_students_t_is_used(points):
    alpha = 0.01
    reach = critical(points, alpha)
    assert stats.t.sf(reach * ((points - 2) / (1 - reach**2)) ** 0.5, points - 2) == pytest.approx(alpha)


def test_noise_that_all_texts_share_is_not_taken_for_an_order():
    rng, times, alpha = np.random.default_rng(0), 1000, 0.05
    found = [order(rng.normal(size=(20, 6)) + 5 * rng.normal(size=6)).upper(alpha) < 0 for _ in range(times)]
    assert sum(found) <= stats.binom.isf(1e-4, times, alpha)


def test_the_points_are_the_observations_and_the_texts_limit_them():
    assert (order(np.random.default_rng(0).normal(size=(20, 5))).n, order(np.ones((20, 5))).fewest) == (5, 5)
    assert order(np.ones((2, 5))).fewest == 2


def test_equal_points_have_no_order_and_texts_of_one_course_may_be_one_measurement():
    assert order(np.ones((4, 5))).value == 0
    assert order(np.tile([3.0, 2.0, 1.0], (4, 1))).constant
    assert not order(np.array([[3.0, 2.0, 1.0], [6.0, 5.0, 4.0]])).constant


@pytest.mark.parametrize("shape", [(4,), (4, 2), (0, 3)])
def test_an_order_of_too_little_is_an_error(shape):
    with pytest.raises(ValueError, match="texts at 3 points or more"):
        order(np.ones(shape))


def test_an_order_with_a_value_that_is_not_finite_is_an_error():
    with pytest.raises(ValueError, match="not finite"):
        order(np.array([[1.0, 2.0, 3.0], [1.0, np.nan, 3.0]]))


def test_the_bounds_of_an_order_are_correlations():
    assert order([[6.0, 5.0, 4.0, 3.0]]).lower(0.05) == -1
    assert order([[3.0, 4.0, 5.0, 6.0]]).upper(0.05) == 1


def test_three_points_are_too_few_for_an_order_at_the_level_of_a_claim():
    rising = np.tile([1.0, 2.0, 3.0], (6, 1)) + np.arange(6)[:, None] * [0.1, 0.2, 0.3]
    assert assess(order(rising), alpha=0.0125, parts=2, distinct=6).below(0).verdict == "inconclusive"
