"""The figure of the threshold: counts and verdicts at every threshold and in both scopes."""

from collections.abc import Sequence
from itertools import pairwise, product

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from lib.definitions import Scope
from lib.reporting.figures.figures import TENSORS, clean

PANEL, STRIP, BAR = 1.9, 0.33, 0.5
"""Height of a panel and of a strip in inches, and of the bar in its strip."""
STROKES = {"rope": "-", "drope": "--"}
WHOLE = {"layer": "the whole layer", "head": "each head"}
VERDICTS = {"supported": "#8ccf9b", "refuted": "#f0978d", "inconclusive": "#f6cf6b"}
OTHER = "#d5dade"
BLANK = {"fc": "white", "ec": "none", "pad": 0.3}
ROOM = 0.055
"""Share of the axis that a number takes."""


def draw(curve: dict, *, threshold: float, scope: Scope) -> Figure:
    """The figure of a `curve`: for each scope a panel of counts, and below it a strip of verdicts for each claim.

    `threshold` and `scope` are those of the run, which are marked. A tick on a strip is a flip, and the number above it
    the first threshold of the new verdict; where flips lie too close for their numbers, the later tick has none.
    """
    scopes, thresholds = curve["scopes"], curve["thresholds"]
    claims = max(len(there["claims"]) for there in scopes.values())
    heights = [PANEL, max(STRIP * claims, 0.1)]
    figure = Figure(figsize=(6.4, 1.1 + len(scopes) * (0.4 + sum(heights))), layout="constrained")
    rows = figure.subplots(2 * len(scopes), sharex=True, height_ratios=heights * len(scopes))
    for (name, there), panel, strips in zip(scopes.items(), rows[::2], rows[1::2], strict=True):
        _panel(clean(panel), there, thresholds)
        _strips(strips, there, thresholds)
        own = f" (this run, at {threshold:g})" if name == scope else ""
        panel.set_title(f"Mean over {WHOLE[name]}{own}", fontsize=10)
        for axes in (panel, strips):
            axes.axvline(threshold, color="#222222", linestyle="-" if name == scope else ":", linewidth=1, zorder=2)
    labels, edges = curve["labels"], _edges(thresholds)
    rows[-1].set_xlim(edges[0], edges[-1])
    rows[-1].set_xlabel("threshold, x the mean norm (above a strip: first threshold of the new verdict)", fontsize=9)
    styles = [
        Line2D([], [], color="#222222", linestyle=stroke, label=labels[arm])
        for arm, stroke in STROKES.items()
        if arm in labels
    ]
    lines = [Line2D([], [], color=colour, label=name.capitalize()) for name, colour in TENSORS.items()]
    figure.legend(handles=[*lines, *styles], loc="outside upper center", ncols=5, fontsize=9, frameon=False)
    patches = [Patch(color=colour, label=f"{verdict[0].upper()} {verdict}") for verdict, colour in VERDICTS.items()]
    figure.legend(handles=patches, loc="outside lower center", ncols=3, fontsize=9, frameon=False)
    return figure


def _panel(axes: Axes, there: dict, thresholds: Sequence[float]) -> None:
    """Counts, or rates where counts of tensors and arms do not compare."""
    rates = there.get("rates")
    counts, least = (rates, 0.01) if rates else (there["counts"], 1)
    for (arm, stroke), (name, colour) in product(STROKES.items(), TENSORS.items()):
        if arm in counts:
            axes.plot(thresholds, counts[arm][name], color=colour, linestyle=stroke, linewidth=1.4)
    axes.set_yscale("symlog", linthresh=least)  # a logarithm above it, and a place for 0 below
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter("{x:g}")
    axes.tick_params(labelbottom=True)
    axes.grid(axis="y", color="#e4e4e4", linewidth=0.6)
    what = "massive values, % of channels" if rates else "massive values per text"
    axes.set_ylabel(f"{what}\n(log scale above {least:g})", fontsize=9)


def _strips(axes: Axes, there: dict, thresholds: Sequence[float]) -> None:
    """A row per claim, the first on top: a bar per verdict with its letter, ticks and numbers where it flips."""
    edges = _edges(thresholds)
    for row, (claim, course) in enumerate(there["claims"].items()):
        firsts = {thresholds[0]: course[0]["verdict"]}
        firsts |= {flip["between"][1]: flip["to"] for flip in there["flips"][claim]}
        starts = edges[np.searchsorted(thresholds, list(firsts))]
        labelled = -np.inf
        for (first, verdict), start, end in zip(firsts.items(), starts, [*starts[1:], edges[-1]], strict=True):
            letter, colour = (verdict[0].upper(), VERDICTS[verdict]) if verdict in VERDICTS else ("?", OTHER)
            axes.barh(row, end - start, BAR, start, color=colour)
            style = {"ha": "center", "fontsize": 7.5, "zorder": 3}
            axes.text(first, row, letter, va="center_baseline", bbox={"fc": colour, "ec": "none", "pad": 0.3}, **style)
            if start == starts[0]:
                continue
            axes.vlines(start, row - BAR / 2 - 0.1, row + BAR / 2, color="#222222", linewidth=1.2)
            if start - labelled >= ROOM * (edges[-1] - edges[0]):
                axes.text(start, row - BAR / 2 - 0.12, f"{first:g}", va="bottom", bbox=BLANK, **style)
                labelled = start
    axes.set_yticks(range(len(there["claims"])), list(there["claims"]))
    axes.set_ylim(len(there["claims"]) - 0.7, -0.85)
    axes.tick_params(length=0, labelbottom=False)
    axes.spines[:].set_visible(False)


def _edges(thresholds: Sequence[float]) -> np.ndarray:
    """Where the cells of a strip begin and end: halfway between thresholds."""
    middles = [(low + high) / 2 for low, high in pairwise(thresholds)]
    half = (thresholds[1] - thresholds[0]) / 2 if middles else 0.5
    return np.array([thresholds[0] - half, *middles, thresholds[-1] + half])
