from dataclasses import replace

import pytest

from lib.tasks.items import Item, Task

pytestmark = pytest.mark.cpu

GOOD = {"name": "one", "prompt": "Is water wet?", "choices": (" yes", " no"), "answer": 0}


def item(**more) -> Item:
    return Item(**{**GOOD, **more})


def items(answers, **more) -> tuple[Item, ...]:
    return tuple(item(name=f"i{n}", prompt=f"Question {n}?", answer=answer, **more) for n, answer in enumerate(answers))


def task(made, **more) -> Task:
    return Task("wet", "parametric", "title", "source", tuple(made), **more)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"prompt": "  "}, "item 'one': its prompt is empty"),
        ({"prompt": "Is water "}, "its prompt ends with a blank"),
        ({"opening": "It is\n"}, "its opening ends with a blank"),
        ({"choices": (" yes",)}, "two choices or more, not 1"),
        ({"choices": (" yes", "no")}, "the choice 'no' must be a blank or a newline"),
        ({"choices": (" yes", " ")}, "the choice ' ' must be"),
        ({"choices": (" yes", "  no")}, "the choice '  no' must be"),
        ({"choices": (" yes", " no ")}, "the choice ' no ' must be"),
        ({"choices": (" yes", " no", " yes")}, "the choice ' yes' comes twice"),
        ({"answer": 2}, r"its answer is choice 2 \(the first is 0\), and it has 2 choices"),
        ({"answer": -1}, "its answer is choice -1"),
    ],
)
def test_fields_that_make_no_item_are_refused(fields, sentence):
    with pytest.raises(ValueError, match=sentence):
        item(**fields)


def test_an_opening_stands_below_the_prompt_and_a_choice_continues_it():
    asked = item(opening="Water is", choices=(" wet", "\ndry"))
    assert asked.text + asked.right == "Is water wet?\nWater is wet"
    assert item().text == "Is water wet?"


def test_chance_is_the_mean_of_one_over_the_number_of_choices():
    four = item(name="four", prompt="Which?", choices=(" a", " b", " c", " d"), answer=1)
    assert task([item(), four]).chance == (1 / 2 + 1 / 4) / 2


def test_an_item_is_shown_after_the_examples_of_its_template():
    a, b = item(name="a", prompt="A?", template="t"), item(name="b", prompt="B?", template="u", answer=1)
    asked = item(template="u", opening="I say")
    made = task([asked], examples=(a, b))
    assert made.context(asked) == "B? no\n\nIs water wet?\nI say"
    assert made.turns(asked) == [("B?", "no"), ("Is water wet?", "I say")]
    assert task([asked]).context(asked) == "Is water wet?\nI say"


def test_the_hash_is_that_of_what_a_model_reads():
    made = task([item()])
    assert made.hash == replace(made, note="a note", title="another").hash
    assert made.hash != task([item(opening="I say")]).hash
    assert made.hash != task([item()], examples=(item(name="e", prompt="E?"),)).hash


def test_a_task_without_items_or_of_unknown_knowledge_is_refused():
    with pytest.raises(ValueError, match="task 'wet': it has no items"):
        task([])
    with pytest.raises(ValueError, match="task 'wet': knowledge must be contextual or parametric, not 'both'"):
        Task("wet", "both", "", "", (item(),))


def test_items_that_ask_the_same_are_refused_whatever_their_choices():
    with pytest.raises(ValueError, match="'one' and 'two' ask the same: leave one out"):
        task([item(), item(name="two", choices=(" maybe", " no"))])


def test_two_items_of_one_name_are_refused():
    with pytest.raises(ValueError, match="have the same name, 'one'"):
        task([item(), item(prompt="Another?")])


def test_an_item_that_is_also_an_example_is_refused():
    with pytest.raises(ValueError, match="'shown' and 'one' ask the same, and the first is an example"):
        task([item()], examples=(item(name="shown"),))


def test_a_template_without_an_example_is_refused_where_others_have_one():
    with pytest.raises(ValueError, match="'one' has the template 'plain', for which there is no example"):
        task([item()], examples=(item(name="shown", prompt="E?", template="other"),))


@pytest.mark.parametrize(("yes", "of"), [(6, 10), (60, 100), (2, 3), (1, 1)])
def test_one_answer_may_be_right_in_60_percent_or_in_as_few_as_can_be(yes, of):
    mixed = [item(name=f"i{n}", prompt=f"Q {n}?", answer=int(n >= yes)) for n in range(of)]
    assert len(task(mixed).items) == of


@pytest.mark.parametrize(("yes", "of"), [(7, 10), (61, 100), (3, 3)])
def test_one_answer_that_is_right_more_often_is_refused(yes, of):
    with pytest.raises(ValueError, match=f"unbalanced: ' yes' in template 'plain' is right in {yes} of the {of} items"):
        task(items([0] * yes + [1] * (of - yes)))


def test_answers_are_balanced_in_each_template():
    mixed = [
        *items([0] * 5),
        *(replace(i, name=f"u{i.name}", template="u", prompt="U" + i.prompt) for i in items([1] * 5)),
    ]
    with pytest.raises(ValueError, match="' yes' in template 'plain' is right in 5 of the 5 items"):
        task(mixed)


def test_answers_of_different_words_at_one_place_are_refused():
    made = [item(name=f"i{n}", prompt=f"Q {n}?", choices=(f" a{n}", f" b{n}"), answer=0) for n in range(10)]
    with pytest.raises(ValueError, match="choice 1 is right in 10 of the 10 items that offer it, and by chance in 5"):
        task(made)
