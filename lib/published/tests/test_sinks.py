import pytest

from lib.published.sinks import by_chance
from lib.published.tests.studies import found, layers, sentence

pytestmark = pytest.mark.cpu
SHORT = layers("sinks", "tokens = [6, 10]\nthreshold = 0.3\nfirst_query = true", "rope = { 1 = 50.0 }")


@pytest.mark.parametrize(
    ("tokens", "first_query", "weight"),
    [(1, True, 1), (2, True, 0.75), (6, True, 2.45 / 6), (2, False, 0.5), (3, False, 5 / 12), (1, False, 0)],
)
def test_even_attention_puts_so_much_on_the_first_position(tokens, first_query, weight):
    assert by_chance(tokens, first_query=first_query) == pytest.approx(weight)


def test_even_attention_is_what_a_causal_mask_leaves_of_equal_scores():
    weights = [[1 / (query + 1)] * (query + 1) for query in range(8)]
    firsts = [row[0] for row in weights]
    assert by_chance(8, first_query=True) == pytest.approx(sum(firsts) / 8)
    assert by_chance(8, first_query=False) == pytest.approx(sum(firsts[1:]) / 7)


def test_a_prompt_that_is_so_short_that_chance_makes_sinks_is_found():
    assert sentence("chance", SHORT) == (
        "The stored results give sinks of prompts of 6 to 10 tokens (a): a head that looks at all tokens evenly puts "
        "0.351 on the first position on average, and reaches the threshold of 0.3 on 1 of the 2 prompts."
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("[6, 10]", "[60, 100]"),
        ("0.3", "0.5"),
        ("first_query = true", "first_query = false"),
        ("tokens = [6, 10]\n", ""),
        ("threshold = 0.3\n", ""),
        ("first_query = true", ""),
    ],
)
def test_long_prompts_a_high_threshold_and_unknown_ones_are_no_finding(old, new):
    assert old in SHORT
    assert found("chance", SHORT.replace(old, new)) == []


def test_attention_without_the_rotation_that_its_arm_has_is_found():
    table = layers("sinks", "rotated = false", "rope = { 1 = 50.0 }\ndrope = { 1 = 40.0 }")
    (finding,) = found("rotation", table)
    assert finding["sentence"] == (
        "The stored results give figures of attention under rope that were computed without the rotation, which rope "
        "has: sinks (a). They are not of the model's own attention."
    )
    for harmless in (table.replace("false", "true"), table.replace("rotated = false\n", "")):
        assert found("rotation", harmless) == []
    assert found("rotation", layers("sinks", "rotated = false", "drope = { 1 = 40.0 }")) == []
