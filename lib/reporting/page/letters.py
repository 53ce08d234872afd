"""What stands for a verdict in the cells of a table, beside its colour."""

from collections.abc import Collection

LETTERS = {
    "supported": "S",
    "refuted": "R",
    "inconclusive": "I",
    "smoke": "M",
    "not decidable": "N",
    "error": "E",
    "skipped": "-",
}


def letters_of(verdicts: Collection[str]) -> str:
    """The letters of these verdicts in words: `S supported, R refuted`."""
    return ", ".join(f"{letter} {name}" for name, letter in LETTERS.items() if name in verdicts)
