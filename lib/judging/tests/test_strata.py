"""Resampled errors of a sum of means, against the same computed draw by draw."""

import numpy as np
import pytest
from scipy import stats

from lib.judging.estimates import difference, mean, ratio
from lib.judging.strata import FEWEST, RESAMPLES, Strata, _places, largest_share

pytestmark = pytest.mark.cpu
ZEROS = np.array([-0.3, *[0.0] * 10, 0.3])
"""Of so many zeros many draws take nothing else: they have neither an error nor a spread."""
SKEWED = np.random.default_rng(3).lognormal(0, 1, 12)
ONE = np.array([1.0])
GROUPS = [(sizes, pooled) for sizes in [(12,), (5, 7), (3, 4, 5), (2, 10)] for pooled in (False, True)]
GROUPS += [((1, 11), True)]  # a group of one text has no variance of its own


def drawn_one_by_one(numbers, codes, pooled, by=None):
    """Errors of resampled sums in units of their standard errors, rising: one draw after the other.

    Deviations are drawn from those in order, or in the order of other numbers of the texts.
    """
    groups = [codes == code for code in range(codes.max() + 1)]
    sizes = np.array([group.sum() for group in groups])
    weights = sizes / len(numbers)
    left = np.concatenate(
        [(numbers[g] - numbers[g].mean()) * (n / max(n - 1, 1)) ** 0.5 for g, n in zip(groups, sizes, strict=True)]
    )
    left = left[np.argsort(left if by is None else by)]
    found = []
    for places in _places(len(numbers)):
        samples = np.split(left[places], np.cumsum(sizes)[:-1])
        error = sum(w * sample.mean() for w, sample in zip(weights, samples, strict=True))
        squares = [((sample - sample.mean()) ** 2).sum() for sample in samples]
        if pooled:
            variances = [sum(squares) / (sizes - 1).sum()] * len(samples)
        else:
            variances = [square / (n - 1) for square, n in zip(squares, sizes, strict=True)]
        spread = sum(w**2 * v / n for w, v, n in zip(weights, variances, sizes, strict=True)) ** 0.5
        found.append(error / spread if spread > 1e-12 else np.copysign(np.inf, error) if error else 0.0)
    return np.sort(found)


@pytest.mark.parametrize(("sizes", "pooled"), GROUPS)
@pytest.mark.parametrize("sample", [SKEWED, ZEROS], ids=["skewed", "zeros"])
def test_a_quantile_is_that_of_all_draws_on_its_safe_side(sample, sizes, pooled):
    codes = np.repeat(np.arange(len(sizes)), sizes)
    expected = drawn_one_by_one(sample, codes, pooled)
    strata = Strata(sample[:, None], codes, pooled=pooled)
    assert len(expected) == RESAMPLES
    for level, place in [(0.01, 20), (0.05, 100), (0.4, 800), (0.95, -100), (0.6, -800), (1e-6, 1), (1 - 1e-6, -1)]:
        index = place - 1 if place > 0 else place
        assert strata.studentized(ONE, level) == pytest.approx(expected[index], rel=1e-9)


def test_a_mean_has_the_wider_of_students_bound_and_the_resampled_one():
    quantiles = drawn_one_by_one(SKEWED, np.zeros(12, int), False)
    error, reach = stats.sem(SKEWED), stats.t.isf(0.01, 11)
    found = mean(SKEWED)
    assert found.upper(0.01) == pytest.approx(SKEWED.mean() + max(reach, -quantiles[19]) * error)
    assert found.lower(0.01) == pytest.approx(SKEWED.mean() - max(reach, quantiles[-20]) * error)
    assert -quantiles[19] > reach > quantiles[-20]


def test_fewer_than_8_texts_have_students_bound_alone():
    assert FEWEST == 8
    for few, enough in [(mean(SKEWED[:7]), mean(SKEWED[:8])), (ratio(SKEWED[:7], [3] * 7), ratio(SKEWED[:8], [3] * 8))]:
        assert few.upper(0.01) == pytest.approx(few.if_normal.upper(0.01))
        assert enough.upper(0.01) > enough.if_normal.upper(0.01)


def test_a_difference_has_the_wider_of_students_bound_and_the_resampled_one():
    first, second = SKEWED[:3], SKEWED[3:]
    found = difference({"a": first, "b": second}, "a", "b")
    left = np.concatenate([(g - g.mean()) * (len(g) / (len(g) - 1)) ** 0.5 for g in (first, second)])
    draws = np.sort(left)[_places(12)]
    ours, theirs = draws[:, :3], draws[:, 3:]
    squares = 2 * ours.var(1, ddof=1) + 8 * theirs.var(1, ddof=1)
    quantiles = np.sort((ours.mean(1) - theirs.mean(1)) / (squares / 10 * (1 / 3 + 1 / 9)) ** 0.5)
    reach = stats.t.isf(0.01, 10)
    assert found.value == pytest.approx(first.mean() - second.mean())
    assert found.upper(0.01) == pytest.approx(found.value + max(reach, -quantiles[19]) * found.error)
    assert found.lower(0.01) == pytest.approx(found.value - max(reach, quantiles[-20]) * found.error)
    assert quantiles[-20] > reach > -quantiles[19]
    assert found.if_normal.lower(0.01) == pytest.approx(found.value - reach * found.error)


@pytest.mark.parametrize("side", [-1, 1])
@pytest.mark.parametrize("above", [SKEWED, 20 - SKEWED], ids=["long tail above", "long tail below"])
def test_a_ratio_has_the_wider_of_fiellers_bound_and_the_resampled_one(above, side):
    below = 3 + np.random.default_rng(4).random(12)
    found = ratio(above, below)
    bound = found.upper(0.01) if side > 0 else found.lower(0.01)
    beyond = above - bound / 100 * below
    quantiles = drawn_one_by_one(beyond, np.zeros(12, int), False, by=below)
    # the mean is below 0 where the ratio is above the true one: its upper bound is then the one that must be 0
    resampled = -quantiles[19] if side > 0 else quantiles[-20]
    reach = max(stats.t.isf(0.01, 11), resampled)
    assert beyond.mean() + side * reach * stats.sem(beyond) == pytest.approx(0, abs=1e-7)
    normal = found.if_normal.upper(0.01) if side > 0 else found.if_normal.lower(0.01)
    assert (abs(bound - normal) > 1) == (resampled > stats.t.isf(0.01, 11))


def test_where_many_draws_are_of_equal_texts_there_is_no_bound_on_the_other_side():
    # a third of the draws leaves the odd text out, and has an error but no spread, rounding apart
    found = mean([1e6 / 7] * 10 + [2e6 / 7])
    assert found.upper(0.01) == np.inf
    assert found.lower(0.01) == found.if_normal.lower(0.01)


def test_one_text_and_equal_texts_have_no_error():
    assert Strata(np.ones((1, 1)), np.zeros(1, int)).error(ONE) == (0.0, 1.0)
    assert Strata(np.ones((9, 1)), np.zeros(9, int)).error(ONE) == (0.0, 8.0)
    assert Strata(np.ones((9, 1)), np.repeat([0, 1], [4, 5])).error(ONE) == (0.0, 7.0)


def test_a_share_is_that_of_the_largest_of_several():
    assert largest_share([1.0, -3.0]) == 75
    assert largest_share([0.1, 0.1]) == 50
    assert largest_share([5.0]) is None
    assert largest_share([0.0, 0.0]) is None


def test_every_draw_comes_with_its_mirror_image():
    places = _places(9)
    assert (places[: RESAMPLES // 2] + places[RESAMPLES // 2 :] == 8).all()
    assert (places.min(), places.max()) == (0, 8)
