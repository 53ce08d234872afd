"""Command lines, and the interpreter that they start: what is refused before anything else is looked at."""

import sys
from collections.abc import Sequence


def refuse_empty(arguments: Sequence[str]) -> None:
    """Raise ValueError, one sentence with the option's name, for a command line on which a value is empty or blank.

    It is most often a variable that somebody forgot to set.
    """
    option = ""
    for argument in arguments:
        if argument.startswith("-"):
            option, equals, value = argument.partition("=")
            empty = bool(equals) and not value.strip()
        else:
            empty = not argument.strip()
        if empty:
            raise ValueError(f"{option or 'an argument'} is empty: give it a value, or leave it out")


def refuse_without_docstrings() -> None:
    """Raise ValueError, one sentence, where Python drops docstrings: transformers cannot be imported then."""
    if sys.flags.optimize > 1:
        raise ValueError("transformers needs its docstrings: unset PYTHONOPTIMIZE, or leave out -OO")
