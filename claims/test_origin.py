"""Where massive values come from: the weights, or the rotation that acts on them."""

from collections.abc import Callable

import pytest

from fixtures.claim import claim, tried_on
from fixtures.planted import EACH_100, EACH_250, per, ranked, to, with_third
from fixtures.planted.records import scatter

STUDY = "Africa 2026, discussion"
EACH = pytest.mark.parametrize("name", ["query", "key"])


def _dropped_to(share: float, *, moved: float = 0.0) -> Callable:
    """The rotation dropped, and this share of the count left; a share `moved` of it in other channels."""
    return per(
        "name",
        query=with_third("dropped", to(1000 * share), query=(EACH_250, EACH_250), spread=0.002, moved=moved),
        key=with_third("dropped", EACH_250, to(400 * share), key=(EACH_100, EACH_100), spread=0.002, moved=moved),
    )


@EACH
@claim("O1", source=STUDY, published="said, not measured", family="origin", figure="counts_over_steps")
@tried_on(
    supported=per(
        "name",
        query=with_third("dropped", [101, 3, 99, 101]),
        key=with_third("dropped", third_key=[101, 99, 101, 99]),
    ),
    refuted=per(
        "name",
        query=with_third("dropped", [50, 3, 50, 50]),
        key=with_third("dropped", third_key=[130, 130, 130, 130]),
    ),
    open=per(
        "name",
        query=with_third("dropped", [110, 3, 110, 111], spread=0.05),
        key=with_third("dropped", third_key=[90, 90, 90, 90], spread=0.05),
    ),
    inside={
        "gains at most 10 %": _dropped_to(1.09),
        "loses at most 10 %": _dropped_to(0.91),
        "80 % of the channels are the same": _dropped_to(1.0, moved=0.19),
    },
    outside={
        "gains at most 10 %": _dropped_to(1.11),
        "loses at most 10 %": _dropped_to(0.89),
        "80 % of the channels are the same": _dropped_to(1.0, moved=0.22),
    },
)
def test_massive_values_stay_when_the_rotation_alone_is_dropped(with_dropped, judge, name):
    """Percent change of the mean count from RoPE to the same weights with the rotation switched off and nothing
    trained, judged as equivalence; and the share of RoPE's massive channels that are massive still. An equal count of
    other channels would be no staying.
    """
    with_dropped.need(name, "rope", least=20)
    note = with_dropped.describe_rates(("rope", name), ("dropped", name))
    judge.all_of(
        judge.part(
            with_dropped.change(name, "dropped"), of=2, unit="% of the count", label="the count", note=note
        ).within(-10, 10),
        judge.part(
            with_dropped.kept(name, "dropped"), of=2, unit="% of RoPE's massive channels", label="the same channels"
        ).at_least(80),
    )


@EACH
@claim("O2", source=STUDY, published="said, not measured", family="origin", figure="rank_agreement", multiverse=False)
@tried_on(
    supported=ranked(0.9),
    refuted=ranked(0.1),
    open=ranked(0.52 + scatter(20, spread=0.1, seed=0)),
    inside=ranked(0.54),
    outside=ranked(0.5),
)
def test_row_norms_of_the_weights_rank_channels_like_their_measured_norms(rope_values, judge, name):
    """Spearman's rank correlation between the norms of the projection's rows, which need no text, and the measured
    channel norms, in the median layer, text by text.
    """
    rope_values.need(name, "rope")
    judge(rope_values.rank_agreement("rope", name), unit="Spearman's rho, median layer").at_least(0.5)
