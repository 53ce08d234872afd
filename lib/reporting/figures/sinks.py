"""The figure of attention sinks: what the first position gets from every head, and how many heads are sinks."""

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from lib.definitions import SINK, uniform_share
from lib.effects import READ, Sinks
from lib.reporting.figures.figures import clean, layer_axis, layer_ticks, legend
from lib.reporting.figures.heat_maps import MASSIVE, ORDINARY

FEW_ARMS, FEW_LABELS = 2, 4
"""Up to so many maps beside each other, or labels of layers, there is room for all labels."""
COLOURS = {"texts": "#3b6fb6", "random": "#d9822b", "repeated": "#222222"}
LINES = {"texts": "-", "random": "--", "repeated": ":"}


def sink_rates(found: Sinks) -> Figure:
    """Attention of every head to the first position, a map for each arm, and below it the sink rate of every layer.

    A map is of texts, mean over them; warm colours are sinks, and a white stroke beside the map is what uniform
    attention gives. Rates are of texts, of random tokens and of one repeated token, mean over each.
    """
    arms = list(found.records)
    figure = Figure(figsize=(6.4, 5.0), layout="constrained")
    maps, rates = figure.subplots(2, len(arms), squeeze=False, height_ratios=[3, 2])
    for arm, above, below in zip(arms, maps, rates, strict=True):
        drawn = _map(above, found.shares(arm, "texts").mean(0))
        above.set_title(found.label(arm), fontsize=10)
        _rates(clean(below), found, arm)
        for axes in (above, below):
            axes.tick_params(labelsize=8)
            if len(arms) > FEW_ARMS and len(axes.get_xticks()) > FEW_LABELS:
                axes.set_xticks(axes.get_xticks()[::2])
    maps[0].set_ylabel("head (on texts)", fontsize=9)
    rates[0].set_ylabel("sinks, % of a layer's heads", fontsize=9)
    bar = figure.colorbar(drawn, ax=maps, ticks=[0, 100 * SINK, 100])
    bar.set_label("attention to position 0, %\n(white: uniform attention)", fontsize=9)
    for tokens in {int(record["tokens"]) for record in found.records.values()}:
        bar.ax.axhline(100 * uniform_share(tokens), color="white", linewidth=1.5)
    words = dict.fromkeys(found.chance(arm) for arm in arms)
    figure.supxlabel("; ".join(words), fontsize=8)
    legend(figure, rates[0].get_legend_handles_labels()[0])
    return figure


def _map(axes: Axes, shares: np.ndarray) -> AxesImage:
    """One map of the shares of heads [layer, head] in percent."""
    drawn = axes.imshow(
        shares.T, cmap=_colours(), vmin=0, vmax=100, aspect="auto", origin="lower", interpolation="none"
    )
    layers, heads = shares.shape
    axes.set_xticks(layer_ticks(layers))
    axes.set_yticks(layer_ticks(heads))
    axes.set_xlabel("layer", fontsize=9)
    axes.spines[:].set_visible(False)
    return drawn


def _colours() -> ListedColormap:
    """A colour for each percent, those of sinks apart from all others."""
    least = round(100 * SINK)
    parts = ((*ORDINARY, least), (*MASSIVE, 100 - least))
    return ListedColormap(np.concatenate([colormaps[name](np.linspace(low, high, n)) for name, low, high, n in parts]))


def _rates(axes: Axes, found: Sinks, arm: str) -> None:
    for inputs, what in READ.items():
        rate = found.by_layer(arm, inputs).mean(0)
        style = {"color": COLOURS[inputs], "linestyle": LINES[inputs], "linewidth": 1.4}
        axes.plot(np.arange(len(rate)), rate, marker="o", markersize=2, label=what, **style)
    axes.set_ylim(-4, 104)
    layer_axis(axes, len(rate))
    axes.xaxis.label.set_fontsize(9)
