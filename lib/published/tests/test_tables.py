import re

import pytest

from lib.published.figures import Figure
from lib.published.tests.studies import ablations, contexts, layers, parse

pytestmark = pytest.mark.cpu
MLP = "modules = ['mlp']\nlayer = 1\n"
RATES = "rope = { 1 = 50.0 }"


def test_figures_are_read_layer_by_layer():
    said = "rope = { layers = [1.0, 2.0, 3.5], 1-2 = 2.75, 0-2 = [1.0, 3.5] }\ntimes = { 1 = 4 }\nmore = { 0-2 = -1.5 }"
    (table,) = parse(layers("mlp norm", said, "first_above = { bound = 2, drope = 0 }")).columns["stored"].layers
    assert table.figures == {
        ("layer", "rope", 0): Figure(1.0, 0.05),
        ("layer", "rope", 1): Figure(2.0, 0.05),
        ("layer", "rope", 2): Figure(3.5, 0.05),
        ("mean", "rope", 1, 2): Figure(2.75, 0.005),
        ("least", "rope", 0, 2): Figure(1.0, 0.05),
        ("most", "rope", 0, 2): Figure(3.5, 0.05),
        ("times", 1, 1): Figure(4.0, 0.5),
        ("more", 0, 2): Figure(-1.5, 0.05),
        ("first above", "drope", 2.0): Figure(0.0, 0.0),
    }
    assert list(table.series("rope")) == [0, 1, 2]


def test_a_list_is_of_all_layers_and_a_table_says_how_it_was_measured():
    about = "precision = 'bf16'\nn_texts = 2\ntokens = [6, 9]\nthreshold = 0.3\nfirst_query = true\nrotated = false"
    (table,) = parse(layers("sinks", about, "drope = [0.0, 100.0, 50.0]")).columns["stored"].layers
    assert [figure.value for figure in table.series("drope").values()] == [0, 100, 50]
    assert (table.tokens, table.threshold, table.first_query, table.rotated) == ((6, 9), 0.3, True, False)
    assert (table.precisions, table.measured.n_texts) == ({"rope": "bf16", "drope": "bf16"}, 2)


def test_what_was_zeroed_is_read_with_the_layer_of_each_arm():
    lines = "modules = ['mlp', 'attention']\npositions = 'first'\nlayer = { rope = 1, drope = 2 }\n"
    lines += "rope = { perplexity = 90.5, times = 9, accuracies = { key = 5.0 } }"
    (table,) = parse(ablations("baseline = { rope = 10.0 }", lines)).columns["stored"].ablations
    (zeroed,) = table.zeroed
    assert (zeroed.modules, zeroed.positions) == (("attention", "mlp"), "first")
    assert zeroed.layers == {"rope": 1, "drope": 2}
    assert (zeroed.perplexity["rope"].value, zeroed.times["rope"].value, table.baseline["rope"].value) == (90.5, 9, 10)
    assert zeroed.accuracies == {"rope": {"key": Figure(5.0, 0.05)}, "drope": {}}


def test_without_a_layer_all_of_them_are_zeroed():
    (table,) = parse(ablations("", "modules = ['value']\nrope = { times = 4 }")).columns["stored"].ablations
    assert table.zeroed[0].layers == {"rope": None, "drope": None}


def test_right_answers_are_read_by_length():
    about = "n = 5\nchoices = 4\nformat = 'a number'\nprecision = 'fp16'"
    (table,) = parse(contexts(about, "rope = { 512 = 100.0, 2048 = 40.0 }")).columns["text"].contexts
    assert table.right == {("rope", 512): Figure(100, 0.05), ("rope", 2048): Figure(40, 0.05)}
    assert (table.n, table.choices, table.format, table.measured.precision) == (5, 4, "a number", "fp16")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[text]\nlayers = 5", "[text.layers] must be a list of tables, [[text.layers]], not 5"),
        ("[text]\nablations = [5]", "[text.ablations] must be a list of tables, not of 5"),
        ("[[text.contexts]]\nn = 5", "[text.contexts] needs a name in every table"),
        (layers("heat", RATES), "[stored.layers] a quantity must be sinks or "),
        (layers("sinks"), "[stored.layers] a has no figure"),
        (layers("sinks", "colour = 1"), "[stored.layers] a has an unknown key 'colour'; known are name, quantity"),
        (layers("sinks", RATES) + "\n" + layers("sinks", RATES), "has two tables of the name 'a': give each a name"),
        (layers("sinks", "rope = 5"), "a rope must be a list of numbers or a table by layers, not 5"),
        (layers("sinks", "rope = [1, 2]"), "a rope has 2 layers, but [study] says 3"),
        (layers("sinks", "rope = { layers = 4 }"), "a rope has 4 layers, but [study] says 3"),
        (layers("sinks", "rope = [1, 2, 101]"), "a rope, number 3 must be 100 or less, not 101"),
        (layers("mlp norm", "rope = { 1 = -2 }"), "a rope 1 must be 0 or more, not -2"),
        (layers("sinks", "rope = { first = 2 }"), "a rope has an unknown key 'first': give a layer, or a first and"),
        (layers("sinks", "rope = { 3 = 2 }"), "a rope 3 are no layers from 0 to 2, the first one first"),
        (layers("sinks", "rope = { 2-1 = 2 }"), "a rope 2-1 are no layers from 0 to 2, the first one first"),
        (layers("sinks", "rope = { 0-1 = [2] }"), "a rope 0-1 must be a number or [least, most], not 1 numbers"),
        (layers("sinks", "rope = { 0-1 = [2, 'x'] }"), "a rope 0-1 (most) must be a number, not 'x'"),
        (layers("sinks", "times = { 1 = -1 }"), "a times 1 must be 0 or more, not -1"),
        (layers("sinks", "largest_sd = { both = 1 }"), "a largest_sd has an unknown key 'both'; known are rope, drope"),
        (layers("sinks", "largest_sd = { rope = -1 }"), "a largest_sd rope must be 0 or more, not -1"),
        (layers("sinks", "first_above = { rope = 1 }"), "a first_above needs a bound"),
        (layers("sinks", "first_above = { bound = 1, rope = 9 }"), "a first_above rope must be 2 or less, not 9"),
        (layers("sinks", RATES, "precision = { both = 'x' }"), "a precision has an unknown key 'both'"),
        (layers("sinks", RATES, "tokens = 5"), "a tokens must be a list of the prompts' numbers of tokens, not 5"),
        (layers("sinks", RATES, "tokens = [0]"), "a tokens, number 1 must be a whole number above 0, not 0"),
        (layers("sinks", RATES, "threshold = 30"), "a threshold must be 1 or less, not 30"),
        (layers("sinks", RATES, "rotated = 1"), "a rotated must be true or false, not 1"),
        (ablations("baseline = { rope = 0.5 }", MLP), "a baseline rope must be 1 or more, not 0.5"),
        (ablations(""), "[stored.ablations] a needs a list of what was zeroed"),
        (ablations("zeroed = [5]"), "a zeroed, number 1 must be a table, not 5"),
        (
            ablations("", "modules = ['head']"),
            "number 1 modules must be a list of attention or mlp or value, not a list",
        ),
        (ablations("", "layer = 1"), "number 1 modules must be a list of attention or mlp or value, not None"),
        (ablations("", MLP + "positions = 'last'"), "number 1 positions must be all or first, not 'last'"),
        (ablations("", "modules = ['mlp']\nlayer = 3"), "number 1 layer (rope) must be 2 or less, not 3"),
        (ablations("", "modules = ['mlp']\nlayer = 0.5"), "number 1 layer must be a whole number"),
        (ablations("", "modules = ['mlp']\nlayer = { rope = 1 }"), "number 1 layer needs drope as well"),
        (ablations("", MLP + "rope = { loss = 1 }"), "number 1 rope has an unknown key 'loss'; known are perplexity"),
        (ablations("", MLP + "rope = { perplexity = -1 }"), "number 1 rope perplexity must be 0 or more, not -1"),
        (ablations("", MLP + "rope = { accuracies = { key = 101 } }"), "accuracies key must be 100 or less, not 101"),
        (contexts("rope = { far = 5.0 }"), "a rope has an unknown key 'far': give a length in tokens, as in 2048"),
        (contexts("rope = { 512 = 101.0 }"), "a rope 512 must be 100 or less, not 101"),
        (contexts("n = 5"), "[text.contexts] a has no figure"),
        (contexts("choices = 1", "rope = { 512 = 5.0 }"), "a choices must be 2 or more, not 1"),
        (contexts("n = 2.5", "rope = { 512 = 5.0 }"), "a n must be a whole number above 0, not 2.5"),
    ],
)
def test_a_mistake_gets_a_sentence(text, said):
    with pytest.raises(ValueError, match=re.escape(said)) as raised:
        parse(text)
    assert "\n" not in str(raised.value)
