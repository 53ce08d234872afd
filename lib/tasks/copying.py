"""Copying: a list of random words, its beginning once more, and the question how it goes on."""

from random import Random

from lib.tasks.drawing import dealt, offered, shuffled
from lib.tasks.items import Item, Task

ITEMS = 102
LONG = 8
"""Words of a list."""
REPEATED = range(2, 7)
"""How many of them may be repeated before the one that is asked for."""
CHOICES = 4
WORDS = (
    *("apple", "river", "stone", "cloud", "tiger", "bread", "glass", "horse", "light", "paper", "snake", "tower"),
    *("water", "wheel", "plant", "ocean", "metal", "knife", "queen", "sugar", "train", "mouse", "chair", "dance"),
    *("earth", "fruit", "grass", "heart", "image", "judge", "lemon", "money", "north", "music", "piano", "radio"),
    *("sheep", "table", "uncle", "voice", "watch", "youth", "beach", "clock", "dream", "field", "ghost", "house"),
)
WORDINGS = {
    # template: (question with the list, what joins the words, how a list begins)
    "blanks": ("Repeat these words: {}", " ", ""),
    "commas": ("Copy the list, word by word: {}.", ", ", ""),
    "lines": ("Write the list once more.\n{}", "\n- ", "- "),
}


def task() -> Task:
    """102 lists of eight words of five letters. The choices are the word that follows and three others of the list."""
    rng = Random("copying")
    repeated, places = dealt(rng, REPEATED, ITEMS), dealt(rng, range(CHOICES), ITEMS)
    templates = list(WORDINGS)
    items = (_item(rng, n, templates[n % len(templates)], repeated[n], places[n]) for n in range(ITEMS))
    return Task("copying", "contextual", "copying of random words", "after Olsson et al. 2022", tuple(items))


def _item(rng: Random, number: int, template: str, repeated: int, place: int) -> Item:
    question, joined, start = WORDINGS[template]
    words = shuffled(rng, WORDS)[:LONG]
    right, others = words[repeated], shuffled(rng, words[:repeated] + words[repeated + 1 :])[: CHOICES - 1]
    prompt = question.format(start + joined.join(words))
    opening = start + joined.join([*words[:repeated], ""]).rstrip(" ")
    return Item(f"copying-{number:03d}", prompt, offered(right, others, place), place, opening, template)
