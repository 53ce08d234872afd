import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures.planted.records import frequency
from lib.definitions.rotary_pairs import letters, order, pair_norms, ranks, slow_half

pytestmark = pytest.mark.cpu
STILL = np.zeros((1, 8))
INTERLEAVED = frequency(1, 8)[:, [0, 4, 1, 5, 2, 6, 3, 7]]
PARTIAL = np.concatenate([frequency(1, 4), np.zeros((1, 4))], 1)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (frequency(1, 8), [0, 1, 2, 3, 0, 1, 2, 3]),
        (INTERLEAVED, [0, 0, 1, 1, 2, 2, 3, 3]),
        (PARTIAL, [0, 1, 0, 1, -1, -1, -1, -1]),
        (STILL, [-1] * 8),
    ],
)
def test_pairs_are_ranked_from_fast_to_slow_wherever_they_lie(found, expected):
    assert ranks(found).tolist() == [expected]


@pytest.mark.parametrize(
    ("found", "slow"),
    [(frequency(1, 8), [2, 3, 6, 7]), (INTERLEAVED, [4, 5, 6, 7]), (PARTIAL, [1, 3]), (STILL, [])],
)
def test_the_slow_half_is_made_of_the_slower_pairs(found, slow):
    assert np.flatnonzero(slow_half(found)).tolist() == slow


@given(st.lists(st.floats(1e-9, 1.0), min_size=1, max_size=40, unique=True), st.randoms())
def test_slow_dims_turn_slower_than_all_others_and_are_half_of_them(speeds, random):
    dims = [*speeds, *speeds, 0.0]
    random.shuffle(dims)
    found = np.array([dims])
    slow = slow_half(found)
    assert slow.sum() == 2 * (len(speeds) // 2)
    assert not slow[found == 0].any()
    if slow.any():
        assert found[slow].max() < found[~slow & (found > 0)].min()


def test_each_layer_has_its_own_slow_half():
    both = np.concatenate([frequency(1, 8), frequency(1, 8)[:, ::-1]])
    assert slow_half(both).tolist() == [slow_half(both[:1])[0].tolist(), slow_half(both[:1])[0, ::-1].tolist()]


def test_the_norm_of_a_pair_is_that_of_its_two_dims():
    norms = np.array([[[3.0, 1, 1, 1, 4, 1, 1, 1]], [[1.0, 2, 2, 1, 1, 1, 1, 1]]])  # layer, head, dim
    both = np.concatenate([frequency(1, 8), PARTIAL])
    assert pair_norms(norms, both)[0, 0] == pytest.approx([5, 2**0.5, 2**0.5, 2**0.5])
    assert pair_norms(norms, both)[1, 0] == pytest.approx([5**0.5, 5**0.5, 0, 0])


def test_letters_say_which_layers_rotate():
    unknown = np.where(np.arange(8) == 3, np.nan, STILL)
    assert letters(np.concatenate([PARTIAL, STILL, frequency(1, 8), unknown])) == "RNR?"


def test_dims_are_ordered_by_the_first_layer_that_rotates():
    assert order(np.concatenate([STILL, frequency(1, 8)])).tolist() == [0, 4, 1, 5, 2, 6, 3, 7]
    assert order(PARTIAL).tolist() == [0, 2, 1, 3, 4, 5, 6, 7]
    assert order(STILL).tolist() == list(range(8))
