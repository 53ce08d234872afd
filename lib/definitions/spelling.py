"""What somebody meant who wrote a name that does not exist."""

from collections.abc import Iterable
from difflib import get_close_matches

NEAR = 0.7
"""The least likeness of a name to be suggested, from 0 (no letter in common) to 1."""


def meant(word: str, known: Iterable[str]) -> str:
    """`did you mean 'dtype'?`, or all known names where none is near."""
    names = list(known)
    near = get_close_matches(word, names, n=1, cutoff=NEAR)
    return f"did you mean {near[0]!r}?" if near else f"known are {', '.join(names)}"
