"""What recalibration without rotation does to massive values, and how much of that is only more training."""

from fixtures.claim import claim, tried_on
from fixtures.planted import EACH_250, course, to, uneven, with_third, worth
from lib.judging import NoSubject, trend

STUDY = "Africa 2026, discussion"
UNIT = "rank correlation with the step"
ONE_RUN = "one training run: the trend is that of this run"


@claim("R1", source=STUDY, published="not measured", family="recalibration", figure="counts_over_steps")
@tried_on(
    supported=course(200, 150, 120, 110),
    refuted=course(110, 120, 150, 200),
    open=course(150, 150, 150, 150, spread=0.05),
    inside=course(152, 150, 148, spread=0.002),
    outside=course(148, 150, 152, spread=0.002),
)
def test_query_counts_fall_along_recalibration(trajectory, judge):
    """Page's trend test of the Query counts over the saved checkpoints: the mean over texts of the rank correlation
    between count and step.
    """
    trajectory.need("query")
    totals = trajectory.totals("query")
    found, rate = trend(totals), trajectory.values[-1].describe_rates(("drope", "query"))
    note = _course(trajectory.steps, totals.mean(0), found) + (f"; at the last step {rate}" if rate else "")
    judge(found, unit=UNIT, note=note).below(0)


@claim("R2", source=STUDY, published="not measured", family="recalibration", figure="reliance_over_steps")
@tried_on(
    supported=worth(2.0, 1.5, 1.0, 0.5),
    refuted=worth(0.5, 1.0, 1.5, 2.0),
    open=worth(1.0, 1.0, 1.0, 1.0),
    inside=worth(1.0, 0.99, 0.98),
    outside=worth(0.98, 0.99, 1.0),
)
def test_reliance_on_massive_values_falls_along_recalibration(reliance, judge):
    """Page's trend test of the rise of the loss with the massive channels zeroed, over the saved checkpoints."""
    reliance.need_zeroed()
    nats = reliance.reliance()
    judge(found := trend(nats), unit=UNIT, note=_course(reliance.steps, nats.mean(0), found)).below(0)


@claim(
    "R3", source="control of Africa 2026", published="not measured", family="recalibration", figure="counts_over_steps"
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
    """Percent change of the Query count under DroPE minus that of the RoPE arm trained on for as many steps with its
    rotation, text by text.
    """
    with_continued.need("query", "rope")
    steps = trained_steps["drope"], trained_steps["continued"]
    if None not in steps and len(set(steps)) > 1:
        raise NoSubject(f"drope was trained for {steps[0]} steps and continued for {steps[1]}: they do not compare")
    drope, continued = (with_continued.percent_change("query", arm) for arm in ("drope", "continued"))
    note = f"drope {drope.mean():+.3g} %, continued {continued.mean():+.3g} %, steps {steps[0] or 'unknown'}"
    rates = with_continued.describe_rates(*((arm, "query") for arm in ("rope", "drope", "continued")))
    note += f"; {rates}" if rates else ""
    judge(drope - continued, unit="points per text", note=note).at_most(-10)


@claim("R4", source=STUDY, published="not measured", family="recalibration", figure="lorenz_query")
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


def _course(steps, means, found) -> str:
    course = ", ".join(f"{mean:.3g} at {step}" for step, mean in zip(steps, means, strict=True))
    return f"{course}; Page's p {found.p_falling:.2g} for falling, {found.p_rising:.2g} for rising; {ONE_RUN}"
