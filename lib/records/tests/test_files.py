import json
import os
import time

import numpy as np
import pytest
import xarray as xr

from lib.records import files
from lib.records.seal import content
from lib.records.tests import written
from lib.records.tests.written import ORIGIN, RECORDS, SETTINGS

pytestmark = pytest.mark.cpu


@pytest.fixture
def record():
    return written.norms()


@pytest.fixture
def saved(tmp_path, record):
    return files.save(tmp_path, SETTINGS, ORIGIN, record)


@pytest.mark.parametrize("experiment", RECORDS)
def test_a_record_is_found_again_with_everything_in_it(tmp_path, experiment):
    written.write(tmp_path, experiment)
    found = files.find(tmp_path, {**SETTINGS, "experiment": experiment})
    xr.testing.assert_identical(found.drop_attrs(), RECORDS[experiment]().drop_attrs())
    assert files.settings_of(found) == {**SETTINGS, "experiment": experiment}
    assert files.provenance_of(found) == ORIGIN


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
    whole = saved.read_bytes()
    saved.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(files.BrokenRecord, match="damaged or cut short; delete it and measure again"):
        files.find(tmp_path, SETTINGS)
    with pytest.raises(files.NoRecord, match=f"run once without --replay; the record {saved} is damaged or cut short"):
        files.search(tmp_path, SETTINGS)


@pytest.mark.parametrize("part", ["content", "seal"])
def test_no_changed_byte_is_believed(tmp_path, saved, part):
    whole, random = saved.read_bytes(), np.random.default_rng(0)
    end = whole.rindex(b'\n{"settings"')
    first, last = (0, end) if part == "content" else (end, len(whole))
    for place in random.integers(first, last, 300):
        spoiled = bytearray(whole)
        spoiled[place] ^= 1 << random.integers(8)
        saved.write_bytes(spoiled)
        with pytest.raises(files.BrokenRecord, match="damaged or cut short"):
            files.find(tmp_path, SETTINGS)


def test_a_damaged_record_that_fits_is_named(tmp_path, saved):
    whole = bytearray(saved.read_bytes())
    whole[len(whole) // 2] ^= 1
    saved.write_bytes(whole)
    with pytest.raises(files.BrokenRecord, match=f"{saved} is damaged"):
        files.search(tmp_path, SETTINGS)


def test_damaged_records_that_are_not_needed_cost_nothing(tmp_path, saved):
    for name in ("other.norms.1.nc", "other.disruption.2.nc", "another.norms.3.nc"):
        (tmp_path / name).write_bytes(saved.read_bytes()[:-5])
    (tmp_path / "folder.norms.4.nc").mkdir()
    assert float(files.search(tmp_path, SETTINGS)["position_change"]) == 1
    assert files.names_in(tmp_path) == ["some/model"]
    named = rf"another tokens: .*; the record {tmp_path}/another.norms.3.nc is damaged .*\(and 1 more cannot be read\)"
    with pytest.raises(files.NoRecord, match=named):
        files.search(tmp_path, {**SETTINGS, "tokens": 16})


def test_a_record_of_an_older_version_is_called_so(tmp_path, saved):
    netcdf = content(saved)[1]
    saved.write_bytes(netcdf)
    with pytest.raises(files.BrokenRecord, match="made by an older version or by another program; delete it and meas"):
        files.find(tmp_path, SETTINGS)


def test_drafts_of_killed_runs_are_deleted_and_those_of_running_ones_are_not(tmp_path):
    names = {".a.norms.1.nc.77.tmp": 7, ".texts.a.1.json.77.tmp": 7, ".b.norms.1.nc.78.tmp": 5, ".mine.tmp": 99}
    for name, hours in names.items():
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (time.time() - 3600 * hours,) * 2)
    saved = written.write(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".b.norms.1.nc.78.tmp", ".mine.tmp", saved.name]


def test_a_failed_write_leaves_the_old_record_and_no_draft(tmp_path, saved, record, monkeypatch):
    def fail(*args, **kwargs):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        files.save(tmp_path, SETTINGS, ORIGIN, record.assign(position_change=2.5))
    assert [path.name for path in tmp_path.iterdir()] == [saved.name]
    assert float(files.find(tmp_path, SETTINGS)["position_change"]) == 1


def test_a_search_takes_unknown_settings_from_the_record(tmp_path, saved):
    found = files.search(tmp_path, {**SETTINGS, "identity": None, "dtype": None})
    assert files.settings_of(found)["identity"] == "commit:1"


def test_a_search_that_fits_two_records_says_in_what_they_differ(tmp_path, saved, record):
    files.save(tmp_path, {**SETTINGS, "dtype": "bfloat16"}, ORIGIN, record)
    with pytest.raises(files.NoRecord, match=r"2 records fit.*differ in dtype"):
        files.search(tmp_path, {**SETTINGS, "dtype": None})


@pytest.mark.parametrize(("own", "taken"), [("a", 1), ("b", 2), ("c", 2)])
def test_of_records_of_several_machines_a_search_takes_that_of_this_one_or_the_newest(tmp_path, record, own, taken):
    for age, (numerics, more) in enumerate((("a", 0), ("b", 1))):
        path = files.save(
            tmp_path, {**SETTINGS, "numerics": numerics}, ORIGIN, record.assign(position_change=1.0 + more)
        )
        os.utime(path, (age, age))
    found = files.search(tmp_path, {**SETTINGS, "numerics": None}, {"numerics": own})
    assert float(found["position_change"]) == taken
    with pytest.raises(files.NoRecord, match="they differ in numerics"):
        files.search(tmp_path, {**SETTINGS, "numerics": None})


def test_a_copy_beside_a_record_is_no_other_record(tmp_path, saved):
    (tmp_path / f"copy.{saved.name.partition('.')[2]}").write_bytes(saved.read_bytes())
    assert float(files.search(tmp_path, SETTINGS)["position_change"]) == 1


def test_a_search_without_success_names_the_nearest_difference(tmp_path, saved):
    with pytest.raises(files.NoRecord, match="the nearest one has another tokens"):
        files.search(tmp_path, {**SETTINGS, "tokens": 16})


def test_settings_and_provenance_are_readable_without_the_product(saved):
    with xr.open_dataset(saved, engine="h5netcdf") as plain:
        assert json.loads(plain.attrs["settings"])["tokens"] == 8
