import tomllib
from decimal import Decimal
from itertools import combinations

import numpy as np
import pytest

from lib.effects.answers import Answers
from lib.judging.verdicts import NoSubject
from lib.published.answers import PublishedAnswers, uncorrelated
from lib.published.figures import NotPublished
from lib.published.reading import published, read

pytestmark = pytest.mark.cpu
STUDY = '[study]\ntitle = "A"\nrope = "r"\ndrope = "d"\nlayers = 3\n'
TASKS = """[text.tasks]
key = { knowledge = "contextual", n = 20, rope = { baseline = 90.0, top = 40.0 }, drope = { top = 60.0 } }
place = { knowledge = "contextual", n = 50, choices = 2, rope = { baseline = 80.0, top = 60.0 } }
facts = { knowledge = "parametric", n = 100, choices = 4, rope = { baseline = 75.0, top = 65.0 } }
"""


def answers(text=TASKS):
    return PublishedAnswers(published(tomllib.loads(STUDY + text, parse_float=Decimal)).columns["text"])


BUNDLED = PublishedAnswers(read("africa2026").columns["text"])


def test_items_of_every_task_lose_as_much_as_was_published_and_tasks_count_the_same():
    lost = answers().points_lost("rope", "contextual", "top")
    assert lost.n == len(answers().kinds("rope", "contextual")) == 70
    assert lost.value == pytest.approx((50 + 20) / 2)
    assert set(np.abs(lost.sample[:20])) == {0, 100 * 70 / 40}
    assert set(np.abs(lost.sample[20:])) == {0, 100 * 70 / 100}


def test_what_is_lost_is_a_share_of_what_lies_above_chance():
    assert answers().share_lost("rope", "contextual", "top").value == pytest.approx(100 * 35 / ((90 + 30) / 2))
    facts = answers().share_lost("rope", "parametric", "top")
    assert (facts.value, facts.n) == (pytest.approx(20), 100)


def test_the_share_of_right_answers_is_one_of_so_many_items():
    found = answers().exact("rope", "top", "key")
    assert (found.hits, found.n) == (8, 20)
    assert answers(TASKS.replace("40.0", "40")).exact("rope", "top", "key").value == 40


@pytest.mark.parametrize(
    "change", [("n = 100, ", ""), ("n = 100", "n = 7"), ("n = 100", 'n = 100, unparsed = "left out"')]
)
def test_accuracies_of_items_that_are_not_known_are_one_figure(change):
    found = answers(TASKS.replace(*change))
    assert found.points_lost("rope", "parametric", "top").sample == (10,)
    assert found.kinds("rope", "parametric") == ["parametric"]
    share = found.share_lost("rope", "parametric", "top")
    assert (share.value, share.n) == (pytest.approx(20), 1)


@pytest.mark.parametrize(
    ("n", "rights"), [(20, (20, 0, 12, 12)), (100, (44, 5, 30, 15)), (7, (3, 4, 5, 6)), (1, (1, 0))]
)
def test_equivalent_items_are_uncorrelated_but_for_two_items(n, rights):
    series = uncorrelated(rights, n)
    assert series.sum(1).tolist() == list(rights)
    for one, other in combinations(series, 2):
        assert abs(one @ other - one.sum() * other.sum() / n) <= 2


def test_the_study_s_items_are_its_own():
    lost = BUNDLED.points_lost_more("rope", "drope", "contextual", "top")
    assert (lost.n, lost.value) == (120, pytest.approx((39 + 100) / 2 - (15 + 0) / 2))
    assert BUNDLED.points_lost("rope", "parametric", "top").sample == pytest.approx([20])


@pytest.mark.parametrize(
    ("ask", "missing"),
    [
        (
            lambda a: a.need("rope", "massive", "contextual"),
            "no accuracy on key for the rope arm with massive channels",
        ),
        (
            lambda a: a.need("drope", "top", "contextual"),
            "no accuracy on place for the drope arm with each head's largest",
        ),
        (lambda a: a.need("rope", "top", task="recall"), "no accuracy on the task recall"),
        (lambda a: a.odds("rope", "top"), "nothing that answers 'odds'"),
    ],
)
def test_what_was_not_published_is_said(ask, missing):
    with pytest.raises(NotPublished, match=f"^the write-up's text gives ({missing})"):
        ask(answers())


def test_a_column_without_tasks_or_without_such_tasks_says_so():
    none = answers("[text.massive_values]\nquery = { rope = 1 }")
    with pytest.raises(NotPublished, match=r"gives no accuracy on a task$"):
        none.need("rope", "top", "contextual")
    with pytest.raises(NotPublished, match=r"gives no accuracy on parametric tasks$"):
        answers(TASKS.replace("parametric", "contextual")).need("rope", "top", "parametric")


def test_guessing_is_not_known_where_an_answer_that_is_no_choice_counts_as_wrong():
    found = answers(TASKS.replace("choices = 4", 'choices = 4, unparsed = "wrong"'))
    found.need("rope", "top", "parametric")
    with pytest.raises(NotPublished, match="accuracies on facts in which an answer that is no choice counts as wrong"):
        found.share_lost("rope", "parametric", "top")


def test_accuracies_at_chance_are_no_subject():
    answers().need("rope", "top", "contextual", "parametric", task="key")
    with pytest.raises(NoSubject, match="of facts the rope arm answers 25 % rightly, which is not above chance"):
        answers(TASKS.replace("75.0", "25.0")).need("rope", "top", "parametric")


def test_a_name_that_no_record_answers_either_is_a_mistake():
    with pytest.raises(AttributeError, match="PublishedAnswers has no attribute 'norm'"):
        _ = answers().norm
    public = {name for name in dir(Answers) if not name.startswith("_")}
    for name in public - set(dir(PublishedAnswers)):
        with pytest.raises(NotPublished, match="nothing that answers"):
            getattr(answers(), name)
