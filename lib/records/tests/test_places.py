"""Records at an address: found, written whole, and named in one sentence where they cannot be."""

import time
import uuid

import fsspec
import pytest
from upath import UPath

from lib.definitions import clear, write_whole
from lib.records import files, place
from lib.records.tests import written
from lib.records.tests.written import SETTINGS

pytestmark = pytest.mark.cpu


@pytest.fixture
def away():
    at = place(f"memory://{uuid.uuid4().hex}/records")
    yield at
    at.fs.rm(at.path, recursive=True)


def test_a_record_at_an_address_is_found_again(away):
    at = written.write(away)
    assert str(at).startswith("memory://")
    assert float(files.find(away, SETTINGS)["position_change"]) == 1
    found = files.search(away, {**SETTINGS, "identity": None})
    assert float(files.load(place(found.encoding["source"]))["position_change"]) == 1
    assert files.names_in(away) == ["some/model"]


def test_of_copies_at_an_address_the_newest_is_taken(away):
    for change, name in ((1.0, "a"), (2.0, "b")):
        at = written.write(away, record=written.norms().assign(position_change=change))
        away.fs.mv(at.path, at.with_name(f"{name}.norms.1.nc").path)
        time.sleep(0.01)
    assert float(files.search(away, SETTINGS)["position_change"]) == 2


def test_a_write_that_fails_at_an_address_leaves_the_old_file_and_no_draft(away, monkeypatch):
    away.mkdir(parents=True)
    write_whole(away / "a.nc", b"old")

    def cut(self, *args, **kwargs):
        raise OSError("connection lost")

    monkeypatch.setattr(type(away.fs), "mv", cut)
    with pytest.raises(OSError, match="connection lost"):
        write_whole(away / "a.nc", b"new")
    assert [path.name for path in away.iterdir()] == ["a.nc"]
    assert (away / "a.nc").read_bytes() == b"old"


def test_a_draft_at_an_address_is_deleted_only_when_it_is_old(away, monkeypatch):
    away.mkdir(parents=True)
    draft = away / ".a.nc.7-12345678.tmp"
    draft.write_bytes(b"half")
    clear(away)
    assert draft.exists()
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 7 * 3600)
    clear(away)
    assert not draft.exists()


def test_a_path_is_taken_from_where_the_run_was_started(tmp_path):
    assert place("records", tmp_path) == tmp_path / "records"
    assert place(str(tmp_path / "x"), tmp_path / "y") == tmp_path / "x"


def test_an_address_whose_program_is_missing_or_unknown_gets_one_sentence(monkeypatch):
    with pytest.raises(ValueError, match=r"^nonsense://a cannot be reached: .*nonsense"):
        place("nonsense://a")

    def missing(*args, **kwargs):
        raise ImportError("Install s3fs to access S3\nand more")

    monkeypatch.setattr(fsspec, "get_filesystem_class", missing)
    monkeypatch.setattr(UPath, "exists", missing)
    with pytest.raises(ValueError, match=r"^s3://bucket/x cannot be reached: Install s3fs to access S3$"):
        place("s3://bucket/x")
