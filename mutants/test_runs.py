"""Runs of collected tests with other code, on a folder with a module and its tests."""

import json
import os
import subprocess
import sys

import pytest

from mutants import runs
from mutants.survivors import ROOT

pytestmark = pytest.mark.cpu
CALC = """
from functools import cache

def plus(x, y):
    return x + y

@cache
def limit():
    return plus(1, 2)

FIRST = limit()

def unused():
    return 1
"""
TESTS = """
import calc

def test_sum(tmp_path):
    assert calc.plus(1, 1) == 2

def test_limit():
    assert calc.limit() == 3

def test_nothing():
    assert calc.FIRST == 3
"""
SCRIPT = """
import json
import os
import sys
from pathlib import Path
from mutants import runs
from mutants.functions import changed_function

folder = Path(sys.argv[1])
code = (folder / "calc.py").read_text()
arguments = ["-q", "-p", "no:cacheprovider", "test_calc.py"]
said = {}
with runs.collected(folder, folder / "output", arguments) as collected:
    tests = collected.traced(["calc.py"])
    names = [name.partition("::")[2] for name in collected.names]
    said["entered"] = {names[test.number]: sorted(name for _, (name, _) in test.functions) for test in tests}
    said["lines"] = {names[test.number]: sorted(test.lines) for test in tests}
    said["early"] = sorted(name for _, (name, _) in collected.early)
    for becomes in ["x - y", "y + x", "__import__('os')._exit(0)"]:
        replaced = changed_function(code, code.replace("x + y", becomes))
        failing = collected.failing(tests, ("calc.py", replaced))
        said[becomes] = failing and names[failing.number]
for line in ["", "FIRST = 1 / 0", "while True: pass"]:
    (folder / "calc.py").write_text(code + line)
    said[line] = runs.fresh(folder, folder / "output", arguments, 60 if "while" not in line else 3)
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory) -> dict:
    folder = tmp_path_factory.mktemp("changed").resolve()
    (folder / "calc.py").write_text(CALC)
    (folder / "test_calc.py").write_text(TESTS)
    (folder / "pytest.ini").write_text("[pytest]")
    script = [sys.executable, "-c", SCRIPT, str(folder)]
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # they take long to import
    done = subprocess.run(script, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_each_test_is_known_with_the_functions_that_it_enters(said):
    assert said["entered"]["test_sum"] == ["plus", "test_sum"]
    assert "plus" not in said["entered"]["test_nothing"]


def test_each_test_is_known_with_the_lines_of_the_given_files_that_it_runs(said):
    assert said["lines"]["test_sum"] == [["calc.py", 5]]
    assert said["lines"]["test_nothing"] == []


def test_a_function_whose_result_was_kept_is_known_to_have_been_entered_early(said):
    assert {"limit", "plus"} <= set(said["early"])
    assert "unused" not in said["early"]


def test_a_change_is_noticed_by_the_test_that_fails_and_only_while_it_lasts(said):
    assert said["x - y"] == "test_sum"
    assert said["y + x"] is None


def test_a_change_that_ends_the_process_is_noticed(said):
    assert said["__import__('os')._exit(0)"] == "test_sum"


def test_a_change_of_what_is_run_at_import_is_noticed_afresh_and_an_endless_one_in_time(said):
    assert (said[""], said["FIRST = 1 / 0"], said["while True: pass"]) == (True, False, False)


def test_a_run_of_whole_files_is_given_the_time_of_all_their_tests():
    names = ["a.py::test_one", "a.py::test_that_never_enters_what_is_changed", "b.py::test_two"]
    tests = [runs.Test(i, 10.0**i, frozenset(), frozenset()) for i in range(3)]
    assert runs.Collected(names, set(), None).seconds({"a.py": None}, tests) == 11
