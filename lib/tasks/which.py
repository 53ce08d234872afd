"""How it is asked for the capital of a country: the same wordings for real countries and for invented ones."""

from collections.abc import Sequence
from dataclasses import dataclass

from lib.tasks.drawing import offered
from lib.tasks.items import Item

FACTS = 4
"""Facts about invented capitals that stand before each question, and choices."""


@dataclass(frozen=True)
class Wording:
    """`fact` has places for {capital} and {country}, `question` and `opening` for {country}; facts are joined."""

    fact: str
    question: str
    opening: str
    joined: str = " "


WORDINGS = {
    "sentence": Wording(
        "The capital of {country} is {capital}.",
        "What is the capital of {country}?",
        "The capital of {country} is",
    ),
    "called": Wording(
        "The capital city of {country} is called {capital}.",
        "How is the capital city of {country} called?",
        "The capital city of {country} is called",
    ),
    "list": Wording(
        "Country: {country}. Capital: {capital}.", "Write the next line.", "Country: {country}. Capital:", "\n"
    ),
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
    """A question for the capital of a country, after facts about (capital, country); the right choice has this place."""
    wording = WORDINGS[template]
    stated = wording.joined.join(wording.fact.format(capital=capital, country=where) for capital, where in facts)
    prompt = f"{stated}\n{wording.question.format(country=country)}"
    opening = wording.opening.format(country=country)
    return Item(name, prompt, offered(right, others, place), place, opening, template)
