import json

import numpy as np
import pytest

from fixtures.planted import records
from lib.effects.answers import Answers
from lib.judging import NoSubject
from lib.reporting.figures.figures import as_svg
from lib.reporting.figures.pictures import draw
from lib.reporting.figures.tasks import ALPHA, hidden_facts, tasks

pytestmark = pytest.mark.cpu

PLAIN = ["baseline", "massive", "random", "energy"]


def asked(massive=0.3, items=40, **arms):
    """Answers of an arm, or of these with such a share of right answers where massive channels are replaced."""
    arms = arms or {"rope": massive}
    shares = {arm: {"baseline": 0.8, "massive": share} for arm, share in arms.items()}
    return Answers(
        {arm: records.answers_record(share, {"baseline": 0.7}, items=items) for arm, share in shares.items()}
    )


def of_length(answers, trained):
    """The same answers of arms that were trained on texts of so many tokens."""
    origin = json.dumps({"config": {"max_position_embeddings": trained}})
    return Answers({arm: record.assign_attrs(provenance=origin) for arm, record in answers.records.items()})


def panels(answers, both=None, drawing=tasks):
    """The axes of a figure as they are drawn, row by row."""
    figure = drawing(answers, both)
    figure.draw_without_rendering()
    return figure.axes


def points(axes, condition):
    """Where a condition's marks stand, from top to bottom."""
    place = PLAIN.index(condition)
    return np.array([line.get_xdata()[0] for line in axes.lines]).reshape(-1, len(PLAIN))[:, place]


def words(axes):
    return [text.get_text() for text in axes.texts]


def only(answers, conditions):
    return Answers({arm: record.sel(condition=conditions) for arm, record in answers.records.items()})


def test_marks_stand_at_the_accuracies_and_bars_reach_to_wilsons_bounds():
    answers = only(asked(0.3), PLAIN)
    accuracy, *_ = panels(answers)
    assert points(accuracy, "baseline").tolist() == [80, 80, 70, 70]
    assert points(accuracy, "massive").tolist() == [30, 30, 70, 70]
    found = answers.accuracy("rope", "massive", task="passkey")
    ends = [bar.get_segments()[0][:, 0].tolist() for bar in accuracy.collections]
    assert [found.lower(ALPHA), found.upper(ALPHA)] in ends


def test_log_probabilities_and_their_chance_stand_beside_accuracies():
    answers = only(asked(0.3), PLAIN)
    _, odds, _ = panels(answers)
    expected = answers.odds("rope", "massive")[answers.among("rope", task="recall")].mean()
    assert points(odds, "massive")[1] == pytest.approx(expected)
    starts = [bar.get_segments()[0][0, 0] for bar in odds.collections]
    assert sum(start == pytest.approx(np.log(1 / 4)) for start in starts) == 4


def test_chance_is_that_of_each_task():
    answers = asked(0.3)
    record = answers.records["rope"]
    record["choices"].values[record["task"].values == "cities"] = 2
    accuracy, *_ = panels(answers)
    strokes = [bar.get_segments()[0][:, 0].tolist() for bar in accuracy.collections]
    assert (strokes.count([25, 25]), strokes.count([50, 50])) == (3, 1)


def test_answers_that_are_no_choice_are_counted_in_each_task_and_condition():
    answers = only(asked(0.3), PLAIN)
    *_, unparsed = panels(answers)
    assert words(unparsed) == [*["8", "28", "8", "8"] * 2, *["12"] * 8]
    wrong = np.flatnonzero(answers.right("rope", "massive") == 0)[0]
    answers.records["rope"]["written"].values[wrong, PLAIN.index("massive"), 0] = True
    assert words(panels(answers)[2]) == ["8", "27", *words(unparsed)[2:]]


def test_contextual_tasks_stand_above_parametric_ones_with_their_numbers_of_items():
    accuracy, *_ = panels(asked(items=20))
    labels = [label.get_text() for label in accuracy.get_yticklabels()]
    assert labels == ["", "passkey (20)", "recall (20)", "", "capitals (20)", "cities (20)"]
    assert words(accuracy) == ["contextual (items)", "parametric (items)"]


def test_each_arm_has_a_row_of_panels_of_its_own():
    both = only(asked(rope=0.3, drope=0.6), PLAIN)
    found = panels(Answers({"rope": both.records["rope"]}), both)
    assert len(found) == 6
    assert [axes.get_title(loc="left") for axes in found[::3]] == ["RoPE", "DroPE"]
    assert [points(axes, "massive")[0] for axes in found[::3]] == [30, 60]


def test_an_arm_alone_without_conditions_of_the_prompt_is_drawn():
    svg = as_svg(tasks(only(asked(), PLAIN)))
    assert ">energy<" in svg
    assert ">top<" not in svg
    assert ">top<" in as_svg(tasks(asked()))


def test_tasks_of_one_kind_and_of_one_item_are_drawn():
    answers = asked(items=1)
    record = answers.records["rope"]
    parametric = Answers({"rope": record.isel(item=record["knowledge"].values == "parametric")})
    accuracy, odds, _ = panels(parametric)
    assert words(accuracy) == ["parametric (items)"]
    assert np.isfinite(odds.get_xlim()).all()


def test_a_map_has_the_accuracy_of_every_length_and_depth():
    answers = asked(0.3, items=200)
    before, massive, top, _ = panels(answers, drawing=hidden_facts)
    for axes, condition in ((before, "baseline"), (massive, "massive"), (top, "top")):
        assert axes.get_title().startswith(f"{condition}\n")
        for row, length in enumerate((2, 4, 8, 16)):
            for column, depth in enumerate((0, 0.25, 0.5, 0.75, 1)):
                share = answers.accuracy("rope", condition, task="passkey", length=length, depth=depth)
                assert axes.images[0].get_array()[row, column] == share.value
    assert before.images[0].get_array().mean() == pytest.approx(80)
    assert massive.images[0].get_array().mean() == pytest.approx(30)


def test_a_map_says_for_how_many_items_no_choice_was_written():
    before, massive, *_ = panels(asked(0.3), drawing=hidden_facts)
    assert before.get_title() == "baseline\nunparsed: 8 of 40"
    assert massive.get_title() == "massive\nunparsed: 28 of 40"


def test_rows_of_a_map_are_named_by_sentences_and_tokens_and_marked_beyond_the_trained_length():
    def rows(answers):
        first, *_ = panels(answers, drawing=hidden_facts)
        return [label.get_text() for label in first.get_yticklabels()], first.get_ylabel()

    plain = [f"{n} sentences\n{t} tokens" for n, t in ((2, 60), (4, 80), (8, 120), (16, 200))]
    assert rows(asked()) == (plain, "RoPE, passkey\nitems at each place: 2")
    assert rows(of_length(asked(), 200))[0] == plain
    labels, name = rows(of_length(asked(), 119))
    assert labels == [*plain[:2], f"{plain[2]} *", f"{plain[3]} *"]
    assert name.endswith("* beyond the trained 119")


def test_each_arm_has_maps_of_its_own():
    both = asked(rope=0.3, drope=0.6)
    found = panels(Answers({"rope": both.records["rope"]}), both, hidden_facts)
    assert [axes.images[0].get_array().mean() for axes in (found[1], found[4])] == [
        pytest.approx(30),
        pytest.approx(60),
    ]


def test_a_place_without_items_is_empty_and_takes_no_other_with_it():
    record = asked(items=20).records["rope"]
    left = Answers({"rope": record.isel(item=np.arange(record.sizes["item"]) != 3)})
    before, *_ = panels(left, drawing=hidden_facts)
    shares = before.images[0].get_array()
    assert np.ma.getmaskarray(shares).sum() == 1
    assert len(before.texts) == 19


def test_without_the_top_channels_there_are_two_maps_and_without_hidden_facts_none():
    answers = only(asked(), PLAIN)
    assert len(panels(answers, drawing=hidden_facts)) == 2 + 1  # and the bar of colours
    record = answers.records["rope"]
    without = Answers({"rope": record.isel(item=record["task"].values != "passkey")})
    with pytest.raises(NoSubject, match="no task was given that hides a fact"):
        hidden_facts(without)
    found = draw({"rope_answers": without})
    assert found["hidden_facts"][0] == ""
    assert "not drawn, since no task was given" in found["hidden_facts"][1]
    assert found["tasks"][0].startswith("<?xml")


@pytest.mark.parametrize("drawing", [tasks, hidden_facts])
def test_a_task_by_any_name_is_drawn(drawing):
    answers = asked()
    record = answers.records["rope"]
    named = np.where(record["task"].values == "passkey", "$\\frac{ of a long name", record["task"].values)
    assert "$\\frac{" in as_svg(drawing(Answers({"rope": record.assign_coords(task=("item", named))})))
