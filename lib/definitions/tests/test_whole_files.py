import os
import time

import pytest

from lib.definitions.whole_files import FORGOTTEN, clear, write_whole

pytestmark = pytest.mark.cpu


@pytest.mark.parametrize("content", ["new", b"new"])
def test_a_file_takes_the_place_of_the_old_one(tmp_path, content):
    (tmp_path / "a").write_text("old")
    write_whole(tmp_path / "a", content)
    assert (tmp_path / "a").read_text() == "new"
    assert os.listdir(tmp_path) == ["a"]


def test_a_write_that_fails_leaves_the_old_file_and_no_draft(tmp_path, monkeypatch):
    (tmp_path / "a").write_text("old")

    def full(_):
        raise OSError("full")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="full"):
        write_whole(tmp_path / "a", "new")
    assert (tmp_path / "a").read_text() == "old"
    assert os.listdir(tmp_path) == ["a"]


def test_half_of_a_character_is_written_as_its_escape(tmp_path):
    write_whole(tmp_path / "a", "a\udcff")
    assert (tmp_path / "a").read_text() == "a\\udcff"


def test_what_killed_programs_have_left_of_a_file_is_deleted_and_nothing_else(tmp_path):
    names = [".a.1.tmp", ".a.2.tmp", ".b.1.tmp", "a.1.tmp"]
    for name in names:
        (tmp_path / name).write_text("half")
    for name in (".a.1.tmp", ".b.1.tmp", "a.1.tmp"):
        os.utime(tmp_path / name, (time.time() - 2 * FORGOTTEN,) * 2)
    write_whole(tmp_path / "a", "new")
    assert sorted(os.listdir(tmp_path)) == [".a.2.tmp", ".b.1.tmp", "a", "a.1.tmp"]
    clear(tmp_path)
    assert sorted(os.listdir(tmp_path)) == [".a.2.tmp", "a", "a.1.tmp"]
