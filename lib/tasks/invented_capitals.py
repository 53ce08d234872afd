"""Which city is the capital of a country? Invented countries, whose capitals the prompt states."""

from random import Random

from lib.tasks import which
from lib.tasks.drawing import dealt, shuffled
from lib.tasks.items import Task
from lib.tasks.made_up import cities_in_countries

ITEMS = 108


def task() -> Task:
    """108 questions in the wordings of `capitals`: only the place of the knowledge is another.

    Four facts stand before each question, and the choices are their four capitals.
    """
    rng = Random("invented_capitals")
    places = dealt(rng, range(which.FACTS), ITEMS)
    templates = list(which.WORDINGS)
    items = []
    for number in range(ITEMS):
        facts = cities_in_countries(rng, which.FACTS)
        (capital, country), *others = shuffled(rng, facts)
        template, wrong = templates[number % len(templates)], [other for other, _ in others]
        name = f"invented_capitals-{number:03d}"
        items.append(which.item(name, template, facts, country, capital, wrong, places[number]))
    return Task(
        "invented_capitals",
        "contextual",
        "capitals of invented countries, stated in the prompt",
        "after Jin et al. 2025, with invented names",
        tuple(items),
        matches="capitals",
    )
