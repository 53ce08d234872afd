"""Figures of the residual stream: its norms, what attention adds to it, and the norms of the states of attention."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D

from lib.definitions import NAMES
from lib.effects import Stream
from lib.reporting.figures.figures import COLOURS, canvas, clean, layer_places, layer_ticks, legend

COLUMN, GAP = 0.15, 0.04
"""Widths of the column of the first position and of the gap behind it, as shares of a text."""
FEW_LAYERS = 12
"""Up to so many layers there is room for the labels of the embeddings and of layer 0."""
FEW_ARMS = 2
"""Up to so many maps beside each other there is room for a label in the middle of a text."""


def stream_norms(found: Stream) -> Figure:
    """Norm of the residual stream by layer and position, a map for each arm, colours on one log scale: mean over texts.

    The lowest row are the embeddings, each other one lies behind a layer. The first position is a column of its own;
    of the others, each column is the mean over a run of positions. Raises ValueError where all norms are zero.
    """
    norms = {arm: found.norms(arm).mean(0) for arm in found.records}
    positive = np.concatenate([of_arm[of_arm > 0] for of_arm in norms.values()])
    if not positive.size:
        raise ValueError("the residual stream is zero everywhere")
    scale = LogNorm(positive.min(), positive.max())
    figure = Figure(figsize=(6.4, 3.8), layout="constrained")
    panels = figure.subplots(1, len(norms), squeeze=False)[0]
    for axes, (arm, of_arm) in zip(panels, norms.items(), strict=True):
        drawn = _map(axes, of_arm, int(found.records[arm]["tokens"]), scale)
        axes.set_title(found.label(arm), fontsize=10)
        if len(norms) > FEW_ARMS:
            axes.set_xticks(axes.get_xticks()[::2], [label.get_text() for label in axes.get_xticklabels()[::2]])
    panels[0].set_ylabel("behind layer (emb.: the embeddings)")
    figure.colorbar(drawn, ax=panels, label="norm (log scale)")
    figure.suptitle("Residual stream: norm by layer and position", fontsize="large")
    return figure


def _map(axes: Axes, norms: np.ndarray, tokens: int, scale: LogNorm) -> AxesImage:
    """One map of norms [stream, run]."""
    layers = len(norms) - 1
    low, high = -1.5, layers - 0.5
    left, right = 1 - (COLUMN + GAP) * tokens, 1 - GAP * tokens
    # pictures: a path for each cell would make a page of megabytes
    how = {"norm": scale, "cmap": "viridis", "aspect": "auto", "origin": "lower", "interpolation": "none"}
    axes.imshow(norms[:, :1], extent=(left, right, low, high), **how)
    drawn = axes.imshow(norms[:, 1:], extent=(1, tokens, low, high), **how)
    axes.set_xlim(left, tokens)
    axes.set_ylim(low, high)
    axes.set_xticks([(left + right) / 2, tokens / 2, tokens - 0.5], ["0", str(tokens // 2), str(tokens - 1)])
    shown = layer_ticks(layers) if layers <= FEW_LAYERS else layer_ticks(layers)[1:]
    axes.set_yticks([-1, *shown], ["emb.", *map(str, shown)])
    axes.tick_params(labelsize=8)
    axes.set_xlabel("position", fontsize=9)
    axes.spines[:].set_visible(False)
    return drawn


def module_shares(found: Stream) -> Figure:
    """Attention's share of what each layer adds to the stream, a line for each arm: mean over texts.

    Dashed is the same without the first position.
    """
    figure, axes = canvas()
    shares = {arm: found.shares(arm).mean(0) for arm in found.records}
    for places, (arm, share) in zip(layer_places(axes, [*map(len, shares.values())]), shares.items(), strict=True):
        rest = found.shares(arm, first=False).mean(0)
        axes.plot(places, share, marker="o", markersize=3, color=COLOURS[arm], label=found.label(arm))
        axes.plot(places, rest, linestyle="--", linewidth=1, color=COLOURS[arm])
    axes.set_ylim(-2, 102)
    axes.set_ylabel("attention's share of what is added, %")
    axes.set_title("What attention adds to the stream, and not the MLP")
    dashed = Line2D([], [], color="#666666", linestyle="--", linewidth=1, label="without position 0")
    legend(figure, [*axes.get_legend_handles_labels()[0], dashed])
    return figure


def state_norms(found: Stream) -> Figure:
    """Norm of Query, Key and Value states by layer on a log scale, a line for each arm: mean over texts and positions.

    A layer whose states are zero has no point. Raises ValueError where all are.
    """
    figure = Figure(figsize=(6.4, 3.8), layout="constrained")
    panels = figure.subplots(1, len(NAMES), sharey=True)
    arms = list(found.records)
    numbers = [found.layers(arm) for arm in arms]
    for axes, name in zip(panels, NAMES, strict=True):
        for arm, places in zip(arms, layer_places(clean(axes), numbers), strict=True):
            lengths = found.lengths(arm, name).mean(0)
            line = np.where(lengths > 0, lengths, np.nan)
            axes.plot(places, line, marker="o", markersize=3, color=COLOURS[arm], label=found.label(arm))
        axes.set_title(name.capitalize(), fontsize=10)
        axes.set_xlabel("layer" if len(set(numbers)) == 1 else "depth, from 0 to 1")
        axes.tick_params(labelsize=8)
    if not any(np.isfinite(line.get_ydata()).any() for axes in panels for line in axes.lines):
        raise ValueError("all query, key and value states are zero")
    panels[0].set_yscale("log")
    panels[0].set_ylabel("norm of a position's states (log scale)")
    legend(figure, panels[0].get_legend_handles_labels()[0])
    return figure
