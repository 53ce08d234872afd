"""Figures of counts, rotary pairs and damage, from records, as SVG. Without pyplot: no state, no display."""

import io

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lib.definitions import ARMS, NAMES, ranks, slow_half
from lib.effects import Disruption, MassiveValues

COLOURS = {"rope": "#3b6fb6", "drope": "#d9822b"}
TENSORS = {"query": "#3b6fb6", "key": "#d9822b", "value": "#4d9a5b"}
LABELS = {"rope": "RoPE", "drope": "DroPE"}
LEAST_PERCENT = 0.1
"""The smallest increase of perplexity that is drawn on a log scale."""


def counts(values: MassiveValues) -> str:
    """Massive values of Q, K and V in both arms: mean over texts, error bars of one standard deviation.

    Where tensors or arms have different numbers of channels, heights are shares of them; counts stand below.
    """
    figure, axes = canvas()
    uneven = values.uneven
    for offset, arm in zip((-0.2, 0.2), ARMS, strict=True):
        totals = [values.rates(arm, name) if uneven else values.totals(arm, name) for name in NAMES]
        heights = [t.mean() for t in totals]
        spread = [t.std(ddof=1) if len(t) > 1 else 0.0 for t in totals]
        bars = axes.bar(
            np.arange(3) + offset, heights, 0.38, yerr=spread, capsize=4, color=COLOURS[arm], label=LABELS[arm]
        )
        below = [f" %\n({values.totals(arm, name).mean():.4g})" if uneven else "" for name in NAMES]
        labels = [f"{h:.4g}{count}" for h, count in zip(heights, below, strict=True)]
        axes.bar_label(bars, labels=labels, padding=3, fontsize=8)
    axes.set_xticks(range(3), [name.capitalize() for name in NAMES])
    axes.margins(y=0.15)
    axes.set_ylabel("massive values, % of all channels (count)" if uneven else "massive values per text")
    axes.set_title(f"Massive values (n = {len(totals[0])} texts, mean and sd)")
    axes.legend()
    return as_svg(figure)


def slow_share(values: MassiveValues) -> str:
    """Rotary pairs of the RoPE arm's massive Query and Key channels, fast to slow, the slow half shaded.

    Mean over texts, all layers together; the legend says which share of them lies in the slow half.
    """
    figure, axes = canvas()
    frequency = values.frequency("rope")
    rank, slow = ranks(frequency), slow_half(frequency)
    if not slow.any():
        raise ValueError("the RoPE arm has no slow and fast rotary pairs that could be read")
    half = rank[slow].min()
    for name in ("query", "key"):
        pairs = values.per_pair("rope", name)
        share = f"{100 * pairs[half:].sum() / pairs.sum():.3g} % in the slow half" if pairs.any() else "none"
        edges = np.arange(len(pairs) + 1) - 0.5
        axes.stairs(pairs, edges, color=TENSORS[name], linewidth=1.4, label=f"{name.capitalize()}: {share}")
        axes.stairs(pairs, edges, color=TENSORS[name], fill=True, alpha=0.15)
    axes.axvspan(half - 0.5, len(pairs) - 0.5, color="#8899aa", alpha=0.2, linewidth=0)
    axes.set_xlim(-0.5, len(pairs) - 0.5)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("rotary pair, from fast to slow (shaded: the slow half)")
    axes.set_ylabel("massive channels per text")
    axes.set_title("Where on the rotary pairs RoPE has massive values")
    axes.legend()
    return as_svg(figure)


def perplexity(disruption: Disruption) -> str:
    """Perplexity undisturbed, under the control and with the massive channels replaced, both arms, on a log scale."""
    figure, axes = canvas()
    names = ("baseline", "control", "massive")
    for offset, arm in zip((-0.2, 0.2), ARMS, strict=True):
        nll = disruption.records[arm]["nll"]
        baseline = nll.sel(condition="baseline").values
        losses = np.stack([baseline, baseline + disruption.control(arm), nll.sel(condition="massive").values])
        low, middle, high = (np.exp(losses.mean(1) + k * losses.std(1)) for k in (-1, 0, 1))
        bars = axes.bar(
            np.arange(3) + offset,
            middle,
            0.38,
            yerr=[middle - low, high - middle],
            capsize=4,
            color=COLOURS[arm],
            label=LABELS[arm],
        )
        axes.bar_label(bars, labels=[f"{p:.4g}" for p in middle], padding=3, fontsize=8)
    axes.set_yscale("log")
    axes.margins(y=0.15)
    axes.set_xticks(range(3), names)
    axes.set_ylabel("perplexity (log scale)")
    axes.set_title(f"Disruption (n = {losses.shape[1]} held-out texts, geometric mean and sd)")
    axes.legend()
    return as_svg(figure)


def damage_by_kind(disruption: Disruption) -> str:
    """Increase of perplexity with the massive channels zeroed, on a log scale: a dot is a text, a line a kind's mean.

    A text that loses nothing cannot be shown on a log scale; it is drawn at the bottom.
    """
    figure, axes = canvas()
    for offset, arm in zip((-0.16, 0.16), ARMS, strict=True):
        kinds = disruption.percent_by_kind(arm)
        for place, percent in enumerate(kinds.values()):
            across = place + offset + np.linspace(-0.1, 0.1, len(percent))
            axes.plot(across, np.maximum(percent, LEAST_PERCENT), ".", color=COLOURS[arm], alpha=0.6)
            axes.hlines(max(percent.mean(), LEAST_PERCENT), place + offset - 0.14, place + offset + 0.14, COLOURS[arm])
        axes.plot([], [], ".", color=COLOURS[arm], label=LABELS[arm])
    axes.set_yscale("log")
    axes.set_xticks(range(len(kinds)), kinds)
    axes.set_ylabel("increase of perplexity, % (log scale)")
    axes.set_title("Damage by kind of text, massive channels zeroed")
    axes.legend()
    return as_svg(figure)


def rank_agreement(values: MassiveValues) -> str:
    """Spearman's rho of row norms and measured norms in every layer of the RoPE arm: mean over texts."""
    figure, axes = canvas()
    for name, colour in (("query", COLOURS["rope"]), ("key", COLOURS["drope"])):
        rho = values.rank_agreement_per_layer("rope", name).mean(0)
        axes.plot(np.arange(len(rho)), rho, marker="o", markersize=3, color=colour, label=name)
    axes.set_ylim(-1.05, 1.05)
    axes.axhline(0, color="#999999", linewidth=0.8)
    layer_axis(axes, np.arange(len(rho)))
    axes.set_ylabel("Spearman's rho")
    axes.set_title("Do the weights' row norms rank channels like their norms?")
    axes.legend()
    return as_svg(figure)


def canvas() -> tuple[Figure, Axes]:
    """A figure of one plot."""
    figure = Figure(figsize=(6.4, 3.8), layout="constrained")
    return figure, clean(figure.subplots())


def clean(axes: Axes) -> Axes:
    """The axes without a frame above and on the right."""
    axes.spines[["top", "right"]].set_visible(False)
    return axes


def layer_axis(axes: Axes, layers: np.ndarray) -> None:
    """Layers from left to right, labelled as far as there is room."""
    axes.set_xticks(layers[:: max(1, len(layers) // 16)])
    axes.set_xlabel("layer")


def as_svg(figure: Figure) -> str:
    """The figure as SVG text, the same for the same data."""
    if layout := figure.get_layout_engine():
        # its solver's last digits differ from one time to the next, and names within the SVG are made from all digits
        layout.execute(figure)
        figure.set_layout_engine("none")
        for axes in figure.axes:
            axes.set_position(np.round(axes.get_position(original=True).bounds, 6))
    out = io.StringIO()
    with rc_context({"svg.hashsalt": "claims", "svg.fonttype": "none", "font.family": "sans-serif"}):
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    return out.getvalue()
