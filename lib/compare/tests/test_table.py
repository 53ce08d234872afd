import pytest

from lib.compare.run import main
from lib.compare.table import table
from lib.compare.tests.test_run import NOTHING, SUPPORTED, document, entry
from lib.reporting import documents

pytestmark = pytest.mark.cpu


def cells(text):
    """The rows of a table by claim."""
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in text.splitlines()[2:]]
    return {row[0]: row[4:] for row in rows}


def test_every_run_has_its_verdict_or_the_reason_for_having_none():
    runs = {
        "a": document(entry(), entry("K1", NOTHING), entry(label="step5")),
        "b": document(entry("Q1", SUPPORTED), not_asked={"K1": "no --drope"}),
        "c": document(),
    }
    found = cells(table(runs))
    assert list(found) == ["Q1", "K1"]
    first, second, third = found["Q1"]
    assert first.startswith("**refuted** ")
    assert second.startswith("**supported** ")
    assert third == "not run"
    assert found["K1"] == [f"**inconclusive**: {NOTHING.reason}", "not asked", "not run"]


def test_a_bar_in_a_cell_does_not_end_it():
    assert "a \\| b" in table({"a": document(entry(statement="a | b"))})


def test_the_command_writes_the_table(tmp_path):
    for name in ("a", "b"):
        documents.write(tmp_path / f"{name}.json", document(entry()))
    files = [str(tmp_path / name) for name in ("a.json", "b.json")]
    assert main([*files, "--out", str(tmp_path / "c.html"), "--table", str(tmp_path / "t.md")]) == 0
    assert cells((tmp_path / "t.md").read_text())["Q1"]
