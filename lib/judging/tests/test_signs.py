import math

import pytest

from lib.judging.signs import ROUNDING, Signs, at_limit

pytestmark = pytest.mark.cpu
SAME = Signs(5.0, signs=4)


def test_a_bound_is_the_number_itself_at_every_level_that_the_test_reaches():
    assert SAME.p == 1 / 16
    assert SAME.lower(1 / 16) == SAME.upper(1 / 16) == 5.0
    assert (SAME.lower(0.0624), SAME.upper(0.0624)) == (-math.inf, math.inf)


@pytest.mark.parametrize(("value", "limit", "scale"), [(ROUNDING, 0.0, 1.0), (-ROUNDING, 0.0, 1.0), (0.0, 0.0, 0.0)])
def test_a_difference_of_as_much_as_rounding_makes_is_none(value, limit, scale):
    assert at_limit(value, [7.0, limit], scale) == limit


@pytest.mark.parametrize("scale", [0.0, 0.5])
def test_a_difference_of_more_than_rounding_makes_is_kept(scale):
    assert at_limit(ROUNDING, [0.0], scale) == ROUNDING


def test_rounding_is_relative_to_a_limit_that_is_larger_than_the_numbers():
    assert at_limit(1e6 + 1e-7, [1e6], 1.0) == 1e6
    assert at_limit(1e6 + 1e-5, [1e6], 1.0) != 1e6
