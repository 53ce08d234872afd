"""Recall: the prompt pairs people with things, and the thing of one of them is asked for."""

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
WORDINGS = {
    # template: (the question, what is stated of a pair, the opening)
    "table": ("Look up {} in this table.", "{}: {}", "{}:"),
    "arrows": ("Who gets what? Find {}.", "{} -> {}", "{} ->"),
    "equals": ("What is the value of {}?", "{} = {}", "{} ="),
}


def task() -> Task:
    """102 prompts of four pairs each, and the choices are what they state. Each place is asked for equally often."""
    rng = Random("recall")
    asked, places = dealt(rng, range(PAIRS), ITEMS), dealt(rng, range(PAIRS), ITEMS)
    templates = list(WORDINGS)
    items = (_item(rng, n, templates[n % len(templates)], asked[n], places[n]) for n in range(ITEMS))
    return Task("recall", "contextual", "recall of stated pairs", "after Arora et al. 2023", tuple(items))


def _item(rng: Random, number: int, template: str, asked: int, place: int) -> Item:
    question, stated, opening = WORDINGS[template]
    people, held = shuffled(rng, PEOPLE)[:PAIRS], shuffled(rng, THINGS)[:PAIRS]
    facts = "\n".join(stated.format(*pair) for pair in zip(people, held, strict=True))
    who, right = people[asked], held[asked]
    others = shuffled(rng, [thing for thing in held if thing != right])
    prompt = f"{question.format(who)}\n{facts}"
    return Item(f"recall-{number:03d}", prompt, offered(right, others, place), place, opening.format(who), template)
