"""Which city is the capital of a country? Real capitals to choose from; `invented_capitals` asks of invented ones."""

from random import Random

from lib.tasks import which
from lib.tasks.drawing import dealt, shuffled
from lib.tasks.items import MORE, Task
from lib.tasks.made_up import cities_in_countries
from lib.tasks.places import CAPITALS

LIKE = 1
"""The most letters by which the name of another choice is longer or shorter than the right one."""


def task() -> Task:
    """108 countries, of which each is asked for once, with its capital and three others of as many letters, about.

    Four facts about invented countries stand before each question. They do not help, and make a prompt as long as one
    of `invented_capitals`, where they do.
    """
    rng = Random("capitals")
    places = dealt(rng, range(which.FACTS), len(CAPITALS))
    templates = list(which.WORDINGS)
    items = []
    for number, (country, capital) in enumerate(shuffled(rng, CAPITALS.items())):
        facts = cities_in_countries(rng, which.FACTS)
        alike = [other for other in CAPITALS.values() if other != capital and abs(len(other) - len(capital)) <= LIKE]
        others = shuffled(rng, alike)[: which.FACTS - 1]
        template = templates[number % len(templates)]
        items.append(which.item(f"capitals-{number:03d}", template, facts, country, capital, others, places[number]))
    return Task(
        "capitals",
        "parametric",
        "capitals of countries",
        "after Jin et al. 2025, who ask for facts about cities",
        tuple(items),
        matches="invented_capitals",
        asked=MORE,
    )
