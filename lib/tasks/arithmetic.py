"""Arithmetic over numbers that the prompt gives: sums, differences, and which of two is larger."""

from random import Random

from lib.tasks.drawing import dealt, offered, one_of, shuffled
from lib.tasks.items import Item, Task

EACH = 36
"""Items of a template."""
CHOICES = 4
RESULTS = {"sum": range(4, 10), "difference": range(2, 8)}
"""Results of which each is asked for equally often; the choices are others of them. All numbers are from 2 to 9."""
WHO = ("Anna", "Boris", "Clara", "David", "Emma", "Felix", "Grace", "Henry")
WHAT = ("apples", "books", "coins", "pens", "shells", "stamps", "cards", "eggs")


def task() -> Task:
    """108 questions, 36 of a template. No example stands before them: SmolLM2-135M is right more often without."""
    rng = Random("arithmetic")
    items = [*_calculated(rng, "sum"), *_calculated(rng, "difference"), *_compared(rng)]
    items = [_item(f"arithmetic-{number:03d}", *parts) for number, parts in enumerate(shuffled(rng, items))]
    return Task(
        "arithmetic",
        "contextual",
        "small sums and comparisons",
        "after Jin et al. 2025, who take word problems of GSM8K and AQuA",
        tuple(items),
    )


def _calculated(rng: Random, template: str) -> list[tuple]:
    """The parts of items whose result is a sum or a difference of two numbers of one digit."""
    results, places = dealt(rng, RESULTS[template], EACH), dealt(rng, range(CHOICES), EACH)
    asked = _askers(rng)
    parts = []
    for (who, what), result, place in zip(asked, results, places, strict=True):
        if template == "sum":
            second = one_of(rng, range(2, result - 1))
            first = result - second
        else:
            second = one_of(rng, range(2, 10 - result))
            first = result + second
        others = shuffled(rng, [other for other in RESULTS[template] if other != result])[: CHOICES - 1]
        parts.append((template, who, what, first, second, result, others, place))
    return parts


def _compared(rng: Random) -> list[tuple]:
    """The parts of items that ask for the larger of two numbers of two digits, which is stated first or second."""
    parts = []
    firsts, places = dealt(rng, (True, False), EACH), dealt(rng, range(2), EACH)
    for (who, what), first, place in zip(_askers(rng), firsts, places, strict=True):
        small, large = 10 + one_of(rng, range(30)), 60 + one_of(rng, range(30))
        pair = (large, small) if first else (small, large)
        parts.append(("larger", who, what, *pair, large, [small], place))
    return parts


def _askers(rng: Random) -> list[tuple[str, str]]:
    return shuffled(rng, [(who, what) for who in WHO for what in WHAT])[:EACH]


def _item(
    name: str, template: str, who: str, what: str, first: int, second: int, result: int, others: list[int], place: int
) -> Item:
    prompt, opening = {
        "sum": (
            f"{who} has {first} {what} and gets {second} more. How many?",
            f"{first} + {second} =",
        ),
        "difference": (
            f"{who} has {first} {what} and loses {second}. How many are left?",
            f"{first} - {second} =",
        ),
        "larger": (
            f"{who} counts {first} {what} and then {second}. Which number is larger?",
            f"max({first}, {second}) =",
        ),
    }[template]
    return Item(name, prompt, offered(str(result), [str(other) for other in others], place), place, opening, template)
