"""Recall: the prompt states who has what, and one of them is asked for."""

from random import Random

from lib.tasks.drawing import dealt, offered, shuffled
from lib.tasks.items import Item, Task

ITEMS = 102
PAIRS = 4
PEOPLE = (
    *("Anna", "Boris", "Clara", "David", "Emma", "Felix", "Grace", "Henry", "Irene", "James", "Karen", "Louis"),
    *("Maria", "Nina", "Oscar", "Paula", "Quinn", "Rosa", "Simon", "Tina", "Victor", "Wendy"),
)
THINGS = (
    *("lamp", "rope", "book", "coin", "drum", "flag", "vase", "bell", "ring", "mask", "boat", "cake", "fork", "harp"),
    *("kite", "comb", "sock", "glove", "torch", "spoon"),
)
ROOMS = (
    *("kitchen", "garden", "garage", "cellar", "library", "bedroom", "office", "attic", "hallway", "stable", "chapel"),
    *("studio", "museum", "bakery"),
)
WORDINGS = {
    # template: (what is stated of a pair, the question, the opening, what people may have)
    "keeps": ("{} has the {}.", "What does {} have?", "{} has the", THINGS),
    "table": ("{}: {}", "Look up {} in the table.", "{}:", THINGS),
    "rooms": ("{} is in the {}.", "Where is {}?", "{} is in the", ROOMS),
}


def task() -> Task:
    """102 prompts of four pairs each, and the choices are what they state. Each place is asked for equally often."""
    rng = Random("recall")
    asked, places = dealt(rng, range(PAIRS), ITEMS), dealt(rng, range(PAIRS), ITEMS)
    templates = list(WORDINGS)
    items = (_item(rng, n, templates[n % len(templates)], asked[n], places[n]) for n in range(ITEMS))
    return Task("recall", "contextual", "recall of stated pairs", "after Arora et al. 2023, in prose", tuple(items))


def _item(rng: Random, number: int, template: str, asked: int, place: int) -> Item:
    stated, question, opening, things = WORDINGS[template]
    people, held = shuffled(rng, PEOPLE)[:PAIRS], shuffled(rng, things)[:PAIRS]
    facts = "\n".join(stated.format(*pair) for pair in zip(people, held, strict=True))
    who, right = people[asked], held[asked]
    others = shuffled(rng, [thing for thing in held if thing != right])
    prompt = f"{facts}\n{question.format(who)}"
    return Item(f"recall-{number:03d}", prompt, offered(right, others, place), place, opening.format(who), template)
