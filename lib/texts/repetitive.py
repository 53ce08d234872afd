"""Generated repetitive texts, which repeat themselves in six ways."""

from collections.abc import Iterator
from itertools import count

WORDS = 520

GIFTS = ("roof", "orchard", "harbor", "hillside", "hedge", "harvest", "fireside")
CYCLE = "copper willow thimble marble saddle lantern pebble ribbon anvil barley cradle"


def repetitive_texts() -> list[tuple[str, str]]:
    """(name, text) of the six texts, each of at least WORDS words."""
    return [(f"repetitive-{i:02d}", _until(units)) for i, units in enumerate(_manners(), 1)]


def _manners() -> list[Iterator[str]]:
    return [
        ("The old ferry crosses the grey river before the bells begin. " for _ in count()),
        ("Carry the lantern down to the shore.\nNobody answers, so carry it home.\n" for _ in count()),
        (f"{99 - n % 99} kettles were humming on the stove, one boiled over and away it drove.\n" for n in count()),
        (f"2031-04-09 {n // 60:02d}:{n % 60:02d} | pump-3 | pressure 4.2 bar | valve open | normal\n" for n in count()),
        (f"For the {GIFTS[n % 7]} that shelters us,\nwe give our thanks and go on.\n" for n in count()),
        (f"{CYCLE} " for _ in count()),
    ]


def _until(units: Iterator[str]) -> str:
    parts, words = [], 0
    while words < WORDS:
        parts.append(next(units))
        words += len(parts[-1].split())
    return "".join(parts).strip()
