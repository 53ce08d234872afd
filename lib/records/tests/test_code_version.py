"""Records are reused as long as no module that takes part in measuring has changed."""

import ast
import shutil

import pytest

from lib.records import files
from lib.records.files import DECISIVE, LIB, code_version

pytestmark = pytest.mark.cpu

MODULES = [path.relative_to(LIB) for name in DECISIVE for path in (LIB / name).rglob("*.py")]
MEASURING = [str(path) for path in MODULES if "tests" not in path.parts]
TESTS = [str(path) for path in MODULES if "tests" in path.parts]
OTHERS = [str(path.relative_to(LIB)) for path in LIB.rglob("*.py") if path.relative_to(LIB) not in MODULES]


@pytest.fixture
def version(tmp_path, monkeypatch):
    """Hashes the library with a piece of code added to one of its files: `version("texts/reading.py", "x = 1")`."""
    monkeypatch.setattr(files, "LIB", tmp_path / "lib")

    def changed(path=None, code=""):
        shutil.rmtree(tmp_path / "lib", ignore_errors=True)
        shutil.copytree(LIB, tmp_path / "lib", ignore=lambda _, names: [n for n in names if n == "__pycache__"])
        if path:
            with (tmp_path / "lib" / path).open("a", encoding="utf-8") as file:
                file.write(code)
        code_version.cache_clear()
        return code_version()

    yield changed
    code_version.cache_clear()


@pytest.fixture
def plain(version):
    return version()


@pytest.mark.parametrize("path", MEASURING)
def test_a_change_of_any_module_that_measures_makes_another_version(version, plain, path):
    assert version(path, "\nanything = 1\n") != plain


@pytest.mark.parametrize("path", ["measuring/norms.py", "texts/__init__.py"])
def test_a_comment_and_an_empty_line_make_no_other_version(version, plain, path):
    assert version(path, "\n\n# why\n") == plain


@pytest.mark.parametrize("path", [*TESTS[:2], "settings.py", "__init__.py", "judging/verdicts.py", "records/files.py"])
def test_a_change_elsewhere_makes_no_other_version(version, plain, path):
    assert path in TESTS + OTHERS
    assert version(path, "\nanything = 1\n") == plain


def test_a_new_module_makes_another_version(version, plain):
    assert version("probing/residual_stream.py", "x = 1\n") != plain


def test_what_modules_that_measure_import_measures_too_or_is_among_a_records_settings():
    imported = {
        (node.module or "").removeprefix("lib").strip(".").split(".")[0] or node.names[0].name
        for path in MEASURING
        for node in ast.walk(ast.parse((LIB / path).read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "lib"
    }
    # which weights, which settings, and where a record is kept
    assert imported - set(DECISIVE) == {"checkpoints", "settings", "records"}
