import pytest

from lib.definitions.words import conditions

pytestmark = pytest.mark.cpu


def test_conditions_are_named_in_the_order_of_their_rows():
    assert conditions(0) == ["baseline", "massive"]
    assert conditions(3) == ["baseline", "massive", "control 0", "control 1", "control 2"]
