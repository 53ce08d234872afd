import pytest

from lib.definitions.spelling import meant

pytestmark = pytest.mark.cpu


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("dtyp", "did you mean 'dtype'?"),
        ("load_in_4bits", "did you mean 'load_in_4bit'?"),
        ("subfolder", "known are dtype, device_map, load_in_4bit"),
        ("", "known are dtype, device_map, load_in_4bit"),
    ],
)
def test_a_name_that_is_near_is_suggested_and_no_other(word, says):
    assert meant(word, ["dtype", "device_map", "load_in_4bit"]) == says
