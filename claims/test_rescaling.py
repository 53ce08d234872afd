"""What rescaling the rotation does, without training: interpolation, NTK-aware, dynamic NTK and YaRN."""

import pytest

from fixtures.claim import claim, tried_on
from fixtures.planted import EACH_250, positions, rescaled, to
from lib.judging import NoSubject

LEAST = 0.001
"""Nats per token: a loss that moves less was not moved by the rescaling, but perhaps by rounding."""


@pytest.mark.parametrize("kind", ["linear", "dynamic", "yarn", "ntk"])
@claim(
    "X1",
    source="Chen et al. 2023, Peng et al. 2023; Africa 2026, discussion",
    published="said, not measured",
    family="rescaling",
    figure="rescaled",
    training=True,
)
@tried_on(
    supported=rescaled([101, 3, 99, 101]),
    refuted=rescaled([50, 3, 50, 50]),
    open=rescaled([110, 3, 110, 111], spread=0.05),
    inside={
        "rescaling gains query at most 10 %": rescaled(to(1090), query=(EACH_250, EACH_250), spread=0.002),
        "rescaling loses query at most 10 %": rescaled(to(910), query=(EACH_250, EACH_250), spread=0.002),
        "80 % of the channels are the same": rescaled(to(1000), query=(EACH_250, EACH_250), spread=0.002, moved=0.19),
    },
    outside={
        "rescaling gains query at most 10 %": rescaled(to(1110), query=(EACH_250, EACH_250), spread=0.002),
        "rescaling loses query at most 10 %": rescaled(to(890), query=(EACH_250, EACH_250), spread=0.002),
        "80 % of the channels are the same": rescaled(to(1000), query=(EACH_250, EACH_250), spread=0.002, moved=0.22),
    },
)
def test_rescaling_the_rotation_without_training_leaves_query_counts_alone(with_rescaled, judge, kind):
    """Percent change of the mean Query count, read before the rotation, from RoPE to the same weights with the rotation
    rescaled by 4 and nothing trained, judged as equivalence; and the share of RoPE's massive channels that are massive
    still. There is nothing to judge where the rescaling moves no loss: then it did nothing.
    """
    with_rescaled.need("query", "rope", least=20)
    moved = with_rescaled.loss_change(kind)
    if (abs(moved) < LEAST).all():
        context = ", since dynamic NTK acts on texts longer than the model's context" if kind == "dynamic" else ""
        raise NoSubject(f"the {kind} arm has the RoPE arm's loss on every text: rescaling did nothing there{context}")
    note = f"the loss moves by {moved.mean():+.3g} nats per token"
    judge.all_of(
        judge.part(
            with_rescaled.change("query", kind), of=2, unit="% of the count", label="the count", note=note
        ).within(-10, 10),
        judge.part(
            with_rescaled.kept("query", kind), of=2, unit="% of RoPE's massive channels", label="the same channels"
        ).at_least(80),
    )


@pytest.mark.parametrize("kind", ["linear", "dynamic", "yarn", "ntk"])
@claim(
    "X3",
    source="Chen et al. 2023, bloc97 2023, Peng et al. 2023",
    published="the loss stays low beyond the trained length, where RoPE's explodes",
    family="beyond the trained length",
    figure="loss_by_position",
    multiverse=False,
)
@tried_on(
    supported=positions(6.0, 3.2),
    refuted=positions(3.2, 3.6),
    open=positions(3.4, 3.4, spread=0.5),
    inside=positions(3.21, 3.2, spread=0.002),
    outside=positions(3.19, 3.2, spread=0.002),
)
def test_rescaled_arms_lose_less_beyond_the_trained_length(by_position, judge, kind):
    """Mean loss of a text's tokens beyond the trained length under RoPE, minus that with the rotation rescaled by 4 and
    nothing trained. The trained length is that of the model's config.
    """
    by_position.need_beyond()
    lost = by_position.beyond("rope") - by_position.beyond(kind)
    judge(lost, unit="nats per token", note=by_position.describe("rope", kind)).above(0)
