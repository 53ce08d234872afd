import re
from pathlib import Path

import pytest

import lib.tasks
from lib.tasks import registry

pytestmark = pytest.mark.cpu

PAGE = (Path(__file__).parents[3] / "docs/tasks.md").read_text(encoding="utf-8")
FILE = """
from lib.tasks.items import Item, Task

def task():
    return Task("{name}", "contextual", "a title", "of our own", (Item("one", "Yes or no?", (" yes", " no"), 0),))
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder whose files belong to the package for the time of a test."""
    monkeypatch.setattr(lib.tasks, "__path__", [*lib.tasks.__path__, str(tmp_path)])
    clear()
    yield tmp_path
    clear()


def clear():
    registry.names.cache_clear()
    registry.load.cache_clear()


def test_the_names_are_sorted_and_files_without_a_task_are_none():
    assert list(registry.names()) == sorted(registry.names())
    assert {"passkey", "cities"} <= set(registry.names())
    assert not {"items", "files", "registry", "drawing", "places", "tests"} & set(registry.names())


def test_one_file_adds_a_task(folder):
    (folder / "added_alone.py").write_text(FILE.format(name="added_alone"))
    assert "added_alone" in registry.names()
    assert registry.load("added_alone").items[0].right == " yes"


def test_the_example_of_the_page_is_a_task(folder):
    (example,) = re.findall(r"<!-- task -->\n```python\n(.*?)```", PAGE, re.DOTALL)
    (folder / "opposites.py").write_text(example)
    assert len(registry.load("opposites").items) == 6


def test_the_example_of_reading_a_task_runs(capsys):
    (example,) = re.findall(r"<!-- example -->\n```python\n(.*?)```", PAGE, re.DOTALL)
    exec(example, {})
    assert "(' positive', ' negative')" in capsys.readouterr().out


def test_the_page_lists_all_tasks():
    rows = [row for row in PAGE.splitlines() if row.startswith("| `")]
    for name in registry.names():
        assert any(row.startswith(f"| `{name}` | {registry.load(name).knowledge} |") for row in rows), name


def test_a_file_that_only_imports_the_function_of_another_is_no_task(folder):
    (folder / "borrowing.py").write_text("from lib.tasks.cities import task")
    assert "borrowing" not in registry.names()


def test_a_file_whose_task_has_another_name_is_refused(folder):
    (folder / "misnamed.py").write_text(FILE.format(name="else"))
    with pytest.raises(ValueError, match=r"the file misnamed.py makes a task of the name 'else'"):
        registry.load("misnamed")


def test_an_unknown_name_gets_the_known_ones():
    with pytest.raises(ValueError, match=r"there is no task 'passkeys': known are arithmetic, .*, passkey, "):
        registry.load("passkeys")


def test_a_task_is_made_once():
    assert registry.load("copying") is registry.load("copying")
