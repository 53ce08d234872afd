"""Coefficients of variation of few texts, and of texts that are equal."""

import math

import numpy as np
import pytest

from lib.judging.signs import Signs
from lib.judging.spread import typical_variation, variation

pytestmark = pytest.mark.cpu


def test_one_text_has_no_variation_and_two_have_one():
    assert variation([5.0]).value == 0
    assert variation([1.0, 3.0]).value == pytest.approx(2**0.5 / 2)


def test_without_the_oddest_a_variation_needs_three_texts():
    assert math.isnan(typical_variation([1.0, 3.0]).value)
    assert not typical_variation([3.0, 3.0]).constant
    assert typical_variation([1.0, 2.0, 9.0]).value > 0


def test_of_three_normal_texts_the_nearest_two_differ_by_as_much_as_the_value_takes_for_granted():
    drawn = np.sort(np.random.default_rng(0).normal(size=(50_000, 3)), axis=1)
    usual = (np.diff(drawn, axis=1).min(1) / 2**0.5).mean()
    found = typical_variation([9.0, 10.0, 13.0])
    assert found.value == pytest.approx((1 / 2**0.5) / 9.5 / usual, rel=0.02)


def test_a_typical_variation_is_constant_where_all_texts_but_one_are_equal():
    assert typical_variation([7.0, 7.0, 7.0, 90.0]).constant
    assert not typical_variation([7.0, 7.0, 8.0, 90.0]).constant


def test_where_texts_are_equal_the_signs_are_of_a_variation_of_0():
    assert typical_variation([7.0] * 9).exact(9, [0.1]) == Signs(0.0, 7)
    assert typical_variation([7.0] * 9).exact(5, [0.1]) == Signs(0.0, 3)
    assert variation([7.0] * 9).exact(9, [0.1]) == Signs(0.0, 8)


def test_the_same_numbers_have_the_variation_of_normal_texts_beside_the_typical_one():
    numbers = [7.0, 8.0, 9.0, 30.0]
    assert typical_variation(numbers).if_normal == variation(numbers)
    assert typical_variation(numbers).n == variation(numbers).n == 4
