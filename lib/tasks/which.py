"""How it is asked for the capital of a country: the same wordings for real countries and for invented ones."""

from collections.abc import Sequence
from dataclasses import dataclass

from lib.tasks.drawing import offered
from lib.tasks.items import Item

FACTS = 4
"""Facts about invented capitals that stand before each question, and choices."""
ASKED = "Write one more line."


@dataclass(frozen=True)
class Wording:
    """`fact` has places for {capital} and {country}, and `opening` for {country}; each fact is a line.

    The country is asked for in the opening alone. With a question that names it, before the facts or behind them,
    SmolLM2-135M was right less often in one of the two tasks.
    """

    fact: str
    opening: str


WORDINGS = {
    "sentence": Wording("The capital of {country} is {capital}.", "The capital of {country} is"),
    "colon": Wording("Capital of {country}: {capital}", "Capital of {country}:"),
    "list": Wording("Country: {country}. Capital: {capital}.", "Country: {country}. Capital:"),
}


def item(
    name: str,
    template: str,
    facts: Sequence[tuple[str, str]],
    country: str,
    right: str,
    others: Sequence[str],
    place: int,
) -> Item:
    """A question for the capital of a country, after facts about (capital, country); the right choice is at `place`."""
    wording = WORDINGS[template]
    stated = "\n".join(wording.fact.format(capital=capital, country=where) for capital, where in facts)
    opening = wording.opening.format(country=country)
    return Item(name, f"{stated}\n{ASKED}", offered(right, others, place), place, opening, template)
