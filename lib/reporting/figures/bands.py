"""The figure of slow against fast channels: what zeroing either costs every text."""

import numpy as np
from matplotlib.figure import Figure

from lib.definitions import BANDS
from lib.effects import Bands
from lib.reporting.figures.figures import canvas, legend

COLOURS = {"slow": "#3b6fb6", "fast": "#d9822b"}


def bands(found: Bands) -> Figure:
    """Rise of the loss with slow and with fast channels zeroed: a dot is a text, a line joins its two, a bar is a mean.

    Texts from the least to the most that slow channels cost more than fast ones.
    """
    figure, axes = canvas()
    rises = {band: found.nats(band) for band in BANDS}
    order = np.argsort(rises["slow"] - rises["fast"], kind="stable")
    places = np.arange(len(order))
    axes.vlines(places, rises["fast"][order], rises["slow"][order], color="#8899aa", linewidth=0.8)
    for band, colour in COLOURS.items():
        mean = rises[band].mean()
        label = f"{band}: {mean:+.3g} ({found.zeroed(band)} channels)"
        axes.plot(places, rises[band][order], "o", markersize=4, color=colour, label=label)
        axes.axhline(mean, color=colour, linewidth=1, linestyle="dashed")
    axes.axhline(0, color="#999999", linewidth=0.8)
    axes.set_xticks([])
    axes.set_xlabel("held-out texts")
    axes.set_ylabel("rise of the loss, nats per token")
    axes.set_title("Zeroing slow and as many fast channels of RoPE")
    legend(figure)
    return figure
