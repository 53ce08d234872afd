"""The figure of modules: what the output of modules and massive activations are worth."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import SymmetricalLogLocator

from lib.definitions import IN_MODULES
from lib.effects import Modules
from lib.reporting.figures.figures import COLOURS, clean, legend

WORDS = {
    "attention": "attention of layer {}",
    "mlp": "MLP of layer {}",
    "both": "both of layer {}",
    "mlp at first": "MLP of the spike layer,\nfirst position",
    "value at first": "values of all layers,\nfirst position",
    "massive zeroed": "massive activations",
    "massive at mean": "massive activations\nput to their mean",
    "random zeroed": "as many other values\nof the stream",
}
"""What is zeroed in a condition; {} is the number of a layer."""
LINEAR = 0.1
"""Nats up to which the axis is linear; where nothing is lost beyond them, it is so throughout."""


def modules(found: Modules) -> Figure:
    """Rise of the loss in every condition, by arm: a dot is a text, a stroke their mean, the scale linear near 0.

    A condition that an arm lacks has no dots of it, and one that all lack is left out.
    """
    arms = found.arms
    known = {arm: found.records[arm]["nll"]["condition"].values for arm in arms}
    shown = [name for name in IN_MODULES[1:] if any(name in known[arm] for arm in arms)]
    row = max(0.38, 0.16 * len(arms))
    figure = Figure(figsize=(6.4, 1.3 + row * len(shown)), layout="constrained")
    axes = clean(figure.subplots())
    offsets = (np.arange(len(arms)) - (len(arms) - 1) / 2) * 0.8 / max(2, len(arms))
    dots = []
    for arm, offset in zip(arms, offsets, strict=True):
        for place, condition in enumerate(shown):
            if condition in known[arm]:
                nats = found.nats(arm, condition)
                y = place + offset
                dots += axes.plot(nats, np.full(len(nats), y), "o", markersize=3, alpha=0.4, color=COLOURS[arm])
                axes.vlines(nats.mean(), y - 0.1, y + 0.1, color=COLOURS[arm], linewidth=2.5)
    layers = " or ".join(str(number) for number in sorted({int(found.records[arm]["layer"]) for arm in arms}))
    axes.set_yticks(range(len(shown)), [WORDS[name].format(layers) for name in shown])
    axes.set_ylim(len(shown) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0, labelsize=8)
    for border in np.arange(len(shown) - 1) + 0.5:
        axes.axhline(border, color="#e4e4e4", linewidth=0.6)
    axes.axvline(0, color="#999999", linewidth=0.8)
    axes.set_xlabel("rise of the loss, nats per token")
    if max(np.abs(line.get_xdata()).max() for line in dots) > LINEAR:
        axes.set_xscale("symlog", linthresh=LINEAR, linscale=0.5)
        axes.xaxis.set_major_locator(SymmetricalLogLocator(base=10, linthresh=LINEAR, subs=[1, 3]))
        axes.set_xlabel(f"rise of the loss, nats per token (log scale beyond {LINEAR:g})")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_title("What is lost where something is zeroed")
    legend(figure, [_named(found, arm) for arm in arms])
    return figure


def _named(found: Modules, arm: str) -> Line2D:
    label = f"{found.label(arm)} (spike layer {found.spike(arm)})"
    return Line2D([], [], color=COLOURS[arm], marker="o", markersize=4, linewidth=0, label=label)
