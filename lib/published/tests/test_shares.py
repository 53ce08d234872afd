import pytest

from lib.published.figures import Quantity
from lib.published.shares import of_norms, without_first
from lib.published.tests.studies import found, layers, parse, sentence

pytestmark = pytest.mark.cpu
SHARES = layers("attention share", "rope = { 0 = 50.0, 1 = 20.0 }\ndrope = { 0 = 4.8, 1 = 20.0 }")
ATTENTION = layers("attention norm", "rope = { 0 = 1.00, 1 = 1.00 }\ndrope = { 0 = 2.00, 1 = 1.00 }")
MLP = layers("mlp norm", "rope = { 0 = 1.00, 1 = 4.00 }\ndrope = { 0 = 40.0, 1 = 4.00 }")


def test_a_share_follows_from_two_norms_within_their_rounding():
    share = of_norms(Quantity(1, 0.5, 1.5), Quantity(3, 2.5, 3.5))
    assert (share.value, share.low, share.high) == pytest.approx((25, 12.5, 37.5))
    assert of_norms(Quantity(0, -0.5, 0.5), Quantity(3, 2.5, 3.5)) is None


def test_a_share_that_falls_while_attention_adds_more_is_found():
    assert sentence("share", SHARES, ATTENTION, MLP) == (
        "The stored results give a share of attention in what layer 0 adds that falls from 50 to 4.8 % (a), but "
        "attention adds 2 times as much (1 and 2): the share falls because the MLP adds 40 times as much."
    )


def test_a_share_that_falls_with_what_attention_adds_is_no_finding():
    assert found("share", SHARES, ATTENTION.replace("0 = 2.00", "0 = 0.90"), MLP) == []
    assert found("share", SHARES.replace("0 = 4.8", "0 = 40.0"), ATTENTION, MLP) == []
    assert found("share", SHARES, ATTENTION, MLP.replace("'a'", "'b'")) == []


def test_shares_that_are_not_those_of_the_norms_beside_them_are_found():
    assert found("means", SHARES, ATTENTION, MLP) == []
    assert sentence("means", SHARES.replace("drope = { 0 = 4.8", "drope = { 0 = 5.3"), ATTENTION, MLP) == (
        "The stored results give shares of attention that are not those of the mean norms beside them (a), in percent: "
        "5.3 (layer 0 under drope; of the norms 4.7619). A mean of ratios is not the ratio of the means."
    )


OF_PROMPTS = layers("attention share", "tokens = [4, 6]", "rope = { 1 = 40.0 }")
NORMS = [
    layers("attention norm", "rope = { 1 = 4.0 }"),
    layers("mlp norm", "rope = { 1 = 6.0 }"),
    layers("attention norm at first", "rope = { 1 = 4.0 }"),
    layers("mlp norm at first", "rope = { 1 = 26.0 }"),
]


def test_the_share_without_the_first_position_follows_from_means_over_five_positions():
    column = parse(OF_PROMPTS, *NORMS).columns["stored"]
    (shares,) = column.of("attention share")
    assert without_first(column, shares, "rope", 1) == pytest.approx(100 * (5 * 4 - 4) / (5 * 4 - 4 + 5 * 6 - 26))
    assert without_first(column, shares, "drope", 1) is None
    assert without_first(column, shares, "rope", 0) is None


def test_a_share_that_the_first_position_makes_is_found():
    assert sentence("first position", OF_PROMPTS, *NORMS) == (
        "The stored results give shares of attention that are not those of the positions but for the first one (a), in "
        "percent: 40 (layer 1 under rope; of the others 80). What one position adds decides the mean over all."
    )
    even = [*NORMS[:3], NORMS[3].replace("26.0", "6.0")]
    impossible = [*NORMS[:3], NORMS[3].replace("26.0", "36.0")]
    for harmless in (even, impossible, NORMS[:3]):
        assert found("first position", OF_PROMPTS, *harmless) == []
    assert found("first position", OF_PROMPTS.replace("tokens = [4, 6]\n", ""), *NORMS) == []
