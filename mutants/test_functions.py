"""Which function a change of a module is in."""

import pytest

from mutants.functions import changed_function, changed_lines

pytestmark = pytest.mark.cpu
CODE = """
LIMIT = 3

def outer(x, y=1):
    return [inner + y for inner in map(lambda z: z + 2, x)]

class Box:
    size = 4

    def twice(self):
        return 2 * self.size
"""


def changed(was: str, becomes: str):
    assert CODE.count(was) == 1
    found = changed_function(CODE, CODE.replace(was, becomes))
    return found and {name for (name, _), _ in found}


def test_a_change_of_a_function_is_found_with_the_functions_inside_of_it():
    assert "outer" in changed("z + 2", "z - 2")
    assert "outer.<locals>.<lambda>" in changed("inner + y", "inner - y")
    assert changed("2 * self", "3 * self") == changed("2 * self", "22222 * self") == {"Box.twice"}


@pytest.mark.parametrize(("was", "becomes"), [("LIMIT = 3", "LIMIT = 2"), ("y=1", "y=2"), ("size = 4", "size = 5")])
def test_what_is_run_at_import_is_in_no_function(was, becomes):
    assert changed(was, becomes) is None


def test_a_function_that_loses_one_inside_of_it_is_not_replaced():
    assert changed("map(lambda z: z + 2, x)", "x") is None


def test_the_new_code_does_what_the_new_text_says():
    space = {}
    exec(CODE, space)
    ((_, code),) = changed_function(CODE, CODE.replace("2 * self", "3 * self"))
    space["Box"].twice.__code__ = code
    assert space["Box"]().twice() == 12


STATEMENTS = """
def outer(x):
    if x > (
        1
    ):
        y = (
            x,
            2,
        )
    else:
        return lambda z: z + 3
    for a in y:
        try:
            break
        except ValueError:
            pass
    return y
"""


def lines(was: str, becomes: str):
    assert STATEMENTS.count(was) == 1
    return changed_lines(STATEMENTS, STATEMENTS.replace(was, becomes))


def test_changed_lines_are_those_of_the_statement_or_of_what_it_begins_with():
    assert lines("x > (", "x >= (") == lines("        1\n", "        0\n") == {3, 4, 5}
    assert lines("            2,", "            3,") == {6, 7, 8, 9}
    assert lines("z + 3", "z - 3") == {11}
    assert lines("in y", "in []") == {12}
    assert lines("            break\n", "            continue\n") == {14}


@pytest.mark.parametrize(("was", "becomes"), [("outer(x)", "outer(x=1)"), ("ValueError", "KeyError")])
def test_a_change_that_is_in_no_such_place_has_no_lines(was, becomes):
    assert lines(was, becomes) is None
