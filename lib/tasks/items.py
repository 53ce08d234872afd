"""Items, of which each asks one question and offers answers to it, and tasks, which are many items that ask alike."""

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction

KNOWLEDGE = ("contextual", "parametric")
"""Where the answer is: in the prompt, or in the weights."""
ENOUGH = 60
"""Items of each task that are asked unless it is said how many: each costs a pass in every condition."""
MORE = 100
"""The same of tasks that a claim speaks of with few others, or alone: so many tell 5 points, or 90 % from 100 %."""
SLACK = Fraction(1, 10)
"""The most that always giving the same answer may gain over chance, as a share of the items: 60 % of yes-no items."""
BETWEEN = "\n"
"""What stands between a prompt and the beginning of its answer in plain text."""
APART = "\n\n"
"""What stands between an example and what follows it."""


@dataclass(frozen=True)
class Item:
    """One question, and the continuations that are offered as answers to it.

    `prompt` is what a user asks, and `opening` the beginning of the answer, such as "The pass key is"; it may be empty.
    Each of the `choices` begins with the blank or newline that parts it from what it continues, and the one at the
    index `answer` is right. `template` names the wording, which many items of a task share. `length` is the number of
    sentences in which a fact is hidden, and `depth` its place among them, from 0 (before all) to 1 (behind all).
    Raises ValueError, one sentence, for fields that make no item.
    """

    name: str
    prompt: str
    choices: tuple[str, ...]
    answer: int
    opening: str = ""
    template: str = "plain"
    length: int | None = None
    depth: float | None = None

    def __post_init__(self) -> None:
        if fault := _fault(self):
            raise ValueError(f"item {self.name!r}: {fault}")

    @property
    def text(self) -> str:
        """The prompt and the beginning of the answer as plain text; a choice continues it."""
        return BETWEEN.join(part for part in (self.prompt, self.opening) if part)

    @property
    def right(self) -> str:
        """The choice that is right."""
        return self.choices[self.answer]


@dataclass(frozen=True)
class Task:
    """Items that ask alike, with examples to show before them.

    `knowledge` is one of KNOWLEDGE. An item is shown after the `examples` of its own template. `matches` names the task
    whose items have the same templates and choices alike while their answers lie elsewhere. `source` says which paper
    the task follows, and `note` what was left out of a dataset. `asked` are the items that are asked unless it is said
    how many: MORE where a claim speaks of this task with few others.
    Raises ValueError, one sentence, for items or examples that come twice, an item that is also an example, a template
    that has no example while others have, and unbalanced answers: see `check`.
    """

    name: str
    knowledge: str
    title: str
    source: str
    items: tuple[Item, ...]
    examples: tuple[Item, ...] = ()
    matches: str = ""
    note: str = ""
    asked: int = ENOUGH

    def __post_init__(self) -> None:
        if self.knowledge not in KNOWLEDGE:
            raise ValueError(f"task {self.name!r}: knowledge must be {' or '.join(KNOWLEDGE)}, not {self.knowledge!r}")
        try:
            check(self.items, self.examples)
        except ValueError as error:
            raise ValueError(f"task {self.name!r}: {error}") from error

    @property
    def chance(self) -> float:
        """The accuracy of guessing: the mean of one over the number of choices."""
        return float(sum(Fraction(1, len(item.choices)) for item in self.items) / len(self.items))

    @property
    def hash(self) -> str:
        """SHA-256 of all that a model reads: the items and the examples, in their order."""
        content = [[asdict(item) for item in group] for group in (self.examples, self.items)]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def asked_items(self, number: int | None = None) -> tuple[Item, ...]:
        """So many items, `asked` by default, at equal distances in their order; all if there are no more."""
        count = min(number or self.asked, len(self.items))
        return tuple(self.items[index * len(self.items) // count] for index in range(count))

    def shown(self, item: Item) -> tuple[Item, ...]:
        """The examples that are shown before an item: those of its template."""
        return tuple(example for example in self.examples if example.template == item.template)

    def context(self, item: Item) -> str:
        """What a model reads before a choice, as plain text: the examples with their answers, and the item."""
        return APART.join([*(example.text + example.right for example in self.shown(item)), item.text])

    def turns(self, item: Item) -> list[tuple[str, str]]:
        """The same as turns of a chat, each (what the user says, what the assistant says).

        The assistant's last turn is the beginning of the answer, which may be empty and is to be continued.
        """
        shown = [(example.prompt, (example.opening + example.right).strip()) for example in self.shown(item)]
        return [*shown, (item.prompt, item.opening)]


def check(items: Sequence[Item], examples: Sequence[Item], called: Callable[[Item], str] | None = None) -> None:
    """Raise ValueError, one sentence, unless items and examples can make a task.

    No two may have the same name or text. Where there are examples, every template of an item needs one. Always giving
    the same answer, or always the choice at the same place, may gain SLACK of the items over chance at most, both in
    each template (answers) and in all items (places); less than one item more than chance is always allowed, since 3
    yes-no items cannot be divided evenly. `called` says what an item is called in the sentence.
    """
    called = called or (lambda item: repr(item.name))
    if not items:
        raise ValueError("it has no items")
    _refuse_repeated(items, examples, called)
    shown = {example.template for example in examples}
    for item in items if examples else ():
        if item.template not in shown:
            raise ValueError(
                f"{called(item)} has the template {item.template!r}, for which there is no example: others have one"
            )
    for template in dict.fromkeys(item.template for item in items):
        group = [item for item in items if item.template == template]
        for text in dict.fromkeys(choice for item in group for choice in item.choices):
            offered = [item for item in group if text in item.choices]
            _refuse_gain(f"{text!r} in template {template!r}", offered, [i.right == text for i in offered], len(group))
    for place in range(max(len(item.choices) for item in items)):
        offered = [item for item in items if place < len(item.choices)]
        _refuse_gain(f"choice {place + 1}", offered, [item.answer == place for item in offered], len(items))


def _refuse_repeated(items: Sequence[Item], examples: Sequence[Item], called: Callable[[Item], str]) -> None:
    names: dict[str, Item] = {}
    texts: dict[str, Item] = {}
    for number, item in enumerate((*examples, *items)):
        if other := texts.get(item.text):
            both = f"{called(other)} and {called(item)} ask the same"
            if number >= len(examples) and any(other is example for example in examples):
                raise ValueError(f"{both}, and the first is an example that is shown before the second")
            raise ValueError(f"{both}: leave one out")
        if other := names.get(item.name):
            raise ValueError(f"{called(other)} and {called(item)} have the same name, {item.name!r}")
        names[item.name] = texts[item.text] = item


def _refuse_gain(what: str, offered: Iterable[Item], right: Sequence[bool], total: int) -> None:
    """Raise ValueError if always giving one answer, which some of `total` items offer, gains too much over chance."""
    chance = sum(Fraction(1, len(item.choices)) for item in offered)
    gain = sum(right) - chance
    if gain >= 1 and gain > SLACK * total:
        raise ValueError(
            f"answers are unbalanced: {what} is right in {sum(right)} of the {len(right)} items that offer it, and "
            f"by chance in {float(chance):.3g}"
        )


def _fault(item: Item) -> str:
    """What is wrong with an item, as a sentence; empty if nothing is."""
    if not item.prompt.strip():
        return "its prompt is empty"
    for part, text in (("prompt", item.prompt), ("opening", item.opening)):
        if text != text.rstrip():
            return f"its {part} ends with a blank, which belongs to the choices"
    if len(item.choices) < 2:
        return f"it needs two choices or more, not {len(item.choices)}"
    if wrong := next((choice for choice in item.choices if not _continues(choice)), None):
        return f"the choice {wrong!r} must be a blank or a newline and then words"
    if equal := next((choice for n, choice in enumerate(item.choices) if choice in item.choices[:n]), None):
        return f"the choice {equal!r} comes twice"
    if not 0 <= item.answer < len(item.choices):
        return f"its answer is choice {item.answer} (the first is 0), and it has {len(item.choices)} choices"
    return ""


def _continues(choice: str) -> bool:
    return choice[:1] in (" ", "\n") and choice[1:] == choice.strip() != ""
