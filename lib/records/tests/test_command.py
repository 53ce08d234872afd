"""`python -m lib.records`, on small records."""

import csv

import pandas
import pytest

from lib.records import files
from lib.records.command import main
from lib.records.older import NEWEST
from lib.records.tests import written
from lib.records.tests.written import RECORDS

pytestmark = pytest.mark.cpu


@pytest.fixture
def folder(tmp_path):
    for experiment in RECORDS:
        written.write(tmp_path / "records", experiment, code="abc")
    return tmp_path / "records"


def test_ls_says_of_every_record_what_it_is_of(folder, capsys):
    (folder / "some.norms.1.nc").write_bytes(b"nothing")
    assert main(["ls", str(folder)]) == 0
    head, *lines, broken = capsys.readouterr().out.splitlines()
    rows = [dict(zip(head.split("\t"), line.split("\t"), strict=True)) for line in lines]
    assert {row["experiment"] for row in rows} == set(RECORDS)
    assert {(row["model"], row["code"], row["layout"], row["dtype"]) for row in rows} == {
        ("some/model", "abc", str(NEWEST), "float32")
    }
    assert broken.startswith(f"the record {folder}/some.norms.1.nc is damaged or cut short")


def test_show_names_settings_provenance_and_every_array(folder, capsys):
    for path in files.paths_in(folder):
        assert main(["show", str(path)]) == 0
        shown = capsys.readouterr().out
        assert "  code: abc\n" in shown
        assert "  versions.torch: 2.13.0\n" in shown
        for name in files.load(path).data_vars:
            assert f"  {name} [" in shown


def test_verify_names_the_record_that_has_changed(folder, capsys):
    assert main(["verify", str(folder)]) == 0
    assert capsys.readouterr().out == f"{len(RECORDS)} records are as they were written, 0 are not\n"
    path = files.paths_in(folder)[0]
    path.write_bytes(path.read_bytes()[:-9])
    assert main(["verify", str(folder)]) == 1
    first, last = capsys.readouterr().out.splitlines()
    assert str(path) in first
    assert last == f"{len(RECORDS) - 1} records are as they were written, 1 are not"


@pytest.mark.parametrize(("form", "read"), [("parquet", pandas.read_parquet), ("csv", pandas.read_csv)])
def test_export_holds_every_number_of_every_record(folder, tmp_path, form, read):
    assert main(["export", str(tmp_path / "out"), str(folder), "--format", form]) == 0
    with (tmp_path / "out" / "records.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["file"] for row in rows} == {path.name for path in files.paths_in(folder)}
    for path in files.paths_in(folder):
        record = files.load(path)
        tables = [read(file) for file in (tmp_path / "out").glob(f"{path.stem}.*")]
        for name, array in record.data_vars.items():
            (table,) = [table for table in tables if name in table]
            assert len(table) == array.size
            assert table[name].sum() == pytest.approx(float(array.astype(float).sum()), rel=1e-5)
            assert set(array.dims) <= set(table)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["ls", "nowhere"], "there is no folder nowhere: name the one that a run was given as --records"),
        (["verify", "nowhere"], "there is no folder nowhere: name the one that a run was given as --records"),
        (["export", "out", "nowhere"], "there is no folder nowhere: name the one that a run was given as --records"),
        (["show", "gone.nc"], "there is no record gone.nc"),
        (["ls", "nonsense://a"], "nonsense://a cannot be reached: "),
    ],
)
def test_bad_input_gets_one_sentence(tmp_path, monkeypatch, capsys, arguments, sentence):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    out, error = capsys.readouterr()
    assert out == ""
    assert error.startswith(sentence)
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())
