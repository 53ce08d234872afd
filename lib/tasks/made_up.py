"""Invented countries and their cities: names that no model has read facts about."""

from random import Random

from lib.tasks.drawing import one_of, shuffled

COUNTRIES = ("Zan", "Bel", "Orm", "Kesh", "Mir", "Quar", "Fen", "Tol", "Jov", "Dre"), ("ia", "and", "ova", "esta")
CITIES = ("Kal", "Vel", "Bru", "Sor", "Pel", "Dun", "Tam", "Ras", "Hol", "Gav"), ("mora", "vik", "dane", "sted", "quin")
"""How a name begins and how it ends."""


def cities_in_countries(rng: Random, count: int) -> list[tuple[str, str]]:
    """So many (city, country), up to ten, of which no two begin alike: they are as easily told apart as real ones."""
    return list(zip(_names(rng, CITIES, count), _names(rng, COUNTRIES, count), strict=True))


def _names(rng: Random, parts: tuple[tuple[str, ...], tuple[str, ...]], count: int) -> list[str]:
    starts, ends = parts
    return [start + one_of(rng, ends) for start in shuffled(rng, starts)[:count]]
