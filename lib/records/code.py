"""The code that measures, as a hash: a change of it makes older records unfit, whichever Python computes the hash."""

import hashlib
import tokenize
from collections.abc import Iterable, Iterator
from functools import cache
from io import StringIO
from pathlib import Path

LIB = Path(__file__).parents[1]
DECISIVE = ("definitions", "texts", "models", "probing", "measuring")
"""Packages of `lib` that decide the content of a record: a change in one of them makes old records unfit."""
UNWRITTEN = ("ENCODING", "COMMENT", "NL", "ENDMARKER")
"""Tokens that decide nothing."""
BLOCKS = {"NEWLINE": "\n", "INDENT": "\t", "DEDENT": "\b"}
"""Ends of lines and blocks, whose text depends on how they are laid out."""


@cache
def code_version() -> str:
    """A hash of the code in the decisive packages, without their tests, comments, empty lines and line breaks.

    It makes old records unfit when that code changes; nobody has to remember a version number.
    """
    digest = hashlib.sha256()
    modules = (path.relative_to(LIB) for name in DECISIVE for path in (LIB / name).rglob("*.py"))
    for module in sorted(module for module in modules if "tests" not in module.parts):
        digest.update(module.as_posix().encode())
        digest.update("\0".join(words((LIB / module).read_text(encoding="utf-8"))).encode())
    return digest.hexdigest()[:16]


def words(source: str) -> Iterator[str]:
    """The words of a source in order, the same in every version of Python, strings as they are written.

    Neither `ast.unparse` nor tokens would do: the one writes quotes, and the other cuts f-strings, by the version.
    """
    return as_written(tokenize.generate_tokens(StringIO(source).readline), source)


def as_written(tokens: Iterable[tokenize.TokenInfo], source: str) -> Iterator[str]:
    """The words of tokens. From Python 3.12 on an f-string comes in parts, and is put together again here."""
    lines, depth, start = list(StringIO(source)), 0, (0, 0)
    for token in tokens:
        name = tokenize.tok_name[token.type]
        if name.endswith("STRING_START"):
            start = start if depth else token.start
            depth += 1
        elif name.endswith("STRING_END"):
            depth -= 1
            if not depth:
                yield _between(lines, start, token.end)
        elif not depth and name not in UNWRITTEN:
            yield BLOCKS.get(name, token.string)


def _between(lines: list[str], start: tuple[int, int], end: tuple[int, int]) -> str:
    (first, begin), (last, stop) = start, end
    if first == last:
        return lines[first - 1][begin:stop]
    return "".join([lines[first - 1][begin:], *lines[first : last - 1], lines[last - 1][:stop]])
