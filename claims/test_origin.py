"""Where massive values come from: the weights, or the rotation that acts on them."""

import pytest

STUDY = "Africa 2026, discussion"
EACH = pytest.mark.parametrize("name", ["query", "key"])


@EACH
@pytest.mark.claim("O1", source=STUDY, published="said, not measured", family="origin", figure="counts_over_steps")
def test_massive_values_stay_when_the_rotation_alone_is_dropped(with_dropped, judge, name):
    """Percent change of the count from RoPE to the same weights with the rotation switched off and nothing trained,
    text by text, judged as equivalence.
    """
    with_dropped.need(name, "rope")
    note = with_dropped.rates_said(("rope", name), ("dropped", name))
    judge(with_dropped.percent_change(name, "dropped"), unit="% per text", note=note).within(-10, 10)


@EACH
@pytest.mark.claim("O2", source=STUDY, published="said, not measured", family="origin", figure="rank_agreement")
def test_row_norms_of_the_weights_rank_channels_like_their_measured_norms(rope_values, judge, name):
    """Spearman's rank correlation between the norms of the projection's rows, which need no text, and the measured
    channel norms, in the median layer, text by text.
    """
    rope_values.need(name, "rope")
    judge(rope_values.rank_agreement("rope", name), unit="Spearman's rho, median layer").at_least(0.5)
