"""The figure of what the rotation does to counts: channels and rotary pairs, before it and at attention."""

import numpy as np
from matplotlib.figure import Figure

from lib.effects import AFTER, BEFORE, MassiveValues, massive_pairs, where_it_rotates
from lib.reporting.figures.figures import canvas, legend

COLOURS = {BEFORE: "#3b6fb6", AFTER: "#d9822b"}
LABELS = {BEFORE: "before the rotation", AFTER: "at attention"}


def sites(values: MassiveValues) -> Figure:
    """Massive channels and massive rotary pairs of query and key at both sites, in layers that rotate.

    Mean and standard deviation over texts.
    """
    turning = where_it_rotates(values)
    figure, axes = canvas()
    kinds = {"channels": turning.totals, "rotary pairs": lambda site, name: massive_pairs(turning, site, name)}
    bars = [(f"{name.capitalize()},\n{kind}", kinds[kind], name) for name in ("query", "key") for kind in kinds]
    for offset, site in ((-0.2, BEFORE), (0.2, AFTER)):
        found = [count(site, name) for _, count, name in bars]
        places, means = np.arange(len(bars)) + offset, [counts.mean() for counts in found]
        errors = [counts.std(ddof=1) for counts in found]
        axes.bar(places, means, 0.38, yerr=errors, color=COLOURS[site], label=LABELS[site], capsize=3)
    axes.set_xticks(range(len(bars)), [label for label, *_ in bars])
    axes.set_ylabel("massive, per text")
    axes.set_title("The rotation spreads a channel over its pair")
    legend(figure)
    return figure
