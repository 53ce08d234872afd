"""Which function of a module a change of its text changes, and which statements of it."""

import ast
from difflib import SequenceMatcher
from types import CodeType

Function = tuple[str, int]
"""A function of a file: its qualified name and first line."""


def changed_function(before: str, after: str) -> list[tuple[Function, CodeType]] | None:
    """The one function that differs, outside of others, with those inside of it, and their new codes.

    None where anything else differs as well: what is run at import, a default argument, the number of functions.
    """
    old, new = (_functions(compile(code, "", "exec", dont_inherit=True)) for code in (before, after))
    if len(old) != len(new):
        return None
    differing = [(a, b) for a, b in zip(old, new, strict=True) if a != b]
    if len(differing) != 1 or differing[0][0].co_name == "<module>" or _of_class(differing[0][0]):
        return None
    return _with_inner(*differing[0])


def changed_lines(before: str, after: str) -> set[int] | None:
    """The lines, in the text before, of the statements that differ: whatever runs one of them runs one of these lines.

    None where a change is not inside of simple statements or what `if`, `for`, `while` and `with` begin with.
    """
    matcher = SequenceMatcher(None, before.split("\n"), after.split("\n"), autojunk=False)
    changed = {
        line
        for what, start, end, _, _ in matcher.get_opcodes()
        if what != "equal"
        for line in range(start + 1, max(end, start + 1) + 1)
    }
    statements = [node for node in ast.walk(ast.parse(before)) if isinstance(node, ast.stmt)]
    found = set()
    for line in changed:
        around = [node for node in statements if node.lineno <= line <= node.end_lineno]
        if not around or (lines := _beginning(max(around, key=lambda node: node.lineno), line)) is None:
            return None
        found |= lines
    return found


def _beginning(statement: ast.stmt, line: int) -> set[int] | None:
    """The lines of a simple statement, or those before the body of another one, if they hold the line."""
    end = statement.end_lineno
    if hasattr(statement, "body"):
        if not isinstance(statement, (ast.If, ast.For, ast.While, ast.With)):
            return None
        end = statement.body[0].lineno - 1
    elif hasattr(statement, "cases"):
        return None
    lines = set(range(statement.lineno, max(end, statement.lineno) + 1))
    return lines if line in lines else None


def _with_inner(was: CodeType, becomes: CodeType) -> list[tuple[Function, CodeType]] | None:
    if (was.co_qualname, was.co_freevars) != (becomes.co_qualname, becomes.co_freevars):
        return None
    old, new = ([part for part in code.co_consts if isinstance(part, CodeType)] for code in (was, becomes))
    if len(old) != len(new):
        return None
    found = [((was.co_qualname, was.co_firstlineno), becomes)]
    for pair in zip(old, new, strict=True):
        inner = _with_inner(*pair)
        if inner is None:
            return None
        found += inner
    return found


def _functions(module: CodeType) -> list[CodeType]:
    """The code of a module and of its classes, without that of others within, and of its outermost functions."""
    inner = [constant for constant in module.co_consts if isinstance(constant, CodeType)]
    rest = tuple(None if isinstance(constant, CodeType) else constant for constant in module.co_consts)
    found = [module.replace(co_consts=rest, co_linetable=b"")]  # where a function ends is no change of what is run
    for code in inner:
        found += _functions(code) if _of_class(code) else [code]
    return found


def _of_class(code: CodeType) -> bool:
    """The body of a class sets the name of its module; no function does."""
    return "__module__" in code.co_names and "__qualname__" in code.co_names
