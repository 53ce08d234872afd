"""Findings, and the parts of their sentences."""

from collections.abc import Iterable, Mapping

from lib.published.figures import GIVES

LEVEL = 0.05
"""Both ends of an interval together are wrong so often, and an accuracy is above that of guessing at this level."""
Finding = dict[str, object]
STARTS = {name: gives[0].upper() + gives[1:] for name, gives in GIVES.items()}


def finding(kind: str, what: str, sentence: str, *, said=None, held=None, ratio=None) -> Finding:
    """A finding as JSON values: see `lib.published.findings`."""
    return {"kind": kind, "what": what, "said": said, "held": held, "ratio": ratio, "sentence": sentence}


def named(table: str) -> str:
    """The name of a table in brackets, if it has one."""
    return f" ({table})" if table else ""


def listed(numbers: Mapping[str, float], digits: int = 2) -> str:
    """`82 (literary), 37 (technical)`."""
    return ", ".join(f"{number:.{digits}g} ({name})" for name, number in numbers.items())


def joined(parts: Iterable[object]) -> str:
    """`a`, `a and b`, or `a, b and c`."""
    *first, last = map(str, parts)
    return f"{', '.join(first)} and {last}" if first else last
