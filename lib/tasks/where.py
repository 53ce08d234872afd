"""How it is asked whether a city is in a country: the same wordings for real cities and for invented ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from lib.tasks.drawing import dealt, shuffled
from lib.tasks.items import Item
from lib.tasks.made_up import cities_in_countries

FACTS = 2
"""Facts about invented cities that stand before each question."""


@dataclass(frozen=True)
class Wording:
    """`fact` and `question` have places for {city} and {country}; `choices` are what is true and what is false."""

    fact: str
    question: str
    choices: tuple[str, str]
    opening: str = "Answer:"


WORDINGS = {
    "true-false": Wording(
        "The city of {city} is in {country}.", "The city of {city} is in {country}. True or false?", (" True", " False")
    ),
    "yes-no": Wording("{city} is in {country}.", "Is {city} in {country}?", (" Yes", " No")),
    "statement": Wording("{city} is in {country}.", "{city} is in {country}.", (" true", " false"), "This is"),
}


def dealt_wordings(rng: Random, count: int) -> list[tuple[str, bool]]:
    """So many (template, truth), each of them as often as the others (or once more)."""
    return dealt(rng, [(template, truth) for template in WORDINGS for truth in (True, False)], count)


def item(name: str, template: str, facts: Sequence[tuple[str, str]], asked: tuple[str, str], truth: bool) -> Item:
    """A question about a (city, country), after facts about cities in countries."""
    wording = WORDINGS[template]
    stated = " ".join(wording.fact.format(city=city, country=country) for city, country in facts)
    question = wording.question.format(city=asked[0], country=asked[1])
    return Item(name, f"{stated}\n{question}", wording.choices, 0 if truth else 1, wording.opening, template)


def known(name: str, template: str, rng: Random, city: str, country: str, truth: bool) -> Item:
    """A question about a real city, after facts about invented ones that do not help."""
    return item(name, template, cities_in_countries(rng, FACTS), (city, country), truth)


def stated(name: str, template: str, rng: Random, truth: bool) -> Item:
    """A question about an invented city whose country is stated; a false one names the country of another city."""
    facts = cities_in_countries(rng, FACTS)
    (city, country), (_, other) = shuffled(rng, facts)[:2]
    return item(name, template, facts, (city, country if truth else other), truth)
