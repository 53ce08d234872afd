"""Records of older layouts and of other code, and what no record may know."""

import json
from pathlib import Path

import pytest

from lib.records import files, older, page, seal
from lib.records.layout import LAYOUT
from lib.records.tests import written
from lib.records.tests.written import SETTINGS

pytestmark = pytest.mark.cpu

STORED = Path(__file__).parent / "stored"


@pytest.mark.parametrize("layout", range(1, older.NEWEST))
def test_every_older_layout_has_a_stored_record_that_is_read_as_one_of_today(layout):
    paths = files.paths_in(STORED / f"layout-{layout}")
    assert {files.settings_of(files.load(path))["experiment"] for path in paths} >= {"norms", "disruption"}
    assert {seal.sealed(path).layout for path in paths} == {layout}


def test_a_path_of_the_first_layout_is_read_as_what_is_kept_of_it_today(tmp_path, monkeypatch):
    monkeypatch.setattr(seal, "NEWEST", 1)
    at = written.write(tmp_path, pretrained="/data/me/runs/drope/checkpoint-500")
    monkeypatch.undo()
    assert seal.sealed(at).settings["pretrained"] == "drope/checkpoint-500"
    assert files.settings_of(files.load(at))["pretrained"] == "drope/checkpoint-500"
    assert files.names_in(tmp_path) == ["drope/checkpoint-500"]


def test_a_record_of_a_newer_layout_is_refused_and_not_to_be_deleted(tmp_path, monkeypatch):
    monkeypatch.setattr(seal, "NEWEST", older.NEWEST + 1)
    at = written.write(tmp_path)
    monkeypatch.undo()
    with pytest.raises(files.BrokenRecord, match=f"has layout {older.NEWEST + 1}, and .* a newer version reads it$"):
        files.load(at)


@pytest.mark.parametrize("layout", [0, -1, 1.5, "2", None, True])
def test_a_layout_that_is_no_number_is_refused(tmp_path, monkeypatch, layout):
    monkeypatch.setattr(seal, "NEWEST", layout)
    at = written.write(tmp_path)
    monkeypatch.undo()
    with pytest.raises(files.BrokenRecord, match="does not say what it was made with"):
        files.load(at)


def test_a_search_prefers_records_of_this_code_and_takes_others_where_there_are_none(tmp_path):
    for code, dtype in (("old", "float32"), ("new", "float32"), ("old", "bfloat16")):
        written.write(tmp_path, code=code, dtype=dtype)
    wanted = {**SETTINGS, "code": None}
    found = files.search(tmp_path, wanted, {"code": "new"})
    assert files.settings_of(found)["code"] == "new"
    found = files.search(tmp_path, {**wanted, "dtype": "bfloat16"}, {"code": "new"})
    assert files.settings_of(found)["code"] == "old"


def test_the_page_of_records_is_up_to_date_and_says_what_every_array_is():
    assert page.PAGE.read_text(encoding="utf-8") == page.written(), "run python -m lib.records.page"
    assert not [(e, name) for e, arrays in LAYOUT.items() for name, array in arrays.items() if not array.doc]
    rows = page.PAGE.read_text(encoding="utf-8").split("## Layouts")[1]
    assert all(f"\n| {layout} | " in rows for layout in range(1, older.NEWEST + 1))


def test_a_damaged_attribute_of_an_older_record_is_refused_in_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(seal, "NEWEST", 1)
    at = written.write(tmp_path)
    with written.changed(at) as file:
        file.attrs["settings"] = json.dumps([1])
    monkeypatch.undo()
    with pytest.raises(files.BrokenRecord, match="is not as a run writes it"):
        files.load(at)
