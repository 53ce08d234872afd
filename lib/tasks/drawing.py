"""Draw at random, the same in every version of Python: of its generator, only the method `random` is promised to stay.

Source: the notes on reproducibility in Python's documentation of `random`.
"""

from collections.abc import Iterable, Sequence
from random import Random
from typing import TypeVar

Thing = TypeVar("Thing")


def shuffled(rng: Random, things: Iterable[Thing]) -> list[Thing]:
    """The things in random order."""
    return sorted(things, key=lambda _: rng.random())


def one_of(rng: Random, things: Sequence[Thing]) -> Thing:
    """One of the things."""
    return things[int(rng.random() * len(things))]


def dealt(rng: Random, things: Sequence[Thing], count: int) -> list[Thing]:
    """So many of the things in random order, each as often as the others (or once more)."""
    return shuffled(rng, [things[n % len(things)] for n in range(count)])


def offered(right: str, others: Sequence[str], place: int) -> tuple[str, ...]:
    """Choices with the right one at a place, each with a blank before it."""
    return tuple(f" {word}" for word in (*others[:place], right, *others[place:]))
