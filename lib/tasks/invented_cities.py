"""Is a city in a country? Yes-no questions about invented cities, whose countries the prompt states."""

from random import Random

from lib.tasks import where
from lib.tasks.cities import EXAMPLES
from lib.tasks.items import Task

ITEMS = 100


def task() -> Task:
    """100 questions in the wordings of `cities`: only the place of the knowledge is another.

    Two facts stand before each question. One of them answers it; where the answer is no, the country that is asked for
    is that of the other fact, so that both names stand in the prompt whatever the answer.
    """
    rng = Random("invented_cities")
    return Task(
        "invented_cities",
        "contextual",
        "invented cities and their countries, true or false",
        "after Marks and Tegmark 2024, with invented names",
        tuple(
            where.stated(f"invented_cities-{number:03d}", template, rng, truth)
            for number, (template, truth) in enumerate(where.dealt_wordings(rng, ITEMS))
        ),
        tuple(
            where.stated(f"invented_cities-example-{template}-{number}", template, rng, truth)
            for template, examples in EXAMPLES.items()
            for number, (_, _, truth) in enumerate(examples)
        ),
        matches="cities",
    )
