import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from lib.effects.concentration import gini, lorenz

pytestmark = pytest.mark.cpu

# up to 2^-30 of the largest: what float64 adds exactly enough
numbers = st.floats(0, 1e3, width=32).map(lambda x: x if x > 1e-6 else 0.0)
norms = arrays.arrays(np.float64, st.integers(1, 30), elements=numbers).filter(lambda x: x.sum() > 0)


def by_pairs(x):
    """The definition: mean absolute difference of all pairs, over twice the mean."""
    return np.abs(x[:, None] - x[None, :]).mean() / (2 * x.mean())


@given(norms)
def test_the_coefficient_is_the_mean_difference_of_all_pairs(x):
    assert gini(x) == pytest.approx(by_pairs(x), abs=1e-12)


@given(norms)
def test_the_coefficient_is_finite_and_between_0_and_1(x):
    assert 0 <= gini(x) <= 1 - 1 / len(x) + 1e-12


@given(norms)
def test_the_coefficient_is_twice_the_area_between_curve_and_diagonal(x):
    assert gini(x) == pytest.approx(1 - 2 * np.trapezoid(lorenz(x), dx=1 / len(x)), abs=1e-12)


@given(norms, st.integers(-10, 10))
def test_a_common_factor_changes_no_coefficient(x, exponent):
    assert gini(x * 2.0**exponent) == gini(x)


@given(norms, st.randoms(use_true_random=False))
def test_the_order_of_channels_does_not_matter(x, random):
    shuffled = x[random.sample(range(len(x)), len(x))]
    assert gini(shuffled) == gini(x)


@given(norms)
def test_a_curve_rises_from_0_to_1_and_never_above_the_diagonal(x):
    curve = lorenz(x)
    assert len(curve) == len(x) + 1
    assert curve[0] == 0
    assert curve[-1] == pytest.approx(1)
    assert (np.diff(curve) >= 0).all()
    assert (curve <= np.linspace(0, 1, len(curve)) + 1e-12).all()


@pytest.mark.parametrize("n", [1, 2, 3, 7, 4096])
def test_equal_norms_have_exactly_0_and_one_channel_with_everything_nearly_1(n):
    assert gini(np.full(n, 0.1)) == 0
    assert gini(np.eye(1, n)[0]) == pytest.approx((n - 1) / n)


def test_moving_norm_from_a_large_to_a_small_channel_lowers_the_coefficient():
    assert gini(np.array([1.0, 2, 3, 10])) > gini(np.array([1.0, 3, 3, 9])) > gini(np.array([3.0, 3, 3, 7]))


def test_every_row_of_a_batch_has_its_own():
    table = np.random.default_rng(0).random((2, 3, 8))
    assert gini(table).shape == (2, 3)
    assert gini(table)[1, 2] == gini(table[1, 2])
    np.testing.assert_array_equal(lorenz(table)[1, 2], lorenz(table[1, 2]))


@pytest.mark.parametrize("measure", [gini, lorenz])
@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ([1.0, -1.0], "finite and not negative"),
        ([1.0, np.nan], "finite and not negative"),
        ([1.0, np.inf], "finite and not negative"),
        ([0.0, 0.0], "all zero"),
        ([], "all zero"),
    ],
)
def test_what_has_no_coefficient_is_an_error(measure, wrong, sentence):
    with pytest.raises(ValueError, match=sentence):
        measure(np.array(wrong))


def test_one_broken_layer_of_many_is_an_error():
    table = np.ones((2, 3, 8))
    table[1, 2] = 0
    with pytest.raises(ValueError, match="all zero"):
        gini(table)


def test_a_batch_without_rows_has_no_coefficients():
    assert gini(np.ones((0, 8))).shape == (0,)
    assert lorenz(np.ones((0, 8))).shape == (0, 9)
