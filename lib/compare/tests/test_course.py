import pytest

from lib.compare.course import course, verdicts
from lib.compare.tests.test_run import REFUTED, SUPPORTED, document, entry

pytestmark = pytest.mark.cpu

STEPS = {"drope@step5": 5, "drope": 20}


def arm(loss, query, *, damage=None):
    """An arm of two texts and two layers; its first text has one massive query channel more than its second."""
    counts = {"query": [[query, 1], [query, 0]], "key": [[2, 2], [2, 2]], "value": [[0, 0], [0, 0]]}
    found = {"counts": counts, "loss": [loss - 1, loss + 1]}
    if damage is None:
        return found
    nll = [[loss, loss + damage - 0.5, 0.0], [loss, loss + damage + 0.5, 0.0]]
    return {**found, "disruption": {"conditions": ["baseline", "massive", "random"], "nll": nll}}


def a_series(*claims, tokens=2048, **arms):
    found = {"rope": arm(3, 10, damage=2.5), "drope": arm(4, 8, damage=1.25), **arms}
    return document(*claims, measured={"arms": found}, settings={"steps": STEPS, "tokens_per_step": tokens})


def cells(table):
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]


def test_the_course_has_tokens_loss_counts_and_damage_of_each_arm_in_the_order_of_training():
    made = course(a_series(continued=arm(2, 9), dropped=arm(7, 11), **{"drope@step5": arm(5, 9, damage=1.5)}))
    assert cells(made) == [
        ["RoPE", "0", "3.000", "10.5", "4", "0", "2.50 nats"],
        ["dropped, not trained", "0", "7.000", "11.5", "4", "0", ""],
        ["step 5", "10,240", "5.000", "9.5", "4", "0", "1.50 nats"],
        ["step 20", "40,960", "4.000", "8.5", "4", "0", "1.25 nats"],
        ["trained on with the rotation", "40,960", "2.000", "9.5", "4", "0", ""],
    ]


def test_the_course_leaves_out_arms_that_were_not_measured_and_tokens_that_nobody_knows():
    assert [row[:2] for row in cells(course(a_series(tokens=None)))] == [["RoPE", ""], ["step 20", ""]]


def test_verdicts_stand_by_claim_and_checkpoint_and_those_of_the_whole_run_in_a_table_of_their_own():
    run = a_series(
        entry("Q1", REFUTED),
        entry("Q1", SUPPORTED, label="step5"),
        entry("R1", None, verdict="error", reason="it broke"),
    )
    of_steps, of_run = verdicts(run).split("\n\n")
    assert cells(of_steps) == [["Q1", "query loses values", "supported -50.2", "refuted 10.2"]]
    assert cells(of_run) == [["R1", "query loses values", "error"]]


def test_a_run_without_a_series_has_no_course():
    for table in (course, verdicts):
        with pytest.raises(ValueError, match="no series"):
            table(document())
