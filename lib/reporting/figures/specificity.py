"""The figure of specificity: what replacing massive, next-largest and random channels of equal energy costs."""

import numpy as np
from matplotlib.figure import Figure

from lib.definitions import REPLACED_BY
from lib.effects import GROUPS, Specificity
from lib.reporting.figures.figures import canvas, legend

COLOURS = {"massive": "#b23b3b", "next-largest": "#d9822b", "random": "#3b6fb6"}
HOW = {"zero": "zeroed", "mean": "put to their mean"}


def specificity(found: Specificity) -> Figure:
    """Rise of the loss with each selection replaced, by arm and replacement: a dot is a text, a bar their mean.

    Random channels hold as much energy as the massive ones; a dot is the mean over their draws. The legend has the
    share of the energy, mean over arms.
    """
    figure, axes = canvas()
    groups = [(arm, value) for arm in found.arms for value in REPLACED_BY]
    for i, (group, colour) in enumerate(COLOURS.items()):
        share = np.mean([found.share(arm, selected) for arm in found.arms for selected in GROUPS[group]])
        for j, (arm, value) in enumerate(groups):
            nats = np.mean([found.nats(arm, selected, value) for selected in GROUPS[group]], axis=0)
            place = j + (i - 1) / 4
            label = f"{group}: {share:.3g} % of the energy" if j == 0 else None
            axes.bar(place, nats.mean(), width=0.22, color=colour, alpha=0.5, label=label)
            axes.plot(np.full(len(nats), place), nats, "o", markersize=3, color=colour)
    axes.axhline(0, color="#999999", linewidth=0.8)
    axes.set_xticks(range(len(groups)), [f"{found.label(arm)}, {HOW[value]}" for arm, value in groups])
    axes.set_ylabel("rise of the loss, nats per token")
    axes.set_title("Replacing massive channels and others")
    legend(figure)
    return figure
