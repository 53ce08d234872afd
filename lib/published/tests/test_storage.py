import pytest

from lib.published.tests.studies import ablations, contexts, found, layers, sentence

pytestmark = pytest.mark.cpu
ZEROED = "modules = ['mlp']\npositions = 'first'\nlayer = 1\nrope = { perplexity = 12500, times = 1250 }"
SAID = ablations("baseline = { rope = 10.0 }", ZEROED, column="text")
OTHER = ablations("baseline = { rope = 10.0 }", "modules = ['attention']\nrope = { perplexity = 900.0 }")


def test_a_perplexity_that_is_stored_nowhere_is_found():
    assert sentence("stored nowhere", SAID, OTHER) == (
        "The text gives figures that are stored nowhere (a): 12500 (perplexity) and 1250 (times the baseline's) under "
        "rope with mlp zeroed at the first position in layer 1 (the nearest stored is 90 times, attention zeroed in "
        "all layers, a)."
    )


def test_a_perplexity_of_0_is_no_figure_that_is_stored():
    stored = ablations("baseline = { rope = 10.0 }", ZEROED.replace("12500, times = 1250", "0"))
    assert "in layer 1 (stored as 0)." in sentence("stored nowhere", SAID, stored)


@pytest.mark.parametrize("kept", ["perplexity = 12500", "times = 3"])
def test_what_is_stored_is_no_finding(kept):
    stored = ablations("baseline = { rope = 10.0 }", ZEROED.replace("perplexity = 12500, times = 1250", kept))
    assert found("stored nowhere", SAID, stored) == []


def test_where_the_store_has_no_such_table_nothing_is_missing():
    assert found("stored nowhere", SAID) == []
    assert found("stored nowhere", SAID, layers("sinks", "rope = { 1 = 5.0 }")) == []


def test_tables_by_length_that_are_stored_nowhere_are_found():
    said, kept = (
        contexts("n = 5", "rope = { 512 = 40.0 }"),
        contexts("rope = { 512 = 40.0 }", column="stored", name="b"),
    )
    assert sentence("stored nowhere", said, kept) == (
        "The text gives right answers by length of the context that are stored nowhere: a (1 shares of 5 trials). "
        "The store has b (1 shares)."
    )
    assert found("stored nowhere", said, kept.replace("'b'", "'a'")) == []
    assert found("stored nowhere", said) == []


KEY = "[[{}.tasks]]\nname = 'a'\nkey = {{ knowledge = 'contextual', rope = {{ {} }} }}"


def test_figures_that_a_table_of_the_store_lacks_are_found():
    said = (
        layers("sinks", "rope = { 1 = 5.0, 2 = 6.0 }", column="text"),
        KEY.format("text", "baseline = 5.0, top = 4.0"),
    )
    kept = layers("sinks", "rope = { 1 = 5.0 }"), KEY.format("stored", "baseline = 5.0")
    (finding,) = found("stored nowhere", *said, *kept)
    assert list(finding["said"].values()) == [6, 4]
    assert "layer 2 under rope (a), 6; accuracy on key under rope with each head's largest" in finding["sentence"]
    whole = (table.replace("[[text.", "[[stored.") for table in said)
    assert found("stored nowhere", *said, *whole) == []


def test_a_figure_that_is_near_the_stored_one_and_no_rounding_of_it_is_found():
    said, kept = layers("mlp norm", "rope = { 1 = 52.0 }", column="text"), layers("mlp norm", "rope = { 1 = 52.19 }")
    assert sentence("rounding", said, kept) == (
        "The text's figures are near the stored ones but no roundings of them: 52 for 52.19, norm of what the MLP "
        "adds, layer 1 under rope (a)."
    )
    for other in ("52.04", "62.19"):
        assert found("rounding", said, kept.replace("52.19", other)) == []


def test_tables_of_other_precisions_than_is_said_are_found():
    said, kept = (
        layers("mlp norm", f"precision = '{precision}'", "rope = { 1 = 5.0 }", column=column)
        for column, precision in (("text", "nf4"), ("stored", "fp4"))
    )
    assert sentence("measurement", said, kept) == (
        "The text's figures are said to be of weights in nf4, the stored ones are in fp4: mlp norm (a)."
    )
    assert found("measurement", said, kept.replace("fp4", "nf4")) == []
    assert found("measurement", said, kept.replace("precision = 'fp4'", "")) == []
    assert "are in nf4 (rope) and fp4 (drope)" in sentence(
        "measurement", said, kept.replace("'fp4'", "{ rope = 'nf4', drope = 'fp4' }")
    )
