import pytest

from lib.reporting.scope import scope, scope_lines

pytestmark = pytest.mark.cpu

KINDS = {"count": ["literary", "factual", "literary"], "score": ["technical"]}


def settings(**changes):
    texts = {role: [{"name": "n", "kind": kind, "hash": "0"} for kind in kinds] for role, kinds in KINDS.items()}
    return {"arms": {"rope": "a", "drope": "b"}, "texts": {"source": "mine", **texts}, **changes}


def test_a_verdict_speaks_of_the_weights_and_of_the_kinds_of_the_texts_that_its_numbers_come_from():
    assert scope(settings(), "count", training=False) == {
        "weights": {"rope": "a", "drope": "b"},
        "kinds": {"literary": 2, "factual": 1},
        "runs": None,
        "sentence": "Of these weights and texts of these kinds: 2 literary, 1 factual.",
    }
    assert scope(settings(), "score", training=False)["kinds"] == {"technical": 1}


def test_a_claim_about_training_speaks_of_one_training_run():
    found = scope(settings(), "score", training=True)
    assert found["runs"] == 1
    assert found["sentence"].endswith(": 1 technical; one run: texts replicate the measurement, not the training.")


def test_weights_that_are_made_from_others_or_are_earlier_checkpoints_are_not_named():
    arms = {"rope": "a", "drope@step5": "c", "drope": "b", "dropped": "d", "yarn": "e", "continued": "f"}
    assert list(scope(settings(arms=arms), "count", training=False)["weights"]) == ["rope", "drope", "continued"]


@pytest.mark.parametrize(
    ("training", "said"),
    [
        (False, "Of the study's weights and texts."),
        (True, "Of the study's weights and texts; one run: texts replicate the measurement, not the training."),
    ],
)
def test_an_audit_speaks_of_the_study(training, said):
    nothing = settings(arms={}, texts={"source": "texts of the study", "count": [], "score": []})
    found = scope(nothing, "count", training=training, published=True)
    assert (found["sentence"], found["kinds"], found["weights"]) == (said, {}, {})


def test_a_verdict_on_tasks_speaks_of_their_items():
    found = scope(settings(), "items", training=False, items={"recall": 60, "capitals": 100})
    assert found["kinds"] == {"recall": 60, "capitals": 100}
    assert found["sentence"] == "Of these weights and items of these tasks: 60 recall, 100 capitals."
    published = scope(settings(), "items", training=False, published=True)
    assert (published["sentence"], published["kinds"]) == ("Of the study's weights and tasks.", {})


def test_the_terminal_says_it_once_for_all_claims():
    kinds, training = scope_lines(settings(), ["Q1", "R1"])
    assert kinds == (
        "verdicts are of these weights and of texts of these kinds: 2 literary, 1 factual that are counted, "
        "1 technical that are scored"
    )
    assert training == "Q1, R1: one run: texts replicate the measurement, not the training"


def test_the_terminal_says_which_tasks_were_asked_if_any_were():
    _, tasks = scope_lines(settings(), [], {"recall": 60, "capitals": 100})
    assert tasks == "verdicts on tasks are of these weights and of items of these tasks: 60 recall, 100 capitals"


def test_without_a_claim_about_training_there_is_no_line_on_training_runs():
    assert len(scope_lines(settings(), [])) == 1
