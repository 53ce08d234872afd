"""Items of tasks in every condition: channels of the counting texts, of every item's own draw, and of the prompt."""

import numpy as np
import pytest
import torch
from jinja2 import TemplateError

from fixtures.models.tiny import DIM, as_arm, tiny_llama
from lib.definitions import ASKED, EDITED
from lib.measuring import tasks as measured_tasks
from lib.measuring.answers import Edit, score_choices
from lib.measuring.interventions import (
    averaging,
    equal_energy,
    random_control,
    smallest_of_heads,
    top_of_heads,
    zeroing,
)
from lib.measuring.norms import channel_norms
from lib.measuring.tasks import Asking, Drawn, encoded, measure_tasks
from lib.probing import visiting
from lib.tasks import Item, Task

pytestmark = pytest.mark.cpu
CHOSEN = {"threshold": 3.0, "scope": "layer", "seed": 0}


class Letters:
    """A tokenizer of one token for each byte, with a chat template that puts angle brackets around each turn."""

    chat_template = "yes"

    def __call__(self, text, add_special_tokens):
        return {"input_ids": [1] * add_special_tokens + [3 + byte for byte in text.encode()]}

    def apply_chat_template(self, messages, tokenize, continue_final_message=False, add_generation_prompt=False):
        assert not tokenize
        turns = "".join(f"<{message['role'][0]}:{message['content']}>" for message in messages)
        return turns[:-1] if continue_final_message else turns + "<a:" * add_generation_prompt


def item(name, prompt, *choices, **more):
    return Item(name, prompt, choices, more.pop("answer", 0), **more)


TASK = Task(
    "colors",
    "contextual",
    "colors",
    "of our own",
    (
        item("sky", "The sky is blue. Sky?", " blue", " red", opening="It is", length=2, depth=0.5),
        item("blood", "Blood is red. Blood?", " blue", " red", answer=1, opening="It is"),
        item("sea", "Sea?", " green", " violet", " red", opening="It is"),
    ),
)


@pytest.fixture(scope="module")
def arm():
    made = as_arm(tiny_llama(kv_heads=2, initializer_range=0.3))
    object.__setattr__(made, "tokenizer", Letters())
    return made


@pytest.fixture(scope="module")
def counted():
    """Norms of two counting texts: two massive channels in layers 0 and 2, none in layer 1."""
    generator = torch.Generator().manual_seed(0)
    norms = {n: 1 + torch.rand(2, 3, h, DIM, generator=generator) / 2 for n, h in (("query", 4), ("key", 2))}
    for name in EDITED:
        for layer in (0, 2):
            norms[name][:, layer, 1, [3, 9]] = 4.5
    return norms


@pytest.fixture(scope="module")
def record(arm, counted):
    return measure_tasks(arm, [TASK], counted, **CHOSEN)


def scored(arm, number, masks, replacing, site, where="prompt"):
    """Likelihoods of an item's choices with one mask {name: [layer, head, dim]}."""
    context, choices = encoded(arm.tokenizer, TASK, TASK.items[number], chat=False)
    edit = Edit({name: mask[None] for name, mask in masks.items()}, replacing, site)
    return score_choices(arm.model, torch.tensor(context), choices, 1, [edit], where)[0][0].numpy()


def own_norms(arm, number):
    """Norms of the states that attention receives over an item's own context, {name: [layer, head, dim]}."""
    context, _ = encoded(arm.tokenizer, TASK, TASK.items[number], chat=False)
    found = {name: [] for name in EDITED}

    def look(name, layer, states):
        if name in found:
            found[name].append(channel_norms(states)[0])

    with torch.inference_mode(), visiting(arm.model, look, "attention"):
        arm.model(input_ids=torch.tensor(context)[None])
    return {name: torch.stack(layers) for name, layers in found.items()}


def asked(record, number, condition):
    found = record["likelihood"].sel(condition=condition).values[number]
    return found[: record["choices"].values[number]]


def test_every_condition_has_its_row(record):
    assert record["condition"].values.tolist() == list(ASKED)
    assert record["item"].values.tolist() == ["colors/sky", "colors/blood", "colors/sea"]


@pytest.mark.parametrize("number", range(3))
def test_the_baseline_is_a_plain_pass(arm, record, number):
    context, choices = encoded(arm.tokenizer, TASK, TASK.items[number], chat=False)
    plain = score_choices(arm.model, torch.tensor(context), choices)[0][0].numpy()
    np.testing.assert_allclose(asked(record, number, "baseline"), plain, atol=1e-4)


@pytest.mark.parametrize("number", range(3))
def test_massive_channels_of_the_counting_texts_are_zeroed(arm, record, number):
    masks = {name: torch.from_numpy(record[f"{name}_replaced"].values) for name in EDITED}
    assert [int(mask.sum()) for mask in masks.values()] == [4, 4]
    expected = scored(arm, number, masks, zeroing, "projection")
    np.testing.assert_allclose(asked(record, number, "massive"), expected, atol=1e-4)
    assert abs(expected - asked(record, number, "baseline")).max() > 1e-3


@pytest.mark.parametrize("number", range(3))
def test_controls_are_drawn_anew_for_every_item(arm, counted, record, number):
    item = f"colors/{TASK.items[number].name}"
    massive = {name: torch.from_numpy(record[f"{name}_replaced"].values) for name in EDITED}
    random = {name: random_control(mask, f"0/{name}/{item}") for name, mask in massive.items()}
    pooled = {name: norms.double().square().mean(0).sqrt() for name, norms in counted.items()}
    energy = {name: equal_energy(pooled[name], mask, f"0/{name}/energy/{item}") for name, mask in massive.items()}
    for condition, masks in (("random", random), ("energy", energy)):
        expected = scored(arm, number, masks, zeroing, "projection")
        np.testing.assert_allclose(asked(record, number, condition), expected, atol=1e-4)
        assert abs(expected - asked(record, number, "baseline")).max() > 1e-4


def test_no_two_items_share_a_draw(counted):
    drawn = Drawn(counted, 3.0, "layer", 0)
    one, other, again = (drawn.masks(name)["query"] for name in ("a/1", "a/2", "a/1"))
    assert torch.equal(one, again)
    assert torch.equal(one[:2], other[:2])
    assert all(not torch.equal(one[row], other[row]) for row in (2, 3))
    assert not torch.equal(Drawn(counted, 3.0, "layer", 1).masks("a/1")["query"][2], one[2])


@pytest.mark.parametrize(("condition", "pick"), [("top", top_of_heads), ("smallest", smallest_of_heads)])
@pytest.mark.parametrize("number", range(3))
def test_a_prompts_own_channels_are_put_to_their_mean_over_it(arm, record, number, condition, pick):
    masks = {name: pick(norms) for name, norms in own_norms(arm, number).items()}
    expected = scored(arm, number, masks, averaging, "attention")
    np.testing.assert_allclose(asked(record, number, condition), expected, atol=1e-4)
    assert abs(expected - asked(record, number, "baseline")).max() > 1e-5


def test_what_belongs_to_an_item_is_in_the_record(record):
    assert record["answer"].values.tolist() == [0, 1, 0]
    assert record["choices"].values.tolist() == [2, 2, 3]
    assert record["length"].values.tolist()[0] == 2
    assert record["depth"].values.tolist()[0] == 0.5
    assert np.isnan(record["length"].values[1:]).all()
    assert record["tokens"].values[0] == 1 + len("The sky is blue. Sky?\nIt is")
    assert np.isnan(record["likelihood"].values[:2, :, 2]).all()
    assert np.isfinite(record["likelihood"].values[2]).all()
    assert (record.attrs["chat"], record.attrs["where"]) == (0, "prompt")


@pytest.mark.parametrize("where", ["answer", "both"])
def test_channels_may_be_replaced_in_the_answer_but_not_those_of_a_prompt(arm, counted, where):
    found = measure_tasks(arm, [TASK], counted, **CHOSEN, where=where)
    masks = {name: torch.from_numpy(found[f"{name}_replaced"].values) for name in EDITED}
    expected = scored(arm, 0, masks, zeroing, "projection", where)
    np.testing.assert_allclose(asked(found, 0, "massive"), expected, atol=1e-4)
    assert found.attrs["where"] == where
    assert found["condition"].values.tolist() == ["baseline", "massive", "random", "energy"]


def test_a_token_that_the_model_does_not_have_is_refused(arm, counted, monkeypatch):
    monkeypatch.setattr(Letters, "__call__", lambda self, text, add_special_tokens: {"input_ids": [5] * len(text)})
    monkeypatch.setattr(measured_tasks, "embedding_rows", lambda model: 5)
    with pytest.raises(ValueError, match=r"'sky' holds the token id 5, and .* embedding has 5 rows"):
        measure_tasks(arm, [TASK], counted, **CHOSEN)


def test_a_chat_template_that_refuses_the_items_gets_a_sentence(arm, monkeypatch):
    def refuse(*given, **more):
        raise TemplateError("roles must alternate")

    monkeypatch.setattr(Letters, "apply_chat_template", refuse)
    with pytest.raises(ValueError, match=r"chat template refuses the items \(roles must alternate\)"):
        encoded(arm.tokenizer, TASK, TASK.items[0], chat=True)


@pytest.mark.parametrize("rows", [1, 3])
def test_fewer_rows_at_once_give_the_same(arm, counted, record, rows):
    found = measure_tasks(arm, [TASK], counted, **CHOSEN, rows=rows)
    np.testing.assert_allclose(found["likelihood"].values, record["likelihood"].values, atol=1e-4)


def test_so_many_items_are_asked_as_is_said(arm, counted):
    moved = []
    found = measure_tasks(arm, [TASK], counted, **CHOSEN, most=2, progress=moved.append)
    assert found["item"].values.tolist() == ["colors/sky", "colors/blood"]
    assert moved == [1, 1]


def test_a_model_whose_states_cannot_be_read_behind_the_rotation_has_no_channels_of_a_prompt(
    arm, counted, record, monkeypatch
):
    class Survey:
        sites = ("projection",)

    monkeypatch.setattr(measured_tasks, "survey", lambda model: Survey)
    found = measure_tasks(arm, [TASK], counted, **CHOSEN)
    assert found["condition"].values.tolist() == ["baseline", "massive", "random", "energy"]
    np.testing.assert_allclose(found["likelihood"].values, record["likelihood"].values[:, :4], atol=1e-4)


@pytest.mark.parametrize("site", ["projection", "attention"])
def test_an_edit_of_nothing_that_changes_something_is_refused(arm, counted, monkeypatch, site):
    name = {"projection": "zeroing", "attention": "averaging"}[site]

    def spoiling(masks):
        return lambda tensor, layer, states: states * 1.01

    monkeypatch.setattr(measured_tasks, name, spoiling)
    with pytest.raises(ValueError, match=f"colors, item 'sky': with nothing replaced at the site {site}"):
        measure_tasks(arm, [TASK], counted, **CHOSEN)


def test_after_a_pass_that_did_not_fit_fewer_rows_are_tried(arm, counted, monkeypatch):
    sizes = []

    def tight(model, context, choices, rows, edits, where):
        sizes.append(rows)
        if rows > 2:
            raise MemoryError
        return torch.zeros(rows, len(choices), dtype=torch.float64), torch.zeros(rows, len(choices), dtype=torch.bool)

    monkeypatch.setattr(measured_tasks, "score_choices", tight)
    asking = Asking(arm.model, "projection", "prompt", of_prompt=False)
    masks = Drawn(counted, 3.0, "layer", 0).masks("x")
    for _ in range(2):
        likelihood, _ = asking([4, 5], [[6], [7]], masks)
        assert likelihood.shape == (4, 2)
    assert sizes == [4, 2, 2, 2, 2]


def test_an_item_whose_choices_share_no_context_is_refused_by_name():
    class Joined:
        chat_template = None

        def __call__(self, text, add_special_tokens):
            return {"input_ids": [text[:4], *text[4:]] if " red" in text else list(text)}

    with pytest.raises(ValueError, match="colors, item 'sky': its choices are cut into tokens so that they share no"):
        encoded(Joined(), TASK, TASK.items[0], chat=False)


def chat(item, examples=()):
    """What is read before the first choice by the chat template, and that choice."""
    task = Task("t", "contextual", "t", "t", (item,), examples)
    context, choices = encoded(Letters(), task, item, chat=True)
    return "".join(chr(token - 3) for token in context), "".join(chr(token - 3) for token in choices[0])


def test_by_a_chat_template_the_opening_begins_the_assistants_turn():
    assert chat(item("x", "Sky?", " blue", " red", opening="It is")) == ("<u:Sky?><a:It is", " blue")


def test_without_an_opening_the_choice_begins_the_turn_without_a_blank():
    assert chat(item("x", "Sky?", " blue", " red")) == ("<u:Sky?><a:", "blue")


def test_examples_are_turns_of_a_chat():
    example = item("e", "Sea?", " blue", " red", opening="It is")
    found, _ = chat(item("x", "Sky?", " blue", " red", opening="It is"), (example,))
    assert found == "<u:Sea?><a:It is blue><u:Sky?><a:It is"


def test_a_tokenizer_without_a_chat_template_is_refused():
    class Plain(Letters):
        chat_template = None

    with pytest.raises(ValueError, match="has no chat template: leave out --apply-chat-template"):
        encoded(Plain(), TASK, TASK.items[0], chat=True)
