import pytest

from lib.published.agreement import compared
from lib.published.layers import find, follows
from lib.published.tests.studies import found, layers, parse, sentence

pytestmark = pytest.mark.cpu
NORMS = layers("mlp norm", "rope = [1.0, 4.0, 2.0]\ndrope = [3.0, 2.0, 2.0]")


def table(*lines, quantity="mlp norm"):
    return parse(layers(quantity, *lines)).columns["stored"].layers[0]


@pytest.mark.parametrize(
    ("meaning", "value", "low", "high"),
    [
        (("mean", "rope", 0, 2), 7 / 3, 7 / 3 - 0.05, 7 / 3 + 0.05),
        (("least", "rope", 1, 2), 2, 1.95, 2.05),
        (("most", "rope", 0, 1), 4, 3.95, 4.05),
        (("times", 0, 0), 3, 2.95 / 1.05, 3.05 / 0.95),
        (("more", 1, 2), -1, -1.1, -0.9),
        (("first above", "rope", 1.5), 1, 1, 1),
    ],
)
def test_figures_follow_from_those_of_layers_within_their_rounding(meaning, value, low, high):
    (norms,) = parse(NORMS).columns["stored"].layers
    of = follows(norms, meaning)
    assert (of.value, of.low, of.high) == pytest.approx((value, low, high))


@pytest.mark.parametrize(
    "meaning",
    [
        ("mean", "rope", 0, 2),
        ("times", 0, 0),
        ("times", 2, 2),
        ("first above", "rope", 9.0),
        ("layer", "rope", 2),
    ],
)
def test_nothing_follows_from_layers_that_are_not_given(meaning):
    assert find(table("rope = { 0 = 0.0, 1 = 2.0 }\ndrope = { 0 = 1.0 }"), meaning) is None


def test_the_first_layer_above_a_bound_is_known_only_if_all_before_it_are():
    assert follows(table("rope = { 1 = 4.0 }"), ("first above", "rope", 2.0)) is None


SAID = layers("mlp norm", "times = { 0 = 3.0 }\nmore = { 0-2 = 0.5 }", "rope = { 0-2 = [1.0, 4.0] }", column="text")


def test_text_and_store_of_one_name_are_compared():
    rows = {row["what"].split(", ", 1)[1]: row for row in compared(parse(SAID, NORMS))}
    assert {what: row["agrees"] for what, row in rows.items()} == {
        "layer 0, drope over rope (a)": True,
        "mean of layers 0 to 2, drope less rope (a)": False,
        "least of layers 0 to 2 under rope (a)": True,
        "most of layers 0 to 2 under rope (a)": True,
    }
    assert compared(parse(SAID.replace("'a'", "'b'"), NORMS)) == []


def test_a_figure_that_is_a_rounding_of_the_stored_one_agrees():
    one, other = layers("sinks", "rope = { 1 = 0.9 }", column="text"), layers("sinks", "rope = { 1 = 0.853 }")
    assert [row["agrees"] for row in compared(parse(one, other))] == [True]
    assert [row["agrees"] for row in compared(parse(one, other.replace("0.853", "0.843")))] == [False]


def test_a_mean_that_is_not_that_of_its_layers_is_a_finding():
    of = "rope = {{ layers = [1.0, 4.0, 2.0], 0-2 = {} }}"
    assert "gives 3, but its other figures make it 2.33333" in sentence(
        "arithmetic", layers("mlp norm", of.format(3.0))
    )
    assert found("arithmetic", layers("mlp norm", of.format(2.3))) == []


TWICE = [
    layers("sinks", "tokens = [6, 8]", "rope = [66.0, 100.0, 100.0]"),
    layers("sinks", "rope = [6.0, 97.0, 100.0]"),
]


def test_two_tables_of_one_quantity_that_contradict_each_other_are_found():
    first, other = TWICE[0], TWICE[1].replace("'a'", "'b'")
    assert sentence("two tables", first, other) == (
        "The stored results give sinks twice, in a (2 prompts of 6 to 8 tokens) and b. Of 3 figures that both have, "
        "these do not agree: 66 and 6 (layer 0 under rope)."
    )
    assert found("two tables", first, other.replace("6.0", "60.0")) == []
    assert found("two tables", first, other.replace("sinks", "weight of first")) == []
    assert found("two tables", first, other.replace("stored", "text")) == []


def test_two_shares_of_heads_have_the_error_of_so_many_heads():
    rows = compared(parse(TWICE[0], TWICE[1].replace("'a'", "'b'")))
    shares = [(percent * 32 / 100 + 1) / 34 for percent in (66, 6)]
    assert rows[0]["error"] == pytest.approx(100 * sum(share * (1 - share) / 32 for share in shares) ** 0.5)
    assert rows[0]["how"] == "tables of the store"


def test_a_mean_that_hides_what_its_layers_do_is_found():
    shares = layers("attention share", "rope = { layers = [10.0, 50.0, 30.0], 0-2 = 30.0 }\ndrope = [50.0, 12.0, 30.0]")
    assert sentence("hidden by a mean", shares) == (
        "The stored results give attention share (a) with means of layers 0 to 2 that are 0.67 points apart, 30 under "
        "rope and 30.7 under drope. The arms are more than 5 points apart in 2 of these layers (0, 1), most in layer "
        "0, by 40."
    )
    alike = shares.replace("[50.0, 12.0, 30.0]", "[11.0, 49.0, 30.0]")
    far = shares.replace("[50.0, 12.0, 30.0]", "[50.0, 52.0, 30.0]")
    no_percent, no_mean = shares.replace("attention share", "mlp norm"), shares.replace(", 0-2 = 30.0", "")
    for harmless in (alike, far, no_percent, no_mean):
        assert found("hidden by a mean", harmless) == []


SPREAD = layers("norm of first", "n_texts = 9", "rope = [1.0, 50.0, 500.0]", "largest_sd = { rope = 0.01 }")


def test_texts_that_are_one_measurement_of_the_first_position_are_found():
    assert sentence("one text", SPREAD) == (
        "The stored results give norm of first (a) of 9 texts with standard deviations of at most 0.01 beside 500 "
        "(rope): the first position sees itself alone, so that 9 texts are one measurement."
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("0.01", "5.0"),
        ("n_texts = 9", "n_texts = 1"),
        ("norm of first", "mlp norm"),
        ("largest_sd = { rope = 0.01 }", ""),
    ],
)
def test_norms_that_vary_or_are_of_one_text_are_no_finding(old, new):
    assert old in SPREAD
    assert found("one text", SPREAD.replace(old, new)) == []


def test_arms_that_were_measured_in_two_precisions_are_found():
    lines = "precision = { rope = 'nf4', drope = 'fp4' }", "rope = { 1 = 2.0 }"
    assert "figures of rope with weights in nf4 beside those of drope with weights in fp4: mlp norm (a)." in sentence(
        "precision", layers("mlp norm", *lines)
    )
    assert found("precision", layers("mlp norm", *lines).replace("fp4", "nf4")) == []
    assert found("precision", layers("mlp norm", "precision = { rope = 'nf4' }", lines[1])) == []
