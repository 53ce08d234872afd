from math import log

import pytest

from lib.published.agreement import compared
from lib.published.tests.studies import ablations, found, layers, parse, sentence
from lib.published.zeroed import nats, over_attention, times

pytestmark = pytest.mark.cpu
BASE = "baseline = { rope = 10.0, drope = 10.0 }"
FIRST = "modules = ['mlp']\npositions = 'first'\nlayer = 2\ndrope = { times = 1.00 }"
BOTH = "modules = ['mlp', 'attention']\npositions = 'first'\nlayer = 1\ndrope = { perplexity = 900.0 }"


def entry(*zeroed, baseline=BASE):
    (table,) = parse(ablations(baseline, *zeroed)).columns["stored"].ablations
    return table, table.zeroed[0]


def test_times_follow_from_the_perplexities_within_their_rounding():
    table, zeroed = entry("modules = ['mlp']\nrope = { perplexity = 20.0, times = 3 }\ndrope = { times = 5 }")
    of = times(table, zeroed, "rope")
    assert (of.value, of.low, of.high) == pytest.approx((2, 19.95 / 10.05, 20.05 / 9.95))
    assert nats(table, zeroed, "rope") == pytest.approx(log(2))
    assert nats(table, zeroed, "drope") == pytest.approx(log(5))


@pytest.mark.parametrize("given", ["perplexity = 0", "times = 0", "accuracies = { key = 5.0 }"])
def test_no_loss_follows_from_no_perplexity(given):
    table, zeroed = entry(f"modules = ['mlp']\nrope = {{ {given} }}")
    assert nats(table, zeroed, "rope") is None


MLP = "modules = ['mlp']\nlayer = 1\nrope = { perplexity = 1000.0 }"
ATTENTION = "modules = ['attention']\nlayer = 1\nrope = { perplexity = 20.0 }"


def test_what_the_mlp_does_is_divided_by_what_attention_does():
    ratio, of_nats = over_attention(entry(MLP, ATTENTION)[0], "rope")
    assert (ratio.value, of_nats) == pytest.approx((50, log(100) / log(2)))
    assert over_attention(entry(MLP, ATTENTION.replace("layer = 1", "layer = 2"))[0], "rope") is None
    assert over_attention(entry(MLP, ATTENTION.replace("20.0", "10.0"))[0], "rope")[1] is None


def test_a_ratio_of_times_that_is_none_of_losses_is_found():
    assert sentence("scale", ablations(BASE, MLP, ATTENTION)) == (
        "The stored results give times of the baseline's perplexity under rope that are 50 times as many with mlp "
        "zeroed as with attention zeroed (a); in nats per token the loss rises 6.64 times as much."
    )
    assert found("scale", ablations(BASE, MLP, ATTENTION.replace("20.0", "1000.0"))) == []


def test_the_same_module_with_opposite_results_in_two_layers_is_found():
    norms = layers("mlp norm at first", "drope = { 1 = 498.0, 2 = 7.0 }", name="c")
    assert sentence("opposite", ablations(BASE, FIRST, name="b"), ablations(BASE, BOTH), norms) == (
        "The stored results give 1 times the perplexity of the baseline under drope with mlp zeroed at the first "
        "position in layer 2 (b), and 90 times with attention and mlp zeroed at the first position in layer 1 (a): "
        "whether drope needs mlp there depends on the layer. The stored results give the norm that mlp adds there: 7 "
        "in layer 2 and 498 in layer 1 (c)."
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [("layer = 2", "layer = 1"), ("'mlp'", "'value'"), ("'first'", "'all'"), ("1.00", "5.00"), ("layer = 2\n", "")],
)
def test_other_modules_positions_or_results_are_not_opposite(old, new):
    assert found("opposite", ablations(BASE, FIRST.replace(old, new), BOTH)) == []


def test_a_perplexity_that_no_model_has_is_found():
    lost = ablations(BASE, MLP.replace("1000.0", "0"))
    assert sentence("impossible", lost) == (
        "The stored results give perplexities of 0 under rope, mlp zeroed in layer 1 (a). No model has one below 1: it "
        "was not measured, or it was not kept."
    )
    assert found("impossible", lost.replace("perplexity = 0", "perplexity = 1.0")) == []


FLOOR = [
    f"modules = [{modules}]\nlayer = 1\nrope = {{ times = {times}, accuracies = {{ key = {right}, facts = 0.0 }} }}"
    for modules, times, right in (("'mlp'", 200, 0.0), ("'attention'", 190, 0.0))
]


def test_damages_at_the_floor_are_found():
    assert sentence("floor", ablations(BASE, *FLOOR)) == (
        "The stored results give accuracies of 0 % on every task under rope, whichever of these is zeroed, and losses "
        "that rise by nearly as many nats per token (a): 5.3 (mlp zeroed in layer 1), 5.25 (attention zeroed in layer "
        "1). At the floor nobody can tell what matters more."
    )


@pytest.mark.parametrize(("old", "new"), [("key = 0.0", "key = 5.0"), ("190", "90"), ("190", "2")])
def test_damages_above_the_floor_or_apart_are_no_finding(old, new):
    assert found("floor", ablations(BASE, FLOOR[0], FLOOR[1].replace(old, new))) == []


def test_more_that_costs_less_is_found():
    both = "modules = ['mlp', 'attention']\nlayer = 1\nrope = { perplexity = 500.0 }"
    assert "of 4.61 nats per token with mlp zeroed in layer 1, and of 3.91 with attention and mlp zeroed" in sentence(
        "order", ablations(BASE, MLP, both)
    )
    for harmless in (both.replace("500.0", "2000.0"), both.replace("layer = 1", "layer = 2")):
        assert found("order", ablations(BASE, MLP, harmless)) == []


def test_baselines_of_other_texts_are_found():
    one, other = ablations(BASE, MLP), ablations("baseline = { rope = 25.0 }", MLP, name="b")
    assert sentence("baselines", one, other).startswith(
        "The stored results give perplexities with nothing zeroed that cannot be of the same texts: under rope 10 (a), "
        "25 (b)."
    )
    assert found("baselines", one, other.replace("25.0", "19.0")) == []


def test_text_and_store_of_one_name_are_compared():
    said = ablations(
        "baseline = { rope = 10.1 }\nmlp_over_attention = { rope = 90 }",
        "modules = ['mlp']\nlayer = 1\nrope = { perplexity = 1000.0, times = 50.0 }",
        column="text",
    )
    rows = [
        (row["how"], row["said"], row["held"], row["agrees"]) for row in compared(parse(said, ablations(BASE, MLP)))
    ]
    assert rows == [
        ("text and store", 10.1, 10, True),
        ("text and store", 1000, 1000, True),
        ("text and store", 50, 100, False),
        ("arithmetic of the text", 50, pytest.approx(1000 / 10.1), False),
    ]
    assert len(compared(parse(said, ablations(BASE, MLP, ATTENTION)))) == 5
