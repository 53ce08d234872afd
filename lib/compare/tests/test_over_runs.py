"""Verdicts over runs of training: each run is one observation, and fewer than three decide nothing."""

import json

import pytest

from lib.compare import run
from lib.compare.over_runs import lines, over_runs
from lib.compare.tests.test_run import document, entry
from lib.judging import all_of, assess

pytestmark = pytest.mark.cpu

AROUND = (-0.3, -0.1, 0.0, 0.1, 0.3)


def judged(estimate, alpha=0.01):
    return assess([estimate + apart for apart in AROUND], unit="%", alpha=alpha).at_most(-30)


def both(first, second):
    parts = (
        assess([first + apart for apart in AROUND], alpha=0.01, parts=2, label="falls").below(0),
        assess([second + apart for apart in AROUND], alpha=0.01, parts=2, label="stays").within(-10, 10),
    )
    return all_of(parts)


def runs(*judgements):
    return {f"seed-{i}": document(entry("Q1", j, training=True)) for i, j in enumerate(judgements)}


def test_runs_that_agree_decide_and_each_is_one_observation():
    (found,) = over_runs(runs(*(judged(at) for at in (-50, -52, -49, -51))))
    assert (found.judgement.verdict, found.judgement.n, found.judgement.observations) == ("supported", 4, "runs")
    assert found.judgement.estimate == pytest.approx(-50.5)
    (found,) = over_runs(runs(*(judged(at) for at in (10, 12, 9, 11))))
    assert found.judgement.verdict == "refuted"


def test_runs_that_disagree_decide_nothing_however_sure_each_is_of_itself():
    each = [judged(at) for at in (-80, -50, 20)]
    assert {of.verdict for of in each} == {"supported", "refuted"}
    (found,) = over_runs(runs(*each))
    assert found.judgement.verdict == "inconclusive"
    assert found.judgement.low < -30 < found.judgement.high


@pytest.mark.parametrize(("number", "word"), [(1, "one run"), (2, "two runs")])
def test_fewer_than_three_runs_say_what_texts_replicate(number, word):
    (found,) = over_runs(runs(*[judged(-50)] * number))
    assert found.judgement.reason == f"{word}: texts replicate the measurement, not the training"
    assert found.judgement.estimate is None


def test_a_run_that_gave_no_estimate_is_named_with_its_reason_and_counts_for_nothing():
    of = runs(judged(-50), judged(-51), judged(-52))
    of["seed-3"] = document(entry("Q1", None, verdict="skipped", training=True, reason="a trend needs 3 checkpoints"))
    of["seed-4"] = document()
    (found,) = over_runs(of)
    assert (found.judgement.n, found.judgement.verdict) == (3, "supported")
    assert found.absent == {"seed-3": "a trend needs 3 checkpoints", "seed-4": "not asked"}
    (line,) = lines([found])
    assert line.endswith("supported; seed-3: a trend needs 3 checkpoints; seed-4: not asked")


def test_runs_of_which_none_gave_an_estimate_decide_nothing():
    of = {
        f"seed-{i}": document(entry("R3", None, verdict="error", training=True, reason="no record")) for i in range(3)
    }
    (found,) = over_runs(of)
    assert (found.judgement.verdict, found.judgement.reason) == ("inconclusive", "no run gave an estimate")


def test_every_part_of_a_claim_is_judged_over_the_runs():
    (found,) = over_runs(runs(*(both(at, 0.1 * at) for at in (-5, -6, -5.5))))
    assert [part.label for part in found.judgement.parts] == ["falls", "stays"]
    assert found.judgement.verdict == "supported"
    (found,) = over_runs(runs(*(both(-5, at) for at in (50, 51, 52))))
    assert (found.judgement.verdict, found.judgement.label) == ("refuted", "stays")


def test_claims_that_are_not_about_training_and_earlier_checkpoints_are_left_out():
    of = {"a": document(entry("Q1", judged(-50)), entry("R3", judged(-50), training=True, label="step500"))}
    assert over_runs(of) == []


def test_runs_that_were_asked_at_other_levels_are_not_mixed():
    (found,) = over_runs(runs(judged(-50), judged(-51), judged(-52, alpha=0.05)))
    assert found.judgement.reason == "the runs were asked otherwise: judge them with one version"


def test_runs_that_all_give_the_same_number_are_one_measurement():
    (found,) = over_runs(runs(*[judged(-50)] * 3))
    assert found.judgement.verdict == "inconclusive"


@pytest.fixture
def files(tmp_path):
    for name, found in runs(*(judged(at) for at in (-50, -52, -49))).items():
        (tmp_path / f"{name}.json").write_text(json.dumps(found))
    return [str(path) for path in sorted(tmp_path.glob("*.json"))]


def test_the_command_shows_them_in_the_terminal_on_the_page_and_in_the_table(files, tmp_path, capsys):
    out, table = tmp_path / "page.html", tmp_path / "table.md"
    assert run.main([*files, "--unit", "run", "--out", str(out), "--table", str(table)]) == 0
    assert "Q1, over runs: -50.33 [" in capsys.readouterr().out
    page = out.read_text()
    assert "<h2>Over runs of training</h2>" in page
    assert "texts replicate the measurement, not the training" in page
    assert table.read_text().splitlines()[0].endswith("| over runs |")
    assert "| **supported** -50.3 [" in table.read_text()


def test_without_being_asked_runs_are_not_taken_for_runs_of_one_recipe(files, tmp_path, capsys):
    out = tmp_path / "page.html"
    assert run.main([*files, "--out", str(out)]) == 0
    assert "over runs" not in capsys.readouterr().out.lower() + out.read_text().lower()
