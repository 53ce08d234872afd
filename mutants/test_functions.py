"""Which function a change of a module is in."""

import pytest

from mutants.functions import changed_function

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
