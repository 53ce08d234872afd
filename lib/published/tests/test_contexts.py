import pytest

from lib.published.tests.studies import contexts, found, sentence

pytestmark = pytest.mark.cpu
FEW = contexts("n = 5\nformat = 'a number'", "drope = { 2048 = 40.0, 8192 = 80.0 }")
MANY = contexts("n = 20\nprecision = 'fp4'", "drope = { 8192 = 0.0 }", name="b")


def test_two_tables_that_contradict_each_other_at_a_length_are_found():
    assert sentence("two tables", FEW, MANY) == (
        "Right answers under drope at 8192 tokens are 4 of 5 (text, a, a number) and 0 of 20 (text, b, fp4). That both "
        "are of one rate has p = 0.0004 by Fisher's exact test."
    )
    assert "0 of 20 (store, b, fp4)" in sentence("two tables", FEW, MANY.replace("text.", "stored."))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("8192 = 0.0", "8192 = 60.0"),
        ("8192", "4096"),
        ("drope", "rope"),
        ("n = 20\n", ""),
        ("8192 = 0.0", "8192 = 1.0"),
        ("n = 20", "n = 20\nchoices = 4"),
    ],
)
def test_tables_that_agree_or_cannot_be_compared_are_no_finding(old, new):
    assert found("two tables", FEW, MANY.replace(old, new)) == []


def test_shares_that_so_few_trials_cannot_tell_apart_are_found():
    other = contexts("n = 5", "drope = { 2048 = 0.0 }", name="c")
    assert sentence("few items", FEW, other) == (
        "The write-up's text gives right answers that so few trials cannot tell apart: 2 of 5 and 0 of 5 (drope at "
        "2048 tokens, a and c; p = 0.44)."
    )
    assert found("few items", FEW, other.replace("2048 = 0.0", "2048 = 40.0")) == []
    assert found("few items", FEW, other.replace("text.", "stored.")) == []


def test_right_answers_that_guessing_reaches_are_found():
    table = contexts("n = 10\nchoices = 4", "rope = { 2048 = 80.0, 8192 = 40.0 }")
    assert sentence("guessing", table) == (
        "The write-up's text gives right answers that are not above guessing, 25 % (a): 4 of 10 (rope at 8192 tokens)."
    )
    assert found("guessing", table.replace("8192 = 40.0", "8192 = 70.0")) == []
    assert found("guessing", table.replace("choices = 4", "")) == []
