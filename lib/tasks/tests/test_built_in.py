"""What every task that comes with the harness must be; each check is also seen to fail."""

import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from lib.tasks import passkey, registry
from lib.tasks.items import Item, Task
from lib.tasks.places import CITIES

pytestmark = pytest.mark.cpu

HASHES = json.loads(Path(__file__).with_name("hashes.json").read_text())
TASKS = pytest.mark.parametrize("task", [registry.load(name) for name in registry.names()], ids=registry.names())
STATED = ("passkey", "recall", "copying", "invented_capitals")
"""Contextual tasks whose prompts state all choices in words; the others ask for a judgement or a result."""


def words(item: Item) -> str:
    return f" {' '.join(re.findall(r'[a-z0-9]+', item.text.lower()))} "


def states(item: Item, choice: str) -> bool:
    return f" {' '.join(re.findall(r'[a-z0-9]+', choice.lower()))} " in words(item)


def is_large_and_even(task: Task) -> bool:
    templates = Counter(item.template for item in task.items)
    return len(task.items) >= 100 and len(templates) >= 3 and min(templates.values()) * 2 >= max(templates.values())


def is_alike(item: Item) -> bool:
    """Have the choices as many words, and about as many letters?"""
    counts, letters = {len(choice.split()) for choice in item.choices}, [len(choice) for choice in item.choices]
    return len(counts) == 1 and max(letters) - min(letters) <= 6


@TASKS
def test_a_task_has_100_items_or_more_in_three_templates_or_more(task):
    assert is_large_and_even(task)
    assert not is_large_and_even(replace(task, items=task.items[:99]))
    assert not is_large_and_even(
        replace(task, items=tuple(replace(item, template="one") for item in task.items), examples=())
    )


@TASKS
def test_the_same_items_are_made_everywhere(task):
    assert task.hash == HASHES[task.name]


def test_no_hash_is_kept_of_a_task_that_is_gone():
    assert set(HASHES) == set(registry.names())


@TASKS
def test_the_right_choice_is_at_each_place_equally_often(task):
    for number in {len(item.choices) for item in task.items}:
        places = Counter(item.answer for item in task.items if len(item.choices) == number)
        assert len(places) == number
        assert max(places.values()) - min(places.values()) <= 1


@TASKS
def test_choices_are_of_one_length(task):
    assert [item.name for item in task.items if not is_alike(item)] == []
    item = task.items[0]
    assert not is_alike(replace(item, choices=(item.choices[0] + " more", *item.choices[1:])))
    assert not is_alike(replace(item, choices=(item.choices[0] + "muchlonger", *item.choices[1:])))


@pytest.mark.parametrize("name", STATED)
def test_what_is_asked_of_the_context_stands_in_the_prompt_as_do_the_other_choices(name):
    for item in registry.load(name).items:
        stated = [choice for choice in item.choices if states(item, choice)]
        assert stated == ([item.right] if name == "passkey" else list(item.choices)), item.name


@pytest.mark.parametrize("name", [n for n in registry.names() if registry.load(n).knowledge == "parametric"])
def test_what_is_asked_of_the_weights_stands_nowhere_in_the_prompt(name):
    task = registry.load(name)
    for item in task.items:
        if name == "cities":  # the question names the city: the facts before it must not
            facts, _, question = item.prompt.partition("\n")
            told = [city for city in CITIES if city in question and city in facts]
        else:
            told = [choice for choice in item.choices if choice.strip().lower() in task.context(item).lower()]
        assert told == [], item.name


def test_an_invented_city_is_in_the_country_that_the_prompt_states_or_in_that_of_another_one():
    truths = []
    for item in registry.load("invented_cities").items:
        facts, question = item.text.split("\n")[:2]
        names = re.findall(r"[A-Z]\w{4,}", facts.replace("The city", ""))
        pairs = dict(zip(names[::2], names[1::2], strict=True))
        city, country = [name for name in re.findall(r"[A-Z]\w+", question) if name in names]
        assert country in pairs.values()
        assert (pairs[city] == country) == (item.answer == 0), item.name
        truths.append(item.answer == 0)
    assert sum(truths) == 50


@pytest.mark.parametrize("name", ["cities", "capitals"])
def test_a_task_and_its_match_differ_in_the_place_of_the_knowledge_only(name):
    task = registry.load(name)
    match = registry.load(task.matches)
    assert (match.matches, {task.knowledge, match.knowledge}) == (name, {"contextual", "parametric"})
    assert match.chance == task.chance
    assert [e.template for e in match.examples] == [e.template for e in task.examples]
    assert [e.answer for e in match.examples] == [e.answer for e in task.examples]
    for template in {item.template for item in task.items}:
        lengths = [
            [len(t.context(item).split()) for item in t.items if item.template == template] for t in (task, match)
        ]
        means = [sum(numbers) / len(numbers) for numbers in lengths]
        assert abs(means[0] - means[1]) < 0.03 * means[0], template


def test_a_result_is_right_and_the_larger_number_is_larger():
    task = registry.load("arithmetic")
    for item in (*task.items, *task.examples):
        first, second = map(int, re.findall(r"\d+", item.prompt)[:2])
        results = {"sum": first + second, "difference": first - second}
        assert int(item.right) == results.get(item.template, max(first, second)), item.name


def test_reviews_of_both_kinds_are_of_like_length():
    both = [[len(item.text.split()) for item in registry.load("sentiment").items if item.answer == k] for k in (0, 1)]
    assert abs(sum(both[0]) / len(both[0]) - sum(both[1]) / len(both[1])) < 1


def test_every_length_and_depth_has_as_many_pass_keys_as_are_dealt_to_depths_that_exist():
    cells = Counter((item.length, item.depth) for item in registry.load("passkey").items)
    assert {length: sorted(depth for at, depth in cells if at == length) for length in passkey.LENGTHS} == {
        2: [0, 0.5, 1],
        **{length: [0, 0.25, 0.5, 0.75, 1] for length in (4, 8, 16)},
    }
    assert {number for (length, _), number in cells.items() if length > 2} == {5}
    assert sorted(number for (length, _), number in cells.items() if length == 2) == [5, 10, 10]


def test_the_key_stands_as_deep_as_the_item_says():
    for item in registry.load("passkey").items:
        sentences = re.findall(r"[^.]*\d{4}[^.]*\.|[^.]+\.", item.prompt.split("\n")[1])
        at = next(n for n, sentence in enumerate(sentences) if item.right.strip() in sentence)
        kept = len(sentences) - (2 if "Remember it" in item.prompt else 1)
        assert (kept, at) == (item.length, round(item.depth * item.length)), item.name


def test_wrong_keys_have_as_many_digits_and_differ_in_one():
    for item in registry.load("passkey").items:
        for choice in item.choices:
            different = sum(a != b for a, b in zip(choice, item.right, strict=True))
            assert different == (choice != item.right), item.name


def test_pass_keys_are_hidden_in_longer_texts_too():
    (item,) = (i for i in passkey.made(Random("long"), (100,), (0.5,), (5,), each=1))
    assert (item.length, len(item.right.strip())) == (100, 5)
    assert item.prompt.count(".") > 100
