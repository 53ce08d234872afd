"""Pass key: a number is hidden among sentences that do not matter, and is asked for.

    python -m lib.tasks.passkey --lengths 100,200,400 > keys.jsonl

writes pass keys in longer texts, to be given to `--task-data passkey=keys.jsonl`.
"""

import argparse
import json
from collections.abc import Iterable
from dataclasses import asdict
from random import Random

from lib.tasks.drawing import dealt, offered, one_of, shuffled
from lib.tasks.items import MORE, Item, Task

LENGTHS = (2, 4, 8, 16)
"""Sentences around the key: prompts of about 60 to 270 tokens."""
DEPTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
DIGITS = (4, 6)
CHOICES = 4
FILLER = (
    "The baker swept the floor before the first guests came in.",
    "A thin mist lay over the fields on the far side of the river.",
    "Someone had left a bicycle against the wall of the old mill.",
    "The children counted the boats until it was time for supper.",
    "In the afternoon the wind turned and the laundry dried at last.",
    "Two dogs slept in the shade of the chestnut tree.",
    "The postman stopped to talk about the weather and his garden.",
    "Nobody could say why the clock in the hall ran slow.",
    "A train went by in the distance and the cups shook a little.",
    "The library closes early when the evenings grow dark.",
    "She put the letters back into the drawer without reading them.",
    "The soup was too hot, so they waited and looked at the snow.",
    "Behind the school there is a path that leads up to the pond.",
    "The painter mixed a green that he had never seen before.",
    "A new roof was put on the barn while the hay was still wet.",
    "The market smelled of oranges, smoke and fresh bread.",
    "He learned to whistle from an uncle who kept bees.",
    "The lamp in the window was the only light on the street.",
    "Every spring the stream takes a few stones from the bank.",
    "They moved the piano to the other room to make space.",
    "The gardener planted beans along the fence behind the house.",
    "An owl called from the woods and then was quiet again.",
    "The bus was late, and the driver told a long story about it.",
    "The neighbours painted their door blue and were pleased with it.",
    "Rain fell on the tents all night, and nobody slept much.",
    "The cat watched the fish, and the fish watched the cat.",
    "A violin could be heard from the open door of the church.",
    "The shepherd knew each of his sheep by the sound of its bell.",
    "The museum has a room full of spoons from many countries.",
    "On the way home they found a glove and hung it on a branch.",
)
WORDINGS = {
    # template: (before the text, the key, the question, the opening)
    "plain": (
        "A pass key is hidden in the text below.",
        "The pass key is {key}. Remember it.",
        "What is the pass key?",
        "The pass key is",
    ),
    "ruler": (
        "Read the text and keep its secret number in mind. You will be asked for it afterwards.",
        "One of the secret numbers for the harbour is: {key}.",
        "What is the secret number for the harbour that the text above names?",
        "The secret number for the harbour that the text names is",
    ),
    "safe": (
        "Here is a page from a diary.",
        "I changed the code of my safe to {key}.",
        "Which code opens the safe?",
        "The code of the safe is",
    ),
}


def task() -> Task:
    """100 prompts, five of each length and depth, in every template with keys of every number of digits."""
    rng = Random("passkey")
    return Task(
        "passkey", "contextual", "a pass key in a text", "after Mohtashami and Jaggi 2023", tuple(made(rng)), asked=MORE
    )


def made(
    rng: Random,
    lengths: Iterable[int] = LENGTHS,
    depths: Iterable[float] = DEPTHS,
    digits: Iterable[int] = DIGITS,
    *,
    each: int = 5,
) -> list[Item]:
    """So many items of each number of sentences and depth; templates and numbers of digits are dealt over all of them.

    The depth is the share of the sentences that stand before the key, which few sentences round. Texts longer than
    FILLER repeat its sentences.
    The choices are the key and three numbers that differ from it in one digit each, at different places but the first.
    """
    cells = [(length, depth) for length in lengths for depth in depths for _ in range(each)]
    manners = dealt(rng, [(template, number) for template in WORDINGS for number in digits], len(cells))
    places = dealt(rng, range(CHOICES), len(cells))
    return [
        _item(rng, f"passkey-{n:03d}", *manner, *cell, place)
        for n, (manner, cell, place) in enumerate(zip(manners, cells, places, strict=True))
    ]


def _item(rng: Random, name: str, template: str, digits: int, length: int, depth: float, place: int) -> Item:
    before, hidden, question, opening = WORDINGS[template]
    key = "".join([one_of(rng, "123456789"), *(one_of(rng, "0123456789") for _ in range(digits - 1))])
    near = [_changed(rng, key, at) for at in shuffled(rng, range(1, digits))[: CHOICES - 1]]
    sentences = dealt(rng, shuffled(rng, FILLER), length)
    before_it = round(depth * length)
    sentences.insert(before_it, hidden.format(key=key))
    prompt = "\n".join((before, " ".join(sentences), question))
    return Item(name, prompt, offered(key, near, place), place, opening, template, length, before_it / length)


def _changed(rng: Random, key: str, at: int) -> str:
    """The key with another digit at one place."""
    return key[:at] + one_of(rng, [digit for digit in "0123456789" if digit != key[at]]) + key[at + 1 :]


def main() -> None:
    """Write pass keys as a task file, five for each length and depth unless `--each` says otherwise."""
    parser = argparse.ArgumentParser(prog="python -m lib.tasks.passkey", description="Write pass keys as a task file.")
    parser.add_argument("--lengths", required=True, metavar="N,..", help="sentences around the key")
    parser.add_argument("--each", type=int, default=5, metavar="N", help="items of each length and depth")
    given = parser.parse_args()
    lengths = [int(length) if length.isdecimal() else 0 for length in given.lengths.split(",")]
    if min(lengths) < 1 or given.each < 1:
        parser.error("--lengths are whole numbers of 1 or more with commas between them, and --each is one")
    for item in made(Random("passkey"), lengths, each=given.each):
        print(json.dumps({**asdict(item), "answer": item.right}))


if __name__ == "__main__":
    main()
