"""Generated repetitive texts, which repeat themselves in twelve ways."""

from collections.abc import Iterator
from itertools import count

WORDS = 520

GIFTS = ("roof", "orchard", "harbor", "hillside", "hedge", "harvest", "fireside")
CYCLE = "copper willow thimble marble saddle lantern pebble ribbon anvil barley cradle"
LOADED = (
    "a compass",
    "two blankets",
    "six tins of plums",
    "the long rope",
    "a broken oar",
    "ten candles",
    "the old dog",
)
ASKED, WAKENED = ("miller", "baker", "tailor", "sexton", "smith"), ("heron", "tinker", "bishop", "kitten")
FIELDS = ("width", "height", "depth", "weight", "volume", "margin", "radius", "offset")
BELLS = ("treble", "second", "third", "fourth", "fifth", "tenor")
ERODED = "Nobody who crossed the frozen lake that winter ever spoke of a light beneath the ice"


def repetitive_texts() -> list[tuple[str, str]]:
    """(name, text) of the twelve texts, each of at least WORDS words."""
    return [(f"repetitive-{i:02d}", _until(units)) for i, units in enumerate(_manners(), 1)]


def _manners() -> list[Iterator[str]]:
    return [
        ("The old ferry crosses the grey river before the bells begin. " for _ in count()),
        ("Carry the lantern down to the shore.\nNobody answers, so carry it home.\n" for _ in count()),
        (f"{99 - n % 99} kettles were humming on the stove, one boiled over and away it drove.\n" for n in count()),
        (f"2031-04-09 {n // 60:02d}:{n % 60:02d} | pump-3 | pressure 4.2 bar | valve open | normal\n" for n in count()),
        (f"For the {GIFTS[n % 7]} that shelters us,\nwe give our thanks and go on.\n" for n in count()),
        (f"{CYCLE} " for _ in count()),
        (f"Into the cart we put {', '.join(reversed(LOADED[: n % 7 + 1]))}.\n" for n in count()),
        (f"{2 + n // 12 % 8} times {n % 12 + 1} is {(2 + n // 12 % 8) * (n % 12 + 1)}.\n" for n in count()),
        (_answered(ASKED[n % 5], WAKENED[n % 4]) for n in count()),
        (_setter(FIELDS[n % 8]) for n in count()),
        _changes(),
        (f"{ERODED.rsplit(maxsplit=n % 16)[0]}.\n" for n in count()),
    ]


def _answered(who: str, whom: str) -> str:
    return f"Did the {who} wake the {whom}? No, the {who} did not wake the {whom}.\n"


def _setter(field: str) -> str:
    refusal = f'        raise ValueError("{field} must not be negative")\n'
    return f"def set_{field}(self, value):\n    if value < 0:\n{refusal}    self._{field} = value\n\n"


def _changes() -> Iterator[str]:
    """Plain hunt: neighbours change places, from the first bell and from the second in turn."""
    bells = list(BELLS)
    for n in count():
        yield f"{' '.join(bells)}\n"
        for i in range(n % 2, len(bells) - 1, 2):
            bells[i], bells[i + 1] = bells[i + 1], bells[i]


def _until(units: Iterator[str]) -> str:
    parts, words = [], 0
    while words < WORDS:
        parts.append(next(units))
        words += len(parts[-1].split())
    return "".join(parts).strip()
