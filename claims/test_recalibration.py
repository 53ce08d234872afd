"""What recalibration without rotation does to massive values, and how much of that is only more training."""

from fixtures.claim import claim, tried_on
from fixtures.planted import EACH_250, course, recovery, to, uneven, with_third, worth
from lib.judging import NoSubject, order

STUDY = "Africa 2026, discussion"
UNIT = "rank correlation with the step"
LAST, FALL = "the last step is below the first", "the steps fall"


@claim("R1", source=STUDY, published="not measured", family="recalibration", figure="counts_over_steps", training=True)
@tried_on(
    supported=course(230, 200, 180, 160, 150, 120, 110),
    refuted=course(100, 110, 120, 140, 150, 170, 200),
    open=course(150, 150, 150, 150, 150, 150, 150, spread=0.05),
    inside={
        LAST: course(151, 150.8, 150.6, 150.4, 150.2, 149, spread=0.002),
        FALL: course(152, 151, 150, 149, 148, 147, spread=0.002),
    },
    outside={
        LAST: course(149, 152, 151.5, 151, 150.5, 150, spread=0.002),
        FALL: course(160, *range(130, 150), spread=0.002),
    },
)
def test_query_counts_fall_along_recalibration(trajectory, judge):
    """Query count of the last checkpoint minus that of step 0, the rotation dropped and nothing trained, text by text;
    and the rank correlation with the step of the mean counts of step 0 and all checkpoints.
    """
    trajectory.need("query", least=20)
    totals = trajectory.totals_from_start("query")
    rate = trajectory.values[-1].describe_rates(("drope", "query"))
    note = _course((0, *trajectory.steps), totals.mean(0)) + (f"; at the last step {rate}" if rate else "")
    judge.all_of(
        judge.part(totals[:, -1] - totals[:, 0], of=2, unit="channels", label=LAST, note=note).below(0),
        judge.part(order(totals), of=2, unit=UNIT, label=FALL, note=note).below(0),
    )


@claim(
    "R2", source=STUDY, published="not measured", family="recalibration", figure="reliance_over_steps", training=True
)
@tried_on(
    supported=worth(2.0, 1.8, 1.5, 1.2, 1.0, 0.5),
    refuted=worth(0.5, 1.0, 1.2, 1.5, 1.8, 2.0),
    open=worth(1.0, 1.0, 1.0, 1.0, 1.0, 1.0),
    inside={
        LAST: worth(1.0, 0.9995, 0.999, 0.9985, 0.998, 0.99, spread=0.001),
        FALL: worth(1.0, 0.99, 0.98, 0.97, 0.96, 0.95, spread=0.001),
    },
    outside={
        LAST: worth(0.99, 1.04, 1.03, 1.02, 1.01, 1.0, spread=0.001),
        FALL: worth(1.0, *(0.7 + 0.01 * step for step in range(20)), spread=0.001),
    },
)
def test_reliance_on_massive_values_falls_along_recalibration(reliance, judge):
    """Rise of a held-out text's loss with the massive channels zeroed: that of the last checkpoint minus that of the
    first, text by text; and the rank correlation of its means with the step.
    """
    reliance.need_zeroed()
    nats = reliance.reliance()
    note = _course(reliance.steps, nats.mean(0))
    judge.all_of(
        judge.part(nats[:, -1] - nats[:, 0], of=2, unit="nats per token", label=LAST, note=note).below(0),
        judge.part(order(nats), of=2, unit=UNIT, label=FALL, note=note).below(0),
    )


@claim(
    "R3",
    source="control of Africa 2026",
    published="not measured",
    family="recalibration",
    figure="counts_over_steps",
    training=True,
)
@tried_on(
    supported=with_third("continued", [95, 3, 95, 95]),
    # both arms lose as much: more training did it, whatever was done to the rotation
    refuted=with_third("continued", [45, 50, 50, 45]),
    open=with_third("continued", [72, 3, 72, 73], spread=0.1),
    inside=with_third("continued", to(805), query=(EACH_250, to(695)), spread=0.002),
    outside=with_third("continued", to(795), query=(EACH_250, to(705)), spread=0.002),
)
def test_query_falls_ten_points_more_than_under_as_much_training_with_rotation(with_continued, judge, trained_steps):
    """Percent change of the mean Query count under DroPE minus that of the RoPE arm trained on for as many steps with
    its rotation.
    """
    with_continued.need("query", "rope", least=20)
    steps = trained_steps["drope"], trained_steps["continued"]
    if None not in steps and len(set(steps)) > 1:
        raise NoSubject(f"drope was trained for {steps[0]} steps and continued for {steps[1]}: they do not compare")
    drope, continued = (with_continued.change("query", arm).value for arm in ("drope", "continued"))
    note = f"drope {drope:+.3g} %, continued {continued:+.3g} %, steps {steps[0] or 'unknown'}"
    rates = with_continued.describe_rates(*((arm, "query") for arm in ("rope", "drope", "continued")))
    note += f"; {rates}" if rates else ""
    judge(with_continued.change_against("query", "drope", "continued"), unit="points", note=note).at_most(-10)


@claim(
    "R4",
    source=STUDY,
    published="not measured",
    family="recalibration",
    figure="lorenz_query",
    training=True,
    multiverse=False,
)
@tried_on(
    supported=uneven(100, 20),
    refuted=uneven(20, 20),
    open=uneven(22, 20, spread=0.1),
    inside=uneven(22.6, 20),
    outside=uneven(21.5, 20),
)
def test_query_norms_are_spread_more_evenly_under_drope(massive_values, judge):
    """Gini coefficient of a layer's Query norms, mean over layers, under DroPE minus under RoPE, text by text."""
    before, after = (massive_values.gini(arm, "query") for arm in ("rope", "drope"))
    note = f"Gini {before.mean():.3g} under RoPE, {after.mean():.3g} under DroPE"
    judge(after - before, unit="Gini, mean over layers", note=note).at_most(-0.02)


@claim(
    "R5",
    source="Gelberg et al. 2025",
    published="more than 95 %",
    family="recalibration",
    figure="recovery",
    training=True,
    multiverse=False,
)
@tried_on(
    supported=recovery(3.0, 9.0, 3.05),
    refuted=recovery(3.0, 9.0, 5.0),
    open=recovery(3.0, 9.0, 3.3),
    inside=recovery(3.0, 9.0, 3.28, spread=0.002),
    outside=recovery(3.0, 9.0, 3.32, spread=0.002),
)
def test_recalibration_brings_back_95_percent_of_the_loss(recovery, judge):
    """Loss of the counting texts that the treatment has no longer, in percent of what dropping the rotation without
    training costs: a ratio of means over texts. The study says it of 5 billion tokens at most.
    """
    judge(recovery.recovered(), unit="% of what dropping costs", note=recovery.describe()).at_least(95)


def _course(steps, means) -> str:
    return ", ".join(f"{mean:.3g} at {step}" for step, mean in zip(steps, means, strict=True))
