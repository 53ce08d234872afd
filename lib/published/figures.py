"""Published figures of a study, read from a TOML file and checked. The layout is explained in docs/published.md.

A number keeps how exactly it was written: what follows from a figure is known as well as its last digit.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

FOLDER = Path(__file__).parent
ARMS = ("rope", "drope")
NAMES = ("query", "key", "value")
CONDITIONS = ("baseline", "massive", "random")
COLUMNS = {"text": "what the write-up says", "stored": "what the stored results hold"}
NEEDED = {"title": str, "rope": str, "drope": str, "layers": int}
OPTIONAL = {
    **dict.fromkeys(("author", "quantization", "hardware", "site", "url"), str),
    **dict.fromkeys(("year", "max_tokens", "heads", "kv_heads", "head_dim"), int),
    "threshold": float,
}
FEWEST_WITH_SPREAD = 7
"""Six series (three tensors in two arms) can be uncorrelated over so many texts, and over no fewer."""


class NotPublished(ValueError):
    """A claim asks for a figure that was not published: it cannot be decided."""


@dataclass(frozen=True)
class Figure:
    """A published number: its value, half a unit of its last digit, and the standard deviation over texts if given."""

    value: float
    half: float
    spread: float | None = None


@dataclass(frozen=True)
class Column:
    """The figures of one source by what they are: `("total", arm, tensor)`, `("increase", arm, condition)` and so on.

    A series (layers, trials) is a tuple of figures. `n_texts` is the number of texts that standard deviations are over.
    """

    name: str
    n_texts: int
    figures: Mapping[tuple[str, ...], Figure | tuple[Figure, ...]]

    def get(self, *what: str) -> Figure | None:
        """A single figure, or None."""
        found = self.figures.get(what)
        return found if isinstance(found, Figure) else None

    def series(self, *what: str) -> tuple[Figure, ...] | None:
        """A series of figures, or None."""
        found = self.figures.get(what)
        return found if isinstance(found, tuple) else None

    def kinds(self, arm: str) -> list[str]:
        """The kinds of text whose damage is given for an arm, in the file's order."""
        return [what[2] for what in self.figures if what[:2] == ("kind", arm) and what[3] == "massive"]


@dataclass(frozen=True)
class Published:
    """A study: what it is about, and its figures by column (`text`, `stored`), without a column that has none."""

    study: Mapping[str, str | int | float]
    columns: Mapping[str, Column]

    @property
    def layers(self) -> int:
        return int(self.study["layers"])


def read(name: str) -> Published:
    """Read the figures of a study by file or by the name of a bundled one.

    Raises ValueError, one sentence, for the first thing that is wrong with the file.
    """
    path = FOLDER / f"{name}.toml" if name in bundled() else Path(name)
    if not path.is_file():
        raise ValueError(f"there are no published figures {name!r}: give a .toml file or one of {', '.join(bundled())}")
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
        return published(content)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error


def bundled() -> list[str]:
    """Names of the studies that come with the product."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def published(content: Mapping) -> Published:
    """Check the content of a file of figures. Raises ValueError for what is missing, unknown or no figure."""
    from lib.published.tables import column  # it needs what is defined here

    check_keys(content, ("study", "disagreements", *COLUMNS), "the file")
    if "study" not in content:
        raise ValueError("[study] is missing: it says what the figures are about")
    study = _study(table_of(content, "study", "study"))
    tables = {name: table_of(content, name, name) for name in COLUMNS if name in content}
    columns = {name: column(name, table, layers=study["layers"]) for name, table in tables.items()}
    columns = {name: found for name, found in columns.items() if found.figures}
    if not columns:
        raise ValueError("there is no figure: give [text.*] (what the write-up says) or [stored.*] tables")
    return Published(study, columns)


def _study(table: Mapping) -> dict[str, str | int | float]:
    check_keys(table, (*NEEDED, *OPTIONAL), "[study]")
    for key in NEEDED:
        if key not in table:
            raise ValueError(f"[study] needs {key!r}")
    found = {}
    for key, value in table.items():
        kind = (NEEDED | OPTIONAL)[key]
        if kind is str:
            if not isinstance(value, str) or not value.strip():
                raise ValueError(f"[study] {key} must be a text, not {value!r}")
            found[key] = " ".join(value.split())
        else:
            number = figure(value, f"[study] {key}", least=0)
            if not number.value or (kind is int and not isinstance(value, int)):
                raise ValueError(f"[study] {key} must be a {'whole ' * (kind is int)}number above 0, not {value}")
            found[key] = kind(number.value)
    return found


def figure(value: object, where: str, *, least: float = float("-inf"), most: float = float("inf")) -> Figure:
    """A number as it was written. Raises ValueError for anything else, and for a number out of bounds."""
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        raise ValueError(f"{where} must be a number, not {_plain(value)}")
    number = Decimal(value) if isinstance(value, (int, Decimal)) else Decimal(str(value))
    if not number.is_finite():
        raise ValueError(f"{where} must be a finite number, not {number}")
    if not least <= number <= most:
        bound = f"{least:g} or more" if number < least else f"{most:g} or less"
        raise ValueError(f"{where} must be {bound}, not {number}")
    # the zeros at the end of a whole number may stand for digits that were rounded away
    last = number.normalize() if isinstance(value, int) and value else number
    return Figure(float(number), 0.5 * 10.0 ** int(last.as_tuple().exponent))


def table_of(content: Mapping, key: str, where: str) -> Mapping:
    """A table within a table, empty where there is none. Raises ValueError for anything else."""
    found = content.get(key, {})
    if not isinstance(found, Mapping):
        raise ValueError(f"{where} must be a table, not {_plain(found)}")
    return found


def check_keys(table: Mapping, allowed: tuple[str, ...], where: str) -> None:
    """Raise ValueError for the first key that is not allowed."""
    if unknown := [key for key in table if key not in allowed]:
        raise ValueError(f"{where} has an unknown key {unknown[0]!r}; known are {', '.join(allowed)}")


def _plain(value: object) -> str:
    return "a table" if isinstance(value, Mapping) else "a list" if isinstance(value, list) else repr(value)
