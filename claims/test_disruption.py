"""What zeroing massive channels does to the loss, against zeroing as many random ones."""

from collections.abc import Callable
from itertools import permutations
from math import log

import numpy as np
import pytest

from fixtures.claim import claim, tried_on
from fixtures.planted import disruption, losses, study_kinds
from fixtures.planted.subjects import each_kind, study_losses
from lib.judging import NoSubject, crossed, difference

STUDY = "Africa 2026, disruption"
EACH_ARM = pytest.mark.parametrize("arm", ["rope", "drope"])
FACTOR = log(1.5)
"""Nats per token by which the damage to two kinds of text may differ."""
STEADY = {"spread": 0.001, "control_spread": 0.0005}
"""Planted losses that hardly vary over texts."""


def _rises(*, rope: float, drope: float) -> Callable:
    """Rises of the two arms in nats, which hardly vary over texts."""
    return disruption(rope={"massive": rope, "spread": 0.001}, drope={"massive": drope, "spread": 0.001})


@EACH_ARM
@claim(
    "D1",
    source=STUDY,
    published={"rope": "7.06 v 0.006 nats", "drope": "2.72 v 0.002 nats"},
    family="disruption",
    figure="perplexity",
)
@tried_on(
    supported=study_losses,
    refuted=losses(massive=0.05),
    open=losses(massive=0.1),
    inside={
        "massive costs 0.1 nats more than control": losses(massive=0.116, controls=[0.006] * 10, **STEADY),
        "and 10 x control": losses(massive=1.12, controls=[0.1] * 10, **STEADY),
        "and 10 x control where control is a gain": losses(massive=0.92, controls=[-0.1] * 10, **STEADY),
        "and more than every single control": losses(
            massive=0.5, controls=[-0.06] * 5 + [-0.038] * 5 + [0.49], **STEADY
        ),
    },
    outside={
        "massive costs 0.1 nats more than control": losses(massive=0.104, controls=[0.006] * 10, **STEADY),
        "and 10 x control": losses(massive=1.08, controls=[0.1] * 10, **STEADY),
        "and 10 x control where control is a gain": losses(massive=0.88, controls=[-0.1] * 10, **STEADY),
        "and more than every single control": losses(
            massive=0.5, controls=[-0.06] * 5 + [-0.042] * 5 + [0.51], **STEADY
        ),
    },
)
def test_zeroing_massive_channels_hurts_far_more_than_zeroing_random_ones(disruption, judge, arm):
    """Rise of a held-out text's loss with the massive Query and Key channels zeroed, minus the mean rise with as many
    random ones zeroed. It must be large, ten times the control's own effect, and above every single control.
    """
    disruption.need(arm)
    massive, control, controls = disruption.massive(arm), disruption.control(arm), disruption.controls(arm)
    excess, number = massive - control, controls.shape[1]
    rank = 1 + int((controls.mean(0) >= massive.mean()).sum())
    note = f"massive {percent(massive)}, control {percent(control)}; "
    note += f"massive has rank {rank} of {number + 1}, p = {rank / (number + 1):.2g}"
    parts = [
        judge.part(excess, of=3 + number, unit="nats per token", label="massive - control", note=note).at_least(0.1),
        # these two together: excess >= 10 x |control|
        judge.part(excess - 10 * control, of=3 + number, unit="nats", label="excess - 10 x control").at_least(0),
        judge.part(excess + 10 * control, of=3 + number, unit="nats", label="excess + 10 x control").at_least(0),
        *(
            judge.part(massive - controls[:, i], of=3 + number, unit="nats", label=f"massive - control {i}").above(0)
            for i in range(number)
        ),
    ]
    judge.all_of(*parts)


@EACH_ARM
@claim("D2", source=STUDY, published={"rope": "+0.6 %", "drope": "+0.2 %"}, family="disruption", figure="perplexity")
@tried_on(
    supported=study_losses,
    refuted=losses(massive=7, controls=[0.1] * 10),
    open=losses(massive=7, controls=[0.05] * 10, control_spread=0.05),
    inside={
        "control costs at most 0.05 nats": losses(massive=7, controls=[0.045] * 10, **STEADY),
        "control gains at most 0.05 nats": losses(massive=7, controls=[-0.045] * 10, **STEADY),
    },
    outside={
        "control costs at most 0.05 nats": losses(massive=7, controls=[0.055] * 10, **STEADY),
        "control gains at most 0.05 nats": losses(massive=7, controls=[-0.055] * 10, **STEADY),
    },
)
def test_zeroing_random_channels_is_negligible(disruption, judge, arm):
    """Rise of a held-out text's loss with random channels zeroed, mean over texts and controls, judged as equivalence.
    Both are random samples: texts of their kinds, and draws of channels.
    """
    disruption.need(arm)
    note = percent(disruption.control(arm))
    judge(crossed(disruption.controls(arm)), unit="nats per token", note=note).within(-0.05, 0.05)


@claim(
    "D3",
    source=STUDY,
    published="82 x in percent, 2.6 x in nats",
    family="disruption",
    figure="perplexity",
    training=True,
)
@tried_on(
    supported=study_losses,
    refuted=losses(massive=2.0),
    open=disruption(rope={"massive": 4.0}, drope={"massive": 2.0}),
    inside={
        "rope is hurt twice as much": _rises(rope=2.05, drope=1),
        "rope is hurt at all": _rises(rope=0.01, drope=-1),
    },
    outside={
        "rope is hurt twice as much": _rises(rope=1.95, drope=1),
        "rope is hurt at all": _rises(rope=-0.01, drope=-1),
    },
)
def test_rope_relies_on_massive_values_twice_as_much_as_drope(disruption, judge):
    """Rise of a held-out text's loss with the massive channels zeroed in the RoPE arm, minus twice that in the DroPE
    arm; and RoPE must be hurt at all.
    """
    disruption.need_same_tokens()
    disruption.need("rope", "drope")
    rope, drope = disruption.massive("rope"), disruption.massive("drope")
    note = f"ratio of the means {ratio(rope.mean(), drope.mean())} in nats"
    with np.errstate(over="ignore"):
        note += f", {ratio(np.expm1(rope.mean()), np.expm1(drope.mean()))} in percent of perplexity"
    judge.all_of(
        judge.part(rope - 2 * drope, of=2, unit="nats per token", label="rope - 2 x drope", note=note).at_least(0),
        # without this, no damage at all beside a gain under DroPE would pass for reliance
        judge.part(rope, of=2, unit="nats per token", label="rope is hurt").above(0),
    )


@EACH_ARM
@claim(
    "D4",
    source=STUDY,
    published={"rope": "0.003 nats; stored 1.45", "drope": "0.046 nats; stored 3.09"},
    family="disruption",
    figure="damage_by_kind",
)
@tried_on(
    supported=study_kinds(stored=False),
    refuted=study_kinds(stored=True),  # the stored figures are not the published ones
    open=losses(massive=each_kind(1.0, 1.4, 1.2), spread=0.1),
    inside={
        "one kind is hurt 1.5 x another": losses(massive=each_kind(1.4, 1.0, 1.2), **STEADY),
        "whichever kind it is": losses(massive=each_kind(1.0, 1.1, 1.4), **STEADY),
    },
    outside={
        "one kind is hurt 1.5 x another": losses(massive=each_kind(1.411, 1.0, 1.2), **STEADY),
        "whichever kind it is": losses(massive=each_kind(1.0, 1.1, 1.411), **STEADY),
    },
)
def test_the_damage_does_not_depend_on_the_kind_of_text(disruption, judge, arm):
    """Rise of a held-out text's loss with the massive channels zeroed, by kind of text: for every two kinds, the mean
    of one minus that of the other, at most log 1.5, which multiplies perplexity by 1.5.
    """
    disruption.need(arm)
    kinds = disruption.nats_by_kind(arm)
    pairs = list(permutations(kinds, 2))
    if not pairs:
        raise NoSubject("there is only one kind of text, so there is no difference between kinds")
    note = "; ".join(f"{kind} {nats.mean():+.3g} nats, {percent(nats)}" for kind, nats in kinds.items())
    judge.all_of(
        *(
            judge.part(
                difference(kinds, a, b), of=len(pairs), unit="nats per token", label=f"{a} - {b}", note=note
            ).at_most(FACTOR)
            for a, b in pairs
        )
    )


def percent(nats: np.ndarray) -> str:
    """The study's scale: what the mean increase of the loss makes of perplexity."""
    with np.errstate(over="ignore"):
        found = 100 * np.expm1(nats.mean())
    return f"{found:+.3g} % perplexity" if np.isfinite(found) else "more than a perplexity can tell"


def ratio(rope: float, drope: float) -> str:
    """For reading only: verdicts are judged on differences, which need no division."""
    if not np.isfinite([rope, drope]).all():
        return "undefined (beyond any perplexity)"
    return f"{rope / drope:.3g}" if drope > 0 else "undefined (nothing lost under DroPE)"
