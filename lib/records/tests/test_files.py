import json
import os

import numpy as np
import pytest
import xarray as xr

from lib.records import files

pytestmark = pytest.mark.cpu

SETTINGS = {"experiment": "norms", "pretrained": "some/model", "identity": "commit:1", "dtype": "float32", "tokens": 8}


@pytest.fixture
def record():
    noise = np.random.default_rng(0).random((2, 3, 4, 5), dtype=np.float32)
    return xr.Dataset({"query_norm": (("text", "layer", "head", "dim"), noise), "position_change": 1.5})


@pytest.fixture
def saved(tmp_path, record):
    return files.save(tmp_path, SETTINGS, {"pretrained": "some/model"}, record)


def test_a_record_is_found_again_with_everything_in_it(tmp_path, saved, record):
    found = files.find(tmp_path, SETTINGS)
    xr.testing.assert_identical(found.drop_attrs(), record)
    assert files.settings_of(found) == SETTINGS
    assert files.provenance_of(found) == {"pretrained": "some/model"}


@pytest.mark.parametrize("key", [key for key in SETTINGS if key != "pretrained"])
def test_a_record_of_other_settings_is_not_found(tmp_path, saved, key):
    with pytest.raises(files.NoRecord):
        files.find(tmp_path, {**SETTINGS, key: "other"})


def test_a_record_with_another_records_name_is_refused(tmp_path, saved):
    other = {**SETTINGS, "tokens": 9}
    saved.rename(files.path_of(tmp_path, other))
    with pytest.raises(files.BrokenRecord, match="other settings than its name says"):
        files.find(tmp_path, other)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_a_record_cut_short_is_noticed(tmp_path, saved, share):
    content = saved.read_bytes()
    saved.write_bytes(content[: int(share * len(content))])
    with pytest.raises(files.BrokenRecord, match="damaged or cut short"):
        files.find(tmp_path, SETTINGS)
    with pytest.raises(files.BrokenRecord, match="damaged or cut short"):
        files.search(tmp_path, SETTINGS)


def test_a_changed_byte_in_the_data_is_noticed(tmp_path, record):
    big = xr.Dataset({"query_norm": ("text", np.random.default_rng(0).random(20_000))})
    path = files.save(tmp_path, SETTINGS, {}, big)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(files.BrokenRecord):
        files.find(tmp_path, SETTINGS)


def test_a_failed_write_leaves_the_old_record_and_no_draft(tmp_path, saved, record, monkeypatch):
    def fail(*args, **kwargs):
        raise OSError("disk full")

    monkeypatch.setattr(files.os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        files.save(tmp_path, SETTINGS, {}, record + 1)
    assert [path.name for path in tmp_path.iterdir()] == [saved.name]
    assert float(files.find(tmp_path, SETTINGS)["position_change"]) == 1.5


def test_a_search_takes_unknown_settings_from_the_record(tmp_path, saved):
    found = files.search(tmp_path, {**SETTINGS, "identity": None, "dtype": None})
    assert files.settings_of(found)["identity"] == "commit:1"


def test_a_search_that_fits_two_records_says_in_what_they_differ(tmp_path, saved, record):
    files.save(tmp_path, {**SETTINGS, "dtype": "bfloat16"}, {}, record)
    with pytest.raises(files.NoRecord, match=r"2 records fit.*differ in dtype"):
        files.search(tmp_path, {**SETTINGS, "dtype": None})


@pytest.mark.parametrize(("own", "taken"), [("a", 1.5), ("b", 2.5), ("c", 2.5)])
def test_of_records_of_several_machines_a_search_takes_that_of_this_one_or_the_newest(tmp_path, record, own, taken):
    for age, (numerics, more) in enumerate((("a", 0), ("b", 1))):
        path = files.save(tmp_path, {**SETTINGS, "numerics": numerics}, {}, record + more)
        os.utime(path, (age, age))
    found = files.search(tmp_path, {**SETTINGS, "numerics": None}, {"numerics": own})
    assert float(found["position_change"]) == taken
    with pytest.raises(files.NoRecord, match="they differ in numerics"):
        files.search(tmp_path, {**SETTINGS, "numerics": None})


def test_a_copy_beside_a_record_is_no_other_record(tmp_path, saved):
    (tmp_path / f"copy.{saved.name.partition('.')[2]}").write_bytes(saved.read_bytes())
    assert float(files.search(tmp_path, SETTINGS)["position_change"]) == 1.5


def test_a_search_without_success_names_the_nearest_difference(tmp_path, saved):
    with pytest.raises(files.NoRecord, match="the nearest one has another tokens"):
        files.search(tmp_path, {**SETTINGS, "tokens": 16})


def test_settings_and_provenance_are_readable_without_the_product(saved):
    with xr.open_dataset(saved, engine="h5netcdf") as plain:
        assert json.loads(plain.attrs["settings"])["tokens"] == 8
