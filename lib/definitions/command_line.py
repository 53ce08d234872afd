"""Command lines: an empty value is a fault, because it is most often a variable that somebody forgot to set."""

from collections.abc import Sequence


def refuse_empty(arguments: Sequence[str]) -> None:
    """Raise ValueError, one sentence with the option's name, for a command line on which a value is empty or blank."""
    option = ""
    for argument in arguments:
        if argument.startswith("-"):
            option, equals, value = argument.partition("=")
            empty = bool(equals) and not value.strip()
        else:
            empty = not argument.strip()
        if empty:
            raise ValueError(f"{option or 'an argument'} is empty: give it a value, or leave it out")
