"""Facts about countries: the continent, the language, the money, and what one goes to see there."""

from random import Random

from lib.tasks.drawing import dealt, offered, shuffled
from lib.tasks.items import MORE, Item, Task
from lib.tasks.made_up import cities_in_countries

FACTS = 2
CHOICES = 4
LIKE = 3
"""The most letters by which another choice is longer or shorter than the right one."""
BY_CONTINENT = {
    "Europe": ("France", "Germany", "Poland", "Sweden", "Norway", "Ireland", "Hungary", "Belgium"),
    "Asia": ("Japan", "China", "Thailand", "Vietnam", "Nepal", "Pakistan", "Mongolia", "Cambodia"),
    "Africa": ("Kenya", "Ghana", "Senegal", "Zambia", "Uganda", "Angola", "Nigeria", "Namibia"),
    "Oceania": ("Fiji", "Samoa", "Tonga", "Vanuatu", "Kiribati", "Tuvalu", "Palau", "Nauru"),
}
LANGUAGES = {
    "Brazil": "Portuguese",
    "Argentina": "Spanish",
    "Austria": "German",
    "Australia": "English",
    "Egypt": "Arabic",
    "Iran": "Persian",
    "Israel": "Hebrew",
    "the Netherlands": "Dutch",
    "Haiti": "French",
    "Brunei": "Malay",
    "Ethiopia": "Amharic",
    "Bangladesh": "Bengali",
    "Cyprus": "Greek",
    "San Marino": "Italian",
    "Moldova": "Romanian",
    "Mexico": "Spanish",
    "Iraq": "Arabic",
    "Angola": "Portuguese",
    "Jamaica": "English",
    "Monaco": "French",
    "Liechtenstein": "German",
    "Suriname": "Dutch",
    "North Korea": "Korean",
    "Taiwan": "Mandarin",
}
MONEY = {
    "Japan": "yen",
    "India": "rupee",
    "Russia": "ruble",
    "Mexico": "peso",
    "Sweden": "krona",
    "Poland": "zloty",
    "Thailand": "baht",
    "Turkey": "lira",
    "Iran": "rial",
    "Iraq": "dinar",
    "Brazil": "real",
    "South Africa": "rand",
    "China": "yuan",
    "South Korea": "won",
    "Switzerland": "franc",
    "Germany": "euro",
    "Vietnam": "dong",
    "Hungary": "forint",
    "Malaysia": "ringgit",
    "Canada": "dollar",
    "Israel": "shekel",
    "Kenya": "shilling",
    "Argentina": "peso",
    "Bangladesh": "taka",
}
SIGHTS = {
    "The Eiffel Tower": "France",
    "The Colosseum": "Italy",
    "The Taj Mahal": "India",
    "Machu Picchu": "Peru",
    "The Acropolis": "Greece",
    "The Sphinx": "Egypt",
    "Mount Fuji": "Japan",
    "The Great Wall": "China",
    "The Kremlin": "Russia",
    "The Alhambra": "Spain",
    "Angkor Wat": "Cambodia",
    "The Brandenburg Gate": "Germany",
    "Niagara Falls": "Canada",
    "The Sydney Opera House": "Australia",
    "Stonehenge": "England",
    "Chichen Itza": "Mexico",
    "Loch Ness": "Scotland",
    "The Little Mermaid": "Denmark",
    "The Hagia Sophia": "Turkey",
    "Petra": "Jordan",
    "Persepolis": "Iran",
    "The Blue Lagoon": "Iceland",
    "Mount Kilimanjaro": "Tanzania",
    "The Serengeti": "Tanzania",
}
KINDS = {
    # template: (question, opening, the answer of each)
    "continent": (
        "On which continent is {}?",
        "{} is a country in",
        {country: continent for continent, countries in BY_CONTINENT.items() for country in countries},
    ),
    "language": ("Which language is spoken in {}?", "The official language of {} is", LANGUAGES),
    "money": ("Which money is used in {}?", "The currency of {} is the", MONEY),
    "sight": ("In which country is it? {}", "{} is in", SIGHTS),
}


def task() -> Task:
    """104 facts, of which each is asked for once, with three wrong answers of the same kind and like length.

    Two facts about invented countries stand before each question, as in `capitals`; they do not help.
    """
    rng = Random("atlas")
    asked = [(template, about, answer) for template, (_, _, facts) in KINDS.items() for about, answer in facts.items()]
    places = dealt(rng, range(CHOICES), len(asked))
    items = [_item(rng, f"atlas-{n:03d}", *fact, places[n]) for n, fact in enumerate(shuffled(rng, asked))]
    return Task(
        "atlas",
        "parametric",
        "facts about countries",
        "after Jin et al. 2025, with other facts",
        tuple(items),
        asked=MORE,
    )


def _item(rng: Random, name: str, template: str, about: str, answer: str, place: int) -> Item:
    question, opening, facts = KINDS[template]
    alike = [
        other for other in dict.fromkeys(facts.values()) if other != answer and abs(len(other) - len(answer)) <= LIKE
    ]
    others = shuffled(rng, alike)[: CHOICES - 1]
    stated = " ".join(f"The capital of {there} is {city}." for city, there in cities_in_countries(rng, FACTS))
    prompt = f"{stated}\n{question.format(about)}"
    return Item(name, prompt, offered(answer, others, place), place, opening.format(about), template)
