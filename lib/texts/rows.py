"""Choose texts among the rows of a dataset: the first that are long enough, shared out to the roles kind by kind."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice

from lib.definitions import ROLES, printable
from lib.texts.reading import Text
from lib.texts.sources import Source

ROWS = 10_000
"""Rows of a dataset that are looked at: one with fields for kinds may be sorted by kind, or be without end."""


@dataclass(frozen=True)
class Selection:
    """Texts, and a sentence on the rows that they were chosen from; without rows it is empty."""

    texts: tuple[Text, ...]
    note: str = ""


def choose(rows: Iterable[Mapping], source: Source, tokens: int) -> Selection:
    """The texts of a source among its first ROWS rows, in their order.

    A row is left out if it is shorter than `tokens` words (or than the source's `characters`), or holds the text of an
    earlier one. Each text of a kind is counted and scored in turn, unless a field gives the role. If there are more
    than are asked for, each role takes one text of every kind in turn, the first ones of each.
    Raises ValueError, one sentence, for a missing field or a bad value in it, and if a role is left without a text.
    """
    kept: dict[str, dict[str, list[tuple[int, Text]]]] = {role: {} for role in ROLES}
    seen, turns, left_out, read = set(), Counter(), Counter(), 0
    for number, row in enumerate(islice(rows, ROWS)):
        read, text = number + 1, _field(row, source.text, source, number)
        if not _long_enough(text, source, tokens):
            left_out["too short"] += 1
            continue
        if text in seen:
            left_out["repeated"] += 1
            continue
        seen.add(text)
        kind = _field(row, source.kind, source, number) if source.kind else _kind_of_all(source)
        role = _field(row, source.role, source, number) if source.role else ROLES[turns[kind] % 2]
        if role not in ROLES:
            raise ValueError(f"{_row(source, number)}: its role must be 'count' or 'score', not {role!r}")
        turns[kind] += 1
        kept[role].setdefault(kind, []).append((number, Text(f"row {number}", printable(kind), role, text)))
        if not source.kind and all(_number(kept[role]) >= _asked(source, role) for role in ROLES):
            break  # with one kind, later rows are never taken
    chosen = sorted(item for role in ROLES for item in _in_turn(kept[role], _asked(source, role)))
    texts = tuple(text for _, text in chosen)
    return Selection(texts, _note(texts, source, tokens, read, left_out))


def _in_turn(by_kind: Mapping[str, list[tuple[int, Text]]], asked: int) -> list[tuple[int, Text]]:
    """The first `asked` items, one of every kind after the other."""
    turns = sorted(
        (place, order, item) for order, items in enumerate(by_kind.values()) for place, item in enumerate(items)
    )
    return [item for _, _, item in turns[:asked]]


def _note(texts: tuple[Text, ...], source: Source, tokens: int, read: int, left_out: Counter) -> str:
    """What was taken of the rows that were read. Raises ValueError if that leaves a role without a text."""
    need = f"{source.characters} characters" if source.characters else f"{tokens} words"
    of = f"of the first {read} rows of {source}, {left_out['too short']} with fewer than {need}"
    again = f" and {left_out['repeated']} with the text of an earlier one" if left_out["repeated"] else ""
    of += f"{again} are left out"
    numbers = {role: sum(text.role == role for text in texts) for role in ROLES}
    for role, number in numbers.items():
        if not number:
            raise ValueError(f"{of}, so no text has the role {role!r}: lower --max-tokens or give more rows")
    return f"The texts are rows: {of}, {numbers['count']} are taken to count and {numbers['score']} to score."


def _field(row: Mapping, name: str, source: Source, number: int) -> str:
    """A field of a row as text. An empty one is a text that is too short, and no kind or role."""
    if name not in row:
        raise ValueError(f"{source} has no field {name!r}, only {', '.join(map(str, row))}: name another")
    value = row[name]
    if name == source.text:
        if value is not None and not isinstance(value, str):
            raise ValueError(f"{_row(source, number)}: its field {name!r} holds no text but a {type(value).__name__}")
        return value or ""
    if value is None or not str(value).strip():
        raise ValueError(f"{_row(source, number)}: its field {name!r} is empty")
    return str(value)


def _long_enough(text: str, source: Source, tokens: int) -> bool:
    """Does the text have a word for each token? A tokenizer that cuts at spaces makes one token of a word at least."""
    return len(text) >= source.characters if source.characters else len(text.split()) >= tokens


def _kind_of_all(source: Source) -> str:
    return source.where.rstrip("/").rpartition("/")[2].partition(".")[0] or source.where


def _asked(source: Source, role: str) -> int:
    return getattr(source, role)


def _number(by_kind: Mapping[str, list]) -> int:
    return sum(map(len, by_kind.values()))


def _row(source: Source, number: int) -> str:
    return f"{source}, row {number}"
