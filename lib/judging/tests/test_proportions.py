"""Shares of items with Wilson's bounds."""

import math

import pytest

from lib.judging.proportions import proportion

pytestmark = pytest.mark.cpu


def test_a_share_is_in_percent():
    assert proportion(3, 12).value == 25
    assert proportion(3, 12).n == 12


@pytest.mark.parametrize(("hits", "n"), [(0, 10), (3, 10), (10, 10), (81, 263)])
def test_bounds_are_those_of_wilsons_formula(hits, n):
    alpha, z = 0.025, 1.959963984540054
    center = (hits + z**2 / 2) / (n + z**2)
    reach = z / (n + z**2) * math.sqrt(hits * (n - hits) / n + z**2 / 4)
    assert proportion(hits, n).lower(alpha) == pytest.approx(100 * (center - reach), abs=1e-9)
    assert proportion(hits, n).upper(alpha) == pytest.approx(100 * (center + reach), abs=1e-9)


def test_no_hit_among_few_items_bounds_a_share_less_than_among_many():
    assert proportion(0, 10).upper(0.01) > 3 * proportion(0, 100).upper(0.01) > 0
    assert proportion(0, 10).lower(0.01) == 0
    assert proportion(10, 10).upper(0.01) == 100


@pytest.mark.parametrize(("hits", "n"), [(0, 0), (-1, 5), (6, 5)])
def test_what_is_no_share_is_refused(hits, n):
    with pytest.raises(ValueError, match=f"got {hits} of {n}"):
        proportion(hits, n)
