"""Figures of recalibration and of how massive values move between arms, from records."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lib.definitions import RESCALED, Name, label
from lib.effects import MassiveValues, Positions, Recovery, Trajectory, lorenz
from lib.records import tokenizers
from lib.reporting.figures.figures import (
    COLOURS,
    MANY_LAYERS,
    TENSORS,
    apart,
    canvas,
    layer_axis,
    layer_ticks,
    legend,
    main_arms,
)

RECOVERED = 95
"""Percent of the loss that recalibration is said to bring back. Source: Gelberg et al. 2025."""
OF_RESCALED = dict(zip(RESCALED, ("#d9822b", "#4d9a5b", "#9a4d8f", "#a8a032"), strict=True))
"""Colours of the rescaled arms."""


def counts_over_steps(
    trajectory: Trajectory, dropped: MassiveValues | None = None, continued: MassiveValues | None = None
) -> Figure:
    """Massive values of Q, K and V at every checkpoint.

    Dashed lines are the RoPE arm. Step 0 is the RoPE arm with its rotation dropped, where it was measured; crosses at
    the last step are the control that was trained on with rotation. Where tensors or arms have different numbers of
    channels, heights are shares of them, and the legend has the counts at the last step.
    """
    figure, axes = canvas()
    uneven = trajectory.values[0].uneven

    def height(values: MassiveValues, arm: str, name: Name) -> float:
        return (values.rates if uneven else values.totals)(arm, name).mean()

    for name, colour in TENSORS.items():
        before = height(dropped, "dropped", name) if dropped else None
        control = height(continued, "continued", name) if continued else None
        rope = height(trajectory.values[0], "rope", name)
        course = [height(values, "drope", name) for values in trajectory.values]
        count = f" ({trajectory.totals(name).mean(0)[-1]:.4g} at the last step)" if uneven else ""
        _along(axes, trajectory, course, before, rope, control, colour, f"{name}{count}")
    axes.set_ylim(bottom=0)
    legend(figure)
    axes.set_ylabel("massive values, % of all channels" if uneven else "massive values per text")
    axes.set_title("Massive values along recalibration")
    return figure


def loss_over_steps(
    trajectory: Trajectory, dropped: MassiveValues | None = None, continued: MassiveValues | None = None
) -> Figure:
    """Loss of the texts that massive values are counted on at every checkpoint, drawn like the counts.

    The checkpoints stand alone where they have another tokenizer than the RoPE arm: the losses do not compare.
    """
    figure, axes = canvas()
    if len(tokenizers(trajectory.values[0].records.values())) > 1:
        _line(axes, trajectory.steps, trajectory.loss().mean(0), "#444444", "loss")
        _step_axis(
            axes, trajectory.steps, f"{trajectory.unit} (RoPE has another tokenizer: its loss is of other tokens)"
        )
        axes.set_ylabel("loss, nats per token")
        axes.set_title("Loss along recalibration")
        return figure
    before = dropped.records["dropped"]["nll"].values.mean() if dropped else None
    control = continued.records["continued"]["nll"].values.mean() if continued else None
    rope = trajectory.values[0].records["rope"]["nll"].values.mean()
    _along(axes, trajectory, trajectory.loss().mean(0), before, rope, control, "#444444", "loss")
    axes.set_ylabel("loss, nats per token")
    axes.set_title("Loss along recalibration")
    return figure


def _along(axes: Axes, trajectory: Trajectory, course, before, rope, control, colour: str, label: str) -> None:
    """One line along the steps, from `before` at step 0, with the RoPE arm dashed and the control as a cross."""
    steps, start = trajectory.steps, [] if before is None else [0]
    values = [*([] if before is None else [before]), *course]
    _line(axes, [*start, *steps], values, colour, label)
    axes.axhline(rope, color=colour, linestyle="--", linewidth=0.8)
    if control is not None:
        axes.plot(steps[-1], control, marker="x", markersize=7, color=colour)
    _step_axis(axes, [*start, *steps], f"{trajectory.unit} (dashed: RoPE; cross: trained on with rotation)")


def _line(axes: Axes, steps, course, colour: str, label: str) -> None:
    axes.plot(steps, course, marker="o", markersize=3, color=colour, label=label)


def _step_axis(axes: Axes, steps, label: str) -> None:
    """Steps from left to right, labelled as far as there is room."""
    axes.set_xticks(apart(steps))
    axes.set_xlabel(label)


def query_heat_map(trajectory: Trajectory) -> Figure:
    """Massive Query values of every layer at every checkpoint.

    Raises ValueError where no query channel is massive at any.
    """
    counts = trajectory.per_layer("query")
    if not counts.any():
        raise ValueError("no query channel is massive at any checkpoint")
    figure, axes = canvas()
    mesh = axes.pcolormesh(counts, cmap="viridis", vmin=0)
    for (layer, point), count in np.ndenumerate(counts) if counts.size <= 120 and len(counts) <= 16 else ():
        dark = count < counts.max() / 2
        axes.text(point + 0.5, layer + 0.5, f"{count:.3g}", ha="center", va="center", color="w" if dark else "k")
    points = apart(range(len(trajectory.steps)))
    axes.set_xticks([point + 0.5 for point in points], [str(trajectory.steps[point]) for point in points])
    layers = layer_ticks(len(counts))
    axes.set_yticks(layers + 0.5, [str(layer) for layer in layers])
    axes.set_xlabel(f"recalibration, {trajectory.unit}")
    axes.set_ylabel("layer")
    axes.set_title("Massive query values, layer by layer")
    figure.colorbar(mesh, ax=axes, label="channels per text")
    return figure


def rescaled(values: MassiveValues) -> Figure:
    """Massive Query and Key values of the RoPE arm and of its rescaled arms, each with its loss: mean over texts, error
    bars of one standard deviation.
    """
    figure, axes = canvas()
    arms = [arm for arm in ("rope", *RESCALED) if arm in values.records]
    for offset, name in ((-0.2, "query"), (0.2, "key")):
        totals = np.stack([values.totals(arm, name) for arm in arms])
        spread = totals.std(1, ddof=1) if totals.shape[1] > 1 else None
        places = np.arange(len(arms)) + offset
        bars = axes.bar(places, totals.mean(1), 0.38, yerr=spread, capsize=3, color=TENSORS[name], label=name)
        axes.bar_label(bars, labels=[f"{mean:.4g}" for mean in totals.mean(1)], padding=3, fontsize=8)
    losses = [values.records[arm]["nll"].values.mean() for arm in arms]
    names = [f"{label(arm)}\nloss {loss:.3g}" for arm, loss in zip(arms, losses, strict=True)]
    axes.set_xticks(range(len(arms)), names)
    axes.margins(y=0.15)
    axes.set_ylabel("massive values per text")
    axes.set_title("The same weights with the rotation rescaled")
    legend(figure)
    return figure


def loss_by_position(found: Positions) -> Figure:
    """Loss by position in the RoPE arm and in its rescaled arms: means over texts and runs of positions."""
    figure, axes = canvas()
    for arm in found.arms:
        middles, losses = found.course(arm)
        colour = COLOURS.get(arm) or OF_RESCALED[arm]
        axes.plot(middles, losses, marker="o", markersize=2, linewidth=1, color=colour, label=found.label(arm))
    if found.length is not None and found.length < middles[-1]:
        axes.axvline(found.length, color="#444444", linestyle="--", linewidth=0.8, label="trained length")
    axes.set_xlabel("position, tokens")
    axes.set_ylabel("loss, nats per token")
    axes.set_title("Loss by position")
    legend(figure)
    return figure


def lorenz_curves(values: MassiveValues, name: Name) -> Figure:
    """Lorenz curves of the norms of one tensor in both arms: mean over layers and texts."""
    figure, axes = canvas()
    axes.plot([0, 1], [0, 1], color="#999999", linewidth=0.8)
    for arm in main_arms(values.arms):
        curve = lorenz(values.norms(arm, name)).mean((0, 1))
        named = f"{values.label(arm)}, Gini {values.gini(arm, name).mean():.3f}"
        points = np.unique(np.linspace(0, len(curve) - 1, 400).astype(int))  # enough for the eye
        axes.plot(points / (len(curve) - 1), curve[points], color=COLOURS[arm], label=named)
    axes.set_title(f"How evenly {name} norms are spread (Lorenz curves)")
    axes.set_xlabel("share of channels, smallest first")
    axes.set_ylabel("share of the sum of norms")
    legend(figure)
    return figure


def overlap_per_layer(values: MassiveValues, name: Name) -> Figure:
    """Where the massive channels of the RoPE arm are in the DroPE arm: share kept and Jaccard index, per layer.

    Raises ValueError where no channel is massive in either arm.
    """
    kept, jaccard = values.overlap(name)
    if np.isnan(jaccard).all():
        raise ValueError(f"no {name} channel is massive in either arm")
    figure, axes = canvas()
    layers = np.arange(len(kept))
    treatment = values.label("drope")
    both = {f"kept under {treatment}": (kept, -0.2, COLOURS["rope"]), "Jaccard index": (jaccard, 0.2, "#8899aa")}
    for named, (shares, offset, colour) in both.items():
        if len(layers) <= MANY_LAYERS:
            axes.bar(layers + offset, np.nan_to_num(shares), 0.38, color=colour, label=named)
        else:  # bars would be hairs
            edges = np.arange(len(layers) + 1) - 0.5
            axes.stairs(np.nan_to_num(shares), edges, color=colour, linewidth=1.6, label=named)
    for layer in layers[np.isnan(jaccard)] if len(layers) <= MANY_LAYERS else ():
        axes.text(layer, 0.01, "none", ha="center", va="bottom", fontsize=7, color="#666666")
    axes.set_ylim(0, 1)
    axes.set_title(f"Massive {name} channels of RoPE under {treatment}")
    layer_axis(axes, len(layers))
    legend(figure)
    return figure


def reliance_over_steps(trajectory: Trajectory) -> Figure:
    """What zeroing the massive channels costs at every checkpoint; a thin line is one text."""
    figure, axes = canvas()
    nats = trajectory.reliance()
    rope = trajectory.disruptions[0].massive("rope").mean()
    axes.plot(trajectory.steps, nats.T, color="#3b6fb6", linewidth=0.5, alpha=0.35)
    axes.plot(trajectory.steps, nats.mean(0), marker="o", markersize=3, color="#3b6fb6", label="mean")
    if not trajectory.disruptions[0].other_tokens:
        axes.axhline(rope, color="#444444", linestyle="--", linewidth=0.8, label="RoPE")
    _step_axis(axes, trajectory.steps, f"recalibration, {trajectory.unit}")
    axes.set_ylabel("rise of the loss, nats per token")
    axes.set_title("Reliance on massive values along recalibration")
    legend(figure)
    return figure


def recovery(found: Recovery, trajectory: Trajectory | None = None) -> Figure:
    """Share of the loss that is recovered at every checkpoint: 0 with the rotation dropped, 100 as in the RoPE arm.

    Where there is no series, a single point is the treatment. Raises NoSubject where dropping the rotation costs
    nothing.
    """
    figure, axes = canvas()
    last = found.recovered().value
    if trajectory is None:
        steps, course = [0], [last]
        axes.set_xticks([0], [found.label("drope")])
    else:
        each = [Recovery({**found.records, "drope": values.records["drope"]}) for values in trajectory.values]
        steps, course = [0, *trajectory.steps], [0.0, *(at.recovered().value for at in each)]
        _step_axis(axes, steps, f"{trajectory.unit} (step 0: the rotation dropped, nothing trained)")
    _line(axes, steps, course, COLOURS["drope"], f"{found.label('drope')}: {last:.4g} %")
    axes.axhline(RECOVERED, color="#444444", linestyle="--", linewidth=0.8, label=f"{RECOVERED} %")
    axes.axhline(100, color=COLOURS["rope"], linewidth=0.8, label="as in RoPE")
    axes.axhline(0, color=COLOURS["dropped"], linewidth=0.8, label="rotation dropped")
    axes.set_ylabel("loss recovered, %")
    axes.set_title("How much of the loss recalibration brings back")
    legend(figure)
    return figure
