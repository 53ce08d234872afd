"""Parts of a record that is not whole yet."""

import numpy as np
import pytest

from lib.records.parts import Parts
from lib.records.places import place
from lib.records.tests.written import SETTINGS

pytestmark = pytest.mark.cpu

ARRAYS = [np.array([1.1, np.pi, -0.0]), np.array(True), np.arange(12).reshape(3, 4)[:, ::2]]


@pytest.fixture(params=["folder", "memory"])
def parts(request, tmp_path):
    at = tmp_path if request.param == "folder" else place(f"memory://parts-{tmp_path.name}")
    yield Parts(at, SETTINGS)
    if request.param == "memory" and at.exists():
        at.fs.rm(at.path, recursive=True)


def test_a_part_comes_back_bit_by_bit(parts):
    assert parts.find("a text") is None
    parts.keep("a text", ARRAYS)
    for kept, found in zip(ARRAYS, parts.find("a text"), strict=True):
        assert (kept.dtype, kept.shape, kept.tobytes()) == (found.dtype, found.shape, found.tobytes())
    assert parts.find("another text") is None


def test_more_than_ten_arrays_keep_their_order(parts):
    parts.keep("x", [np.array(i) for i in range(12)])
    assert [int(array) for array in parts.find("x")] == list(range(12))


def test_no_part_of_other_settings_is_taken(parts, tmp_path):
    parts.keep("x", ARRAYS)
    other = Parts(parts.folder.parent, {**SETTINGS, "tokens": 9})
    assert other.find("x") is None
    other.folder.mkdir(parents=True)
    for path in parts.folder.iterdir():
        (other.folder / path.name).write_bytes(path.read_bytes())
    assert other.find("x") is None


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_part_that_was_cut_short_is_none(parts, share):
    parts.keep("x", ARRAYS)
    (path,) = parts.folder.iterdir()
    path.write_bytes(path.read_bytes()[: int(share * len(path.read_bytes()))])
    assert parts.find("x") is None


def test_nothing_is_left_of_the_parts_of_a_whole_record(parts):
    parts.clear()
    for name in ("x", "y"):
        parts.keep(name, ARRAYS)
    parts.clear()
    assert not parts.folder.exists()
    assert parts.find("x") is None
