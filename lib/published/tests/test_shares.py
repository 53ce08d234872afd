import pytest

from lib.published.figures import Quantity
from lib.published.shares import of_norms
from lib.published.tests.studies import found, layers, sentence

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
