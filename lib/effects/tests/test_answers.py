"""Answers to items: what is right, what is lost, and which tasks have something to lose."""

import numpy as np
import pytest
import xarray as xr

from lib.definitions import ASKED
from lib.effects.answers import Answers
from lib.judging import NoSubject

pytestmark = pytest.mark.cpu
NAN = float("nan")


def record(tasks, likelihood, written=None, conditions=("baseline", "massive")):
    """`tasks` are (name, knowledge) of each item, `likelihood` [item][condition][choice]; choice 0 is right."""
    likelihood = np.array(likelihood, dtype=float)
    names, knowledge = zip(*tasks, strict=True)
    return xr.Dataset(
        {
            "likelihood": (("item", "condition", "choice"), likelihood),
            "written": (
                ("item", "condition", "choice"),
                np.zeros(likelihood.shape, bool) if written is None else written,
            ),
            "answer": ("item", np.zeros(len(tasks), int)),
            "choices": ("item", (~np.isnan(likelihood[:, 0])).sum(1)),
            "query_replaced": ("dim", [False, True]),
            "key_replaced": ("dim", [False, False]),
        },
        coords={
            "item": [f"{i}" for i in range(len(tasks))],
            "task": ("item", list(names)),
            "knowledge": ("item", list(knowledge)),
            "condition": list(conditions),
        },
        attrs={"where": "prompt"},
    )


def answers(*given, **options):
    return Answers({"rope": record(*given, **options)})


def shares(right, *, after, knowledge="contextual"):
    """Yes-no items of tasks: `right` and `after` are {task: [whether each item is right]}."""
    tasks = [(task, knowledge) for task, items in right.items() for _ in items]
    rows = [
        [[-1.0, -2.0] if good else [-2.0, -1.0] for good in pair]
        for task, items in right.items()
        for pair in zip(items, after[task], strict=True)
    ]
    return answers(tasks, rows)


def test_the_likeliest_choice_is_the_answer_and_of_two_none_is():
    found = answers(
        [("a", "contextual")] * 4,
        [[[-1, -2, NAN]] * 2, [[-2, -1, -3]] * 2, [[-1, -1, -3]] * 2, [[-3, -4, -5]] * 2],
    )
    assert found.right("rope", "baseline").tolist() == [1, 0, 0, 1]
    assert found.chance("rope").tolist() == [1 / 2, 1 / 3, 1 / 3, 1 / 3]


def test_the_log_probability_is_among_the_choices():
    found = answers([("a", "contextual")] * 2, [[[-1, -1, NAN]] * 2, [[-3, -3, -3]] * 2])
    assert found.odds("rope", "baseline") == pytest.approx(np.log([1 / 2, 1 / 3]))


def test_nats_are_lost_where_no_accuracy_is():
    found = answers([("a", "contextual")] * 2, [[[0, -9], [-1, -1.5]]] * 2)
    assert found.points_lost("rope", "contextual", "massive").sample == (0, 0)
    lost = np.log1p(np.exp(-0.5)) - np.log1p(np.exp(-9))
    assert found.nats_lost("rope", "contextual", "massive").sample == pytest.approx([lost] * 2)
    said = found.in_nats("rope", "massive", "contextual")
    assert said == "nats that the right choice loses among the choices (95 %): 0.474 [0.474, 0.474] of contextual items"


def test_what_greedy_decoding_writes_is_right_wrong_or_no_choice():
    written = np.array([[[True, False]], [[False, True]], [[False, False]]]).repeat(2, 1)
    found = answers([("a", "contextual")] * 3, np.zeros((3, 2, 2)) - 1, written=written)
    assert found.written("rope", "baseline").tolist() == [1, 0, 0]
    assert found.unparsed("rope", "baseline").tolist() == [0, 0, 1]
    assert found.exact("rope", "baseline", "a").hits == 1
    assert found.exact("rope", "baseline", "a").n == 3


def test_an_accuracy_is_of_the_items_that_are_meant():
    found = shares({"a": [1, 1, 0], "b": [0] * 4}, after={"a": [0] * 3, "b": [1] * 4})
    assert found.accuracy("rope", "baseline", task="a").value == pytest.approx(200 / 3)
    assert found.accuracy("rope", "massive", knowledge="contextual").value == pytest.approx(400 / 7)


def test_each_task_counts_the_same_whatever_the_number_of_its_items():
    found = shares({"a": [1] * 6, "b": [1, 1]}, after={"a": [0] * 6, "b": [1, 1]})
    assert found.points_lost("rope", "contextual", "massive").value == pytest.approx(50)
    # above chance there are 50 points in each task; of one all of it, and as much again, is lost
    assert found.share_lost("rope", "contextual", "massive").value == pytest.approx(100)


def test_a_ratio_knows_the_tasks():
    found = shares({"a": [1, 1, 1, 0], "b": [1] * 4}, after={"a": [1, 0, 0, 0], "b": [1, 1, 0, 0]})
    # above chance there are 25 and 50 points, of which 50 and 50 are lost
    assert found.share_lost("rope", "contextual", "massive").value == pytest.approx(100 * 50 / 37.5)
    assert found.share_lost("rope", "contextual", "massive").outcomes.sizes.tolist() == [4, 4]
    assert found.kinds("rope", "contextual") == ["a"] * 4 + ["b"] * 4


def test_tasks_are_told_by_their_knowledge():
    found = answers([("a", "contextual"), ("b", "parametric"), ("b", "parametric")], np.zeros((3, 2, 2)))
    assert (found.tasks(), found.tasks("contextual"), found.tasks("parametric")) == (["a", "b"], ["a"], ["b"])


def test_a_model_above_chance_has_something_to_lose_and_one_at_chance_has_not():
    good, guessing = [1] * 36 + [0] * 4, [1, 0] * 5
    shares({"a": good}, after={"a": good}).need("rope", "massive", "contextual")
    with pytest.raises(NoSubject, match=r"of contextual tasks the rope arm answers 50 % rightly, which may be chance"):
        shares({"a": guessing}, after={"a": guessing}).need("rope", "massive", "contextual")


def test_one_wrong_answer_among_many_right_ones_is_above_chance():
    right = [1] * 99 + [0]
    shares({"a": right}, after={"a": right}).need("rope", "massive", "contextual")


def test_a_task_is_asked_for_alone():
    good, guessing = [1] * 40, [1, 0] * 20
    found = shares({"a": good, "b": guessing}, after={"a": good, "b": guessing})
    found.need("rope", "massive", "contextual", task="a")
    with pytest.raises(NoSubject, match="of the task b the rope arm answers 50 % rightly"):
        found.need("rope", "massive", task="b")
    with pytest.raises(NoSubject, match="the task c was not given"):
        found.need("rope", "massive", task="c")


def test_a_mean_over_tasks_is_compared_with_their_mean_chance():
    # 60 % of many yes-no items is above chance; 50 % of few others, with four choices, too, and their mean is told
    found = shares({"a": [1, 1, 1, 0, 0] * 2, "b": [1, 0]}, after={"a": [0] * 10, "b": [0] * 2})
    with pytest.raises(NoSubject, match="answers 55 % rightly"):
        found.need("rope", "massive", "contextual")


def test_knowledge_that_no_task_asks_for_is_no_subject():
    with pytest.raises(NoSubject, match="no task that asks for parametric knowledge was given"):
        shares({"a": [1] * 9}, after={"a": [1] * 9}).need("rope", "massive", "parametric")


def test_an_edit_that_the_architecture_does_not_allow_is_no_subject():
    assert "top" in ASKED
    with pytest.raises(NoSubject, match="channels of a prompt cannot be replaced"):
        shares({"a": [1] * 9}, after={"a": [1] * 9}).need("rope", "top", "contextual")


@pytest.mark.parametrize("where", ["answer", "both"])
def test_channels_of_a_prompt_are_no_subject_where_others_are_replaced_in_the_answer(where):
    found = shares({"a": [1] * 9}, after={"a": [1] * 9})
    found.records["rope"].attrs["where"] = where
    with pytest.raises(NoSubject, match="put to their mean over it only while it is read"):
        found.need("rope", "top", "contextual")
