import json
import tomllib
from decimal import Decimal

import pytest

from lib.published.accuracies import fits, follow, given, most_answers, name_of, right, twice
from lib.published.agreement import compared, tables_agree
from lib.published.figures import Figure, Task
from lib.published.reading import FOLDER, published, read

pytestmark = pytest.mark.cpu
TEXT = (FOLDER / "africa2026.toml").read_text()
ROWS = [row for row in compared(read("africa2026")) if "accuracy" in row["what"]]
STUDY = '[study]\ntitle = "A"\nrope = "r"\ndrope = "d"\nlayers = 3\n'
KEY = "[[text.tasks]]\nname = '{}'\nkey = {{ knowledge = 'contextual', n = 20, {} = {{ baseline = {}, top = {} }} }}\n"


def parse(text):
    return published(tomllib.loads(text, parse_float=Decimal))


def tables(*accuracies, arm="rope"):
    return parse(STUDY + "".join(KEY.format(f"no. {i}", arm, *both) for i, both in enumerate(accuracies)))


def disagreeing(*changes):
    text = TEXT
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    rows = compared(parse(text))
    return [
        row["what"] for row in rows if "accuracy" in row["what"] and not row["agrees"] and "tables" not in row["how"]
    ]


def test_rows_are_json():
    assert json.loads(json.dumps(ROWS, allow_nan=False)) == ROWS


@pytest.mark.parametrize(
    ("accuracy", "n", "numbers"),
    [
        (Figure(60.0, 0.05), 20, [12]),
        (Figure(0.0, 0.05), 20, [0]),
        (Figure(100.0, 0.05), 20, [20]),
        (Figure(60.0, 5), 20, [11, 12, 13]),  # written as 60: the zero may be rounded
        (Figure(65.517, 0.0005), 200, []),
    ],
)
def test_right_answers_are_those_whose_share_rounds_to_the_accuracy(accuracy, n, numbers):
    assert fits(accuracy, n) == numbers


def test_the_right_answers_are_known_if_one_number_fits_and_none_was_left_out():
    accuracy = Figure(60.0, 0.05)
    assert right(accuracy, Task("contextual", 20)) == 12
    for task in (Task("contextual", 20, unparsed="left out"), Task("contextual"), Task("contextual", 13)):
        assert right(accuracy, task) is None
    assert right(Figure(60.0, 5), Task("contextual", 20)) is None


def test_the_most_answers_that_give_an_accuracy_are_found():
    assert most_answers(Figure(65.517, 0.0005), 200) == 174  # 114 of them
    assert most_answers(Figure(60.0, 0.05), 20) == 20
    assert most_answers(Figure(0.001, 0.0001), 20) is None


def test_what_is_lost_follows_from_the_accuracies_within_their_rounding():
    (table,) = tables(("80.0", "60.0")).columns["text"].tasks
    lost = follow(table)["lost", "rope", "key", "top"]
    assert (lost.value, lost.low, lost.high) == pytest.approx((25, 100 - 6005 / 79.95, 100 - 5995 / 80.05))
    before, after = (given(table)["accuracy", "rope", "key", condition].spread for condition in ("baseline", "top"))
    assert before == pytest.approx(100 * (17 / 22 * 5 / 22 / 20) ** 0.5)
    assert lost.spread == pytest.approx(100 * ((after / 80) ** 2 + (60 * before / 80**2) ** 2) ** 0.5)


def test_nothing_is_lost_of_an_accuracy_of_0():
    (table,) = tables(("0.0", "0.0")).columns["text"].tasks
    assert not [meaning for meaning in follow(table) if meaning[0] == "lost"]


def test_means_over_tasks_are_those_of_the_study():
    table = read("africa2026").columns["text"].tasks[0]
    follows = {meaning: quantity.value for meaning, quantity in follow(table).items()}
    assert follows["accuracy", "rope", "parametric", "baseline"] == (89.5 + 60) / 2
    assert follows["lost", "drope", "parametric", "top"] == pytest.approx((100 * (1 - 88.5 / 79) + 100 * 6 / 73) / 2)
    assert follows["contextual over parametric", "rope", "top"] == pytest.approx(94.3 / 24.5)
    assert follows["contextual less", "top"] == pytest.approx(100 * (1 - 25 / 94.3))


def test_every_figure_of_the_tasks_follows_from_the_accuracies_and_text_and_store_agree():
    assert disagreeing() == []
    assert {row["how"] for row in ROWS} == {
        *("text and store", "arithmetic of the text", "arithmetic of the store"),
        *("tables of the text", "tables of the store"),
    }


LARGEST = "with each head's largest channel replaced"


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (
            ("top_lost_percent = 88.6", "top_lost_percent = 80.6"),
            f"accuracy on imdb lost under rope {LARGEST}, percent",
        ),
        (("parametric.rope.top_lost_percent = 24.5", "parametric.rope.top_lost_percent = 27.5"), "on parametric tasks"),
        (
            ("over_parametric = { rope = 3.8 }", "over_parametric = { rope = 4.8 }"),
            "contextual over that on parametric",
        ),
        (("less_percent = 73", "less_percent = 77"), "accuracy that drope loses less than rope on contextual tasks"),
        (("rope = { baseline = 84 }", "rope = { baseline = 89 }"), "accuracy on parametric tasks, mean over tasks,"),
        (("top = 88.5, top_lost_percent = -12.025", "top = 80.5, top_lost_percent = -1.9"), "accuracy on cities under"),
    ],
)
def test_a_figure_that_does_not_follow_or_is_not_what_is_stored_disagrees(change, what):
    assert any(what in row for row in disagreeing(change))


@pytest.mark.parametrize(
    ("first", "other", "agree"),
    [
        (("60.0", "60.0"), ("30.0", "0.0"), [True, False, False]),
        (("60.0", "60.0"), ("30.0", "60.0"), [True, True, True]),
        (("100.0", "0.0"), ("100.0", "0.0"), [True, True, True]),
        (("100.0", "0.0"), ("50.0", "0.0"), [False, True, True]),
    ],
)
def test_two_tables_agree_within_two_standard_errors_of_so_many_items(first, other, agree):
    of_task = [pair for pair in twice(tables(first, other).columns["text"]) if pair.meaning[2] == "key"]
    assert [(pair.meaning[0], pair.meaning[3]) for pair in of_task] == [
        *(("accuracy", "baseline"), ("accuracy", "top"), ("lost", "top"))
    ]
    assert [tables_agree(pair) for pair in of_task] == agree


def test_without_a_number_of_items_two_tables_agree_within_two_percent():
    text = STUDY + KEY.format("a", "rope", "60.0", "60.0") + KEY.format("b", "rope", "60.9", "62.0")
    pairs = [p for p in twice(parse(text.replace(" n = 20,", "")).columns["text"]) if p.meaning[2] == "key"]
    assert [(pair.error, tables_agree(pair)) for pair in pairs[:2]] == [(None, True), (None, False)]


def test_a_row_of_two_tables_names_both():
    rows = [row["what"] for row in ROWS if row["how"] == "tables of the text"]
    assert f"accuracy on passkey under drope {LARGEST}, percent (experiment 3 and experiment 4)" in rows
    (table,) = tables(("80.0", "60.0")).columns["text"].tasks
    assert name_of(table, ("accuracy", "rope", "key", "baseline")).endswith("with nothing replaced, percent (no. 0)")


def test_errors_of_so_many_items_excuse_no_difference_of_text_and_store():
    changed = (
        "sports.rope = { baseline = 60.0, top = 52.0, top_lost_percent = 13.3 }",
        "sports.rope = { baseline = 63.0 }",
    )
    said, stored = TEXT.split("[[stored.tasks]]", 1)
    rows = compared(parse(f"{said.replace(*changed)}[[stored.tasks]]{stored}"))
    (row,) = [
        row
        for row in rows
        if row["what"].startswith("accuracy on sports under rope with nothing replaced")
        and (row["how"] == "text and store" and "experiment 3" in row["what"])
    ]
    assert (row["said"], row["held"], row["error"], row["agrees"]) == (63, 60, None, False)


def test_the_error_of_a_mean_over_tasks_is_that_of_its_tasks_together():
    table = read("africa2026").columns["text"].tasks[0]
    errors = [given(table)["accuracy", "rope", task, "baseline"].spread for task in ("cities", "sports")]
    of_mean = follow(table)["accuracy", "rope", "parametric", "baseline"].spread
    assert of_mean == pytest.approx((errors[0] ** 2 + errors[1] ** 2) ** 0.5 / 2)
