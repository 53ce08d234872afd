"""Figures of counts layer by layer in both arms, from records."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lib.definitions import ARMS, Name
from lib.effects import MassiveValues
from lib.reporting.figures.figures import COLOURS, MANY_LAYERS, canvas, layer_axis, layer_places, legend, main_arms

MARKED_LAYER = 1
"""The layer the study singles out."""


def query_per_layer(values: MassiveValues) -> Figure:
    """Massive Query values layer by layer in both arms, the difference shaded."""
    return _per_layer(values, "query")


def value_per_layer(values: MassiveValues) -> Figure:
    """Massive Value values layer by layer in both arms, drawn like those of Query."""
    return _per_layer(values, "value")


def _per_layer(values: MassiveValues, name: Name) -> Figure:
    """Counts, or shares of a layer's channels where these differ; arms of different depth side by side from 0 to 1.

    Raises ValueError where no channel is massive in either arm: two lines at 0 show nothing.
    """
    arms = main_arms(values.arms)
    if not any(values.totals(arm, name).any() for arm in arms):
        raise ValueError(f"no {name} channel is massive in {'either' if len(arms) > 1 else 'the'} arm")
    figure, axes = canvas()
    uneven = values.uneven
    lines = {arm: (values.layer_rates if uneven else values.counts)(arm, name).mean(0) for arm in arms}
    for places, (arm, line) in zip(layer_places(axes, [*map(len, lines.values())]), lines.items(), strict=True):
        label = values.label(arm) + (_counted(values, arm, name) if uneven else "")
        axes.plot(places, line, marker="o", markersize=3, color=COLOURS[arm], label=label)
    if len(lines) > 1 and not values.other_layers():
        rope, drope = lines.values()
        for where, arm in ((rope >= drope, "rope"), (rope <= drope, "drope")):
            axes.fill_between(places, rope, drope, where=where, interpolate=True, color=COLOURS[arm], alpha=0.2)
    channels = {values.channels(name, arm) for arm in arms}
    if uneven and len(channels) == 1:
        _second_axis(axes, channels.pop() / 100, "channels")
    axes.set_ylabel(f"massive {name}, % of a layer's channels" if uneven else f"massive {name} channels")
    axes.set_title(f"{name.capitalize()}, layer by layer")
    legend(figure)
    return figure


def _counted(values: MassiveValues, arm: str, name: Name) -> str:
    """How many massive channels of how many, for a legend."""
    size = f"{values.layers(arm)} x {values.channels(name, arm)}"
    return f": {values.totals(arm, name).mean():.4g} of {size} channels"


def change_per_layer(values: MassiveValues) -> Figure:
    """Change of the Query count from RoPE to DroPE in every layer, layer 1 marked.

    Counts of arms of different shape are scaled to a layer of the RoPE arm. Raises ValueError for arms with different
    numbers of layers, and where no query channel is massive in either arm.
    """
    if reason := values.other_layers():
        raise ValueError(reason)
    if not any(values.totals(arm, "query").any() for arm in ARMS):
        raise ValueError("no query channel is massive in either arm")
    figure, axes = canvas()
    change = values.change_per_layer("query").astype(float)
    layers = np.arange(change.shape[1])
    colours = [COLOURS["drope"] if layer == MARKED_LAYER else "#8899aa" for layer in layers]
    spread = change.std(0, ddof=1) if len(change) > 1 else np.zeros(len(layers))
    axes.bar(layers, change.mean(0), yerr=spread, capsize=2 * (len(layers) <= MANY_LAYERS), color=colours)
    axes.axhline(0, color="black", linewidth=0.8)
    if len(layers) > MARKED_LAYER:
        tip = (MARKED_LAYER, change.mean(0)[MARKED_LAYER])
        axes.annotate("layer 1", tip, xytext=(12, 10), textcoords="offset points", arrowprops={"arrowstyle": "->"})
    axes.margins(y=0.15)
    layer_axis(axes, len(layers))
    axes.set_ylabel(f"{values.label('drope')} minus RoPE, massive query values")
    axes.set_title("Change of Query per layer")
    if values.uneven:
        channels = values.channels("query")
        _second_axis(axes, 100 / channels, f"% of the {channels} channels of RoPE's layer")
    return figure


def _second_axis(axes: Axes, factor: float, label: str) -> None:
    """The same heights times a factor, on the right."""
    axis = axes.secondary_yaxis("right", functions=(lambda height: height * factor, lambda height: height / factor))
    axis.set_ylabel(label)
