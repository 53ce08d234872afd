"""Records are reused as long as no module that takes part in measuring has changed."""

import ast
import shutil
from tokenize import TokenInfo

import pytest

from lib.records import code
from lib.records.code import DECISIVE, LIB, code_version

pytestmark = pytest.mark.cpu

MODULES = [path.relative_to(LIB) for name in DECISIVE for path in (LIB / name).rglob("*.py")]
MEASURING = [str(path) for path in MODULES if "tests" not in path.parts]
TESTS = [str(path) for path in MODULES if "tests" in path.parts]
OTHERS = [str(path.relative_to(LIB)) for path in LIB.rglob("*.py") if path.relative_to(LIB) not in MODULES]


@pytest.fixture
def version(tmp_path, monkeypatch):
    """Hashes the library with a piece of code added to one of its files: `version("texts/reading.py", "x = 1")`."""
    monkeypatch.setattr(code, "LIB", tmp_path / "lib")

    def changed(path=None, added=""):
        shutil.rmtree(tmp_path / "lib", ignore_errors=True)
        shutil.copytree(LIB, tmp_path / "lib", ignore=lambda _, names: [n for n in names if n == "__pycache__"])
        if path:
            with (tmp_path / "lib" / path).open("a", encoding="utf-8") as file:
                file.write(added)
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


@pytest.mark.parametrize("path", [*TESTS[:2], "settings.py", "__init__.py", "judging/verdicts.py", "records/code.py"])
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
    # which weights, which settings, which items (by their hash), and where a record is kept
    assert imported - set(DECISIVE) == {"checkpoints", "settings", "records", "tasks"}


SOURCE = """
def shown(x, y):  # a comment
    \"\"\"Two lines,

    # and no comment.\"\"\"
    if x:

        return f'{x!r:>{y}} # of {f"{y}"}' "#" + (  # another
            'it\\'s'
        )
"""
WORDS = [
    *("def", "shown", "(", "x", ",", "y", ")", ":", "\n", "\t", '"""Two lines,\n\n    # and no comment."""', "\n"),
    *("if", "x", ":", "\n", "\t", "return", "f'{x!r:>{y}} # of {f\"{y}\"}'", '"#"', "+", "(", "'it\\'s'", ")", "\n"),
    *("\b", "\b"),
]


def test_words_are_what_is_written_without_comments_empty_lines_and_line_breaks():
    assert list(code.words(SOURCE)) == WORDS


def test_the_parts_of_an_f_string_are_the_same_word():
    whole = "f'{x!r:>{y}} # of {f\"{y}\"}'"
    places = {"a": (0, 2), "b": (2, 3), "c": (18, 20), "d": (21, 22)}
    names = {90: "FSTRING_START", 91: "OP", 92: "FSTRING_MIDDLE", 94: "FSTRING_END"}
    kinds = [("a", 90), ("b", 91), ("b", 92), ("c", 90), ("d", 91), ("d", 94)]
    parts = [
        *(
            TokenInfo(kind, whole[slice(*places[at])], (1, places[at][0]), (1, places[at][1]), whole)
            for at, kind in kinds
        ),
        TokenInfo(94, "'", (1, len(whole) - 1), (1, len(whole)), whole),
    ]
    with pytest.MonkeyPatch.context() as later_python:
        later_python.setattr(code.tokenize, "tok_name", names)
        assert list(code.as_written(parts, whole)) == [whole]
