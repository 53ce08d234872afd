"""Values of a file of figures, checked one by one: a wrong one raises ValueError, a sentence that says where it is."""

from collections.abc import Mapping
from decimal import Decimal

from lib.published.figures import Figure

LARGEST = 1e12
"""No count, loss or percentage of a study is larger."""
MOST_LAYERS, MOST_TEXTS, MOST_TOKENS = 10_000, 100_000, 1_000_000_000


def words(value: object, where: str) -> str:
    """A text on one line. Raises ValueError for anything else, and for an empty one."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{where} must be a text, not {value!r}")
    return " ".join(value.split())


def positive(value: object, where: str, *, most: float, whole: bool) -> float:
    """A number above 0. Raises ValueError for anything else, and where it must be whole, for one that is not."""
    number = figure(value, where, least=0, most=most)
    if not number.value or (whole and not isinstance(value, int)):
        raise ValueError(f"{where} must be a {'whole ' * whole}number above 0, not {value}")
    return number.value


def figure(value: object, where: str, *, least: float = -LARGEST, most: float = LARGEST) -> Figure:
    """A number as it was written. Raises ValueError for anything else, and for a number out of bounds."""
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        raise ValueError(f"{where} must be a number, not {plain(value)}")
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
    """A table within a table; {} if the key is missing. Raises ValueError for anything but a table."""
    table = content.get(key, {})
    if not isinstance(table, Mapping):
        raise ValueError(f"{where} must be a table, not {plain(table)}")
    return table


def check_keys(table: Mapping, allowed: tuple[str, ...], where: str) -> None:
    """Raise ValueError for the first key that is not allowed."""
    if unknown := [key for key in table if key not in allowed]:
        raise ValueError(f"{where} has an unknown key {unknown[0]!r}; known are {', '.join(allowed)}")


def plain(value: object) -> str:
    return "a table" if isinstance(value, Mapping) else "a list" if isinstance(value, list) else repr(value)
