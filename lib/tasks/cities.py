"""Is a city in a country? Yes-no questions about real cities; `invented_cities` asks the same of invented ones."""

from random import Random

from lib.tasks import where
from lib.tasks.drawing import one_of, shuffled
from lib.tasks.items import MORE, Item, Task
from lib.tasks.places import CITIES, COUNTRIES

EXAMPLES = {
    "true-false": (("Stuttgart", "Germany", True), ("Manchester", "Peru", False)),
    "yes-no": (("Marseille", "Norway", False), ("Chicago", "America", True)),
    "statement": (("Birmingham", "England", True), ("Rotterdam", "Kenya", False)),
}
"""City, country and truth of what is shown before the items of each template."""


def task() -> Task:
    """100 cities, of which each is asked for once: half of them with their country, half with another one.

    Two facts about invented cities stand before each question. They do not help, and make a prompt as long as one of
    `invented_cities`, where they do.
    """
    rng = Random("cities")
    countries = tuple(dict.fromkeys(country for country, _, _ in COUNTRIES))
    asked = where.dealt_wordings(rng, len(CITIES))
    items = []
    for number, (city, country) in enumerate(shuffled(rng, CITIES.items())):
        template, truth = asked[number]
        named = country if truth else one_of(rng, [other for other in countries if other != country])
        items.append(where.known(f"cities-{number:03d}", template, rng, city, named, truth))
    return Task(
        "cities",
        "parametric",
        "cities and their countries, true or false",
        "after Marks and Tegmark 2024",
        tuple(items),
        _examples(rng),
        matches="invented_cities",
        asked=MORE,
    )


def _examples(rng: Random) -> tuple[Item, ...]:
    return tuple(
        where.known(f"cities-example-{template}-{number}", template, rng, *shown)
        for template, examples in EXAMPLES.items()
        for number, shown in enumerate(examples)
    )
