"""Means over tasks of numbers that items take, against plain formulas and simulated items."""

import numpy as np
import pytest
from scipy import stats

from lib.judging import mean
from lib.judging.items import item_difference, item_mean, item_ratio, wilson
from lib.judging.proportions import proportion
from lib.judging.verdicts import assess

pytestmark = pytest.mark.cpu
POINTS = (-100, 0, 100)


def of(*tasks, possible=POINTS):
    """A mean over tasks, of which each is a list of its items' numbers."""
    numbers = [number for task in tasks for number in task]
    return item_mean(numbers, [name for name, task in enumerate(tasks) for _ in task], possible)


def lost(number, gained=0, *, items):
    """Numbers of so many items, of which some lose and some gain 100 points."""
    return [100] * number + [-100] * gained + [0] * (items - number - gained)


def test_every_task_counts_the_same_and_the_sample_has_the_same_mean():
    found = of([100, 0], [0, 0, 0, -100])
    assert found.value == pytest.approx((50 - 25) / 2)
    assert np.mean(found.sample) == pytest.approx(found.value)
    assert found.sample == pytest.approx((150, 0, 0, 0, 0, -75))
    assert (found.n, found.fewest) == (6, 2)


def test_the_order_of_items_changes_no_bound():
    one, other = of(lost(3, 1, items=20), lost(9, items=10)), of(lost(3, 1, items=20)[::-1], lost(9, items=10)[::-1])
    assert (one.lower(0.01), one.upper(0.01)) == (other.lower(0.01), other.upper(0.01))


@pytest.mark.parametrize("alpha", [0.05, 0.004])
def test_for_frequent_changes_a_bound_is_near_that_of_student(alpha):
    numbers = lost(40, 10, items=100)
    found, plain = of(numbers), mean(numbers).if_normal
    assert found.upper(alpha) >= plain.upper(alpha) - 1e-9
    assert found.lower(alpha) <= plain.lower(alpha) + 1e-9
    assert found.upper(alpha) == pytest.approx(plain.upper(alpha), abs=1)
    assert found.lower(alpha) == pytest.approx(plain.lower(alpha), abs=1)


@pytest.mark.parametrize(("hits", "n"), [(0, 30), (1, 30), (2, 100)])
def test_a_rare_loss_has_wilsons_upper_bound(hits, n):
    found = item_mean(lost(hits, items=n), ["a"] * n, (0, 100))
    assert found.upper(0.01) == pytest.approx(proportion(hits, n).upper(0.01))
    assert found.upper(0.01) > mean(lost(hits, items=n)).if_normal.upper(0.01)


def test_a_number_that_no_item_gave_bounds_the_mean_if_an_item_might():
    assert of([0] * 50, possible=()).upper(0.01) == 0
    assert of([0] * 50).upper(0.01) == pytest.approx(-of([0] * 50).lower(0.01))
    assert of([0] * 50).upper(0.01) > 5


def test_two_tasks_without_a_change_bound_their_mean_better_than_one():
    one, two = of([0] * 50), of([0] * 50, [0] * 50)
    assert two.upper(0.01) == pytest.approx(one.upper(0.01) / 2**0.5)


def test_shares_that_gain_and_lose_are_correlated():
    # a share that grows takes from the other: bounds of the difference are wider than of independent shares
    b, c, n, deviate = 30, 20, 50, stats.norm.isf(0.01)
    found = of(lost(b, c, items=n))
    up, down = wilson(np.array([b / n, c / n]), n, deviate)
    # of two outcomes, the rarer one is what differs: -200 points from the other
    assert found.upper(0.01) == pytest.approx(max(mean(lost(b, c, items=n)).if_normal.upper(0.01), 100 - 200 * down[1]))
    assert up[1] > c / n > down[1]


def test_a_difference_is_of_other_tasks():
    first, second = of(lost(10, items=20), lost(2, items=10)), of(lost(4, items=16))
    found = item_difference(first, second)
    assert found.value == pytest.approx(first.value - second.value)
    assert np.mean(found.sample) == pytest.approx(found.value)
    assert (found.n, found.fewest) == (46, 10)
    reach = lambda part, side: part.outcomes._of_shares(part.outcomes.worth[..., 0], 0.01, side)  # noqa: E731
    apart = (reach(first, 1) ** 2 + reach(second, -1) ** 2) ** 0.5
    assert reach(found, 1) == pytest.approx(apart)


def ratio(before, after, chance=0.25, task="a"):
    before, after = np.array(before, float), np.array(after, float)
    possible = {task: [(b - a, b - chance) for b in (0, 1) for a in (0, 1)]}
    return item_ratio(before - after, before - chance, [task] * len(before), possible)


def test_a_ratio_is_that_of_two_means_and_a_bound_makes_the_difference_clear_of_zero():
    found = ratio([1] * 80 + [0] * 20, [1] * 40 + [0] * 50 + [1] * 10)
    assert found.value == pytest.approx(100 * 0.3 / 0.55)
    for bound, side in ((found.lower(0.01), -1), (found.upper(0.01), 1)):
        direction = np.array([1, -bound / 100])
        clear = found.outcomes.value(direction) + side * found.outcomes.reach(direction, 0.01, side)
        assert clear == pytest.approx(0, abs=1e-6)


def test_a_ratio_over_nothing_that_is_clear_of_zero_has_no_end():
    assert ratio([1, 0, 0, 0, 1] * 2, [0] * 10).upper(0.001) == np.inf


def test_bad_numbers_are_refused():
    with pytest.raises(ValueError, match="not finite"):
        of([0.0, np.nan])
    with pytest.raises(ValueError, match="2 numbers of items need as many tasks, got 3"):
        item_mean([1, 2], "abc")
    with pytest.raises(ValueError, match="positive mean"):
        item_ratio([1, 1], [0, 0], "aa", {"a": []})


def test_where_all_items_give_the_same_so_many_of_them_are_judged_as_are_different():
    same = of([0] * 200, [0] * 200)
    assert assess(same, distinct=200, alpha=0.01).within(-5, 5).verdict == "supported"
    repeated = assess(same, distinct=3, alpha=0.01).within(-5, 5)
    assert (repeated.verdict, repeated.n) == ("inconclusive", 400)
    assert assess(same, distinct=1, alpha=0.01).within(-5, 5).n == 1


@pytest.mark.parametrize(("p_lost", "p_gained"), [(0.05, 0.0), (0.05, 0.05), (0.3, 0.02), (0.9, 0.02)])
@pytest.mark.parametrize(("items", "tasks"), [(80, 6), (100, 1)])
def test_bounds_are_wrong_no_more_than_twice_as_often_as_they_may(p_lost, p_gained, items, tasks):
    draws, alpha, truth = 2000, 0.02, 100 * (p_lost - p_gained)
    drawn = np.random.default_rng(0).multinomial(items, [p_lost, p_gained, 1 - p_lost - p_gained], (draws, tasks))
    wrong = np.zeros(2)
    for counts in drawn:
        found = of(*(lost(int(a), int(b), items=items) for a, b, _ in counts))
        wrong += found.lower(alpha) > truth, found.upper(alpha) < truth
    # three standard errors of a rate of twice the level
    assert (wrong <= draws * 2 * alpha + 3 * (draws * 2 * alpha) ** 0.5).all()
