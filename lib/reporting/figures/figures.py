"""Figures of counts, rotary pairs and damage, from records. Without pyplot: no state, no display."""

import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lib.definitions import ARMS, NAMES, ranks, slow_half
from lib.effects import Disruption, MassiveValues, need_perplexity

COLOURS = {"rope": "#3b6fb6", "drope": "#d9822b", "dropped": "#7d4316", "continued": "#7fb2e5"}
"""Of arms. What was trained with the same rotation differs in lightness, and the others also in hue."""
TENSORS = {"query": "#3b6fb6", "key": "#d9822b", "value": "#4d9a5b"}
MANY_LAYERS = 40
"""Beyond so many layers there is no room for words beside one."""
LINE, SAMPLE = 80, 6
"""About so many letters of a legend fit beside each other; as many as a sample of a line takes."""
NAME = 20
"""Letters of a name of others that are shown."""
FONTS = ["DejaVu Sans", "Arial", "sans-serif"]
"""Every word of an SVG repeats them, so there are few."""
PLACED = re.compile(r'(?<= )((?:d|x|y|x1|x2|y1|y2|width|height)=")([^"]*)"')
LEAST_PERCENT = 0.1
"""The smallest increase of perplexity that is drawn on a log scale."""


def counts(values: MassiveValues) -> Figure:
    """Massive values of Q, K and V in each main arm: mean over texts, error bars of one standard deviation.

    Where tensors or arms have different numbers of channels, heights are shares of them; counts stand below.
    """
    figure, axes = canvas()
    uneven = values.uneven
    for offset, arm in _beside(values.arms):
        totals = [values.rates(arm, name) if uneven else values.totals(arm, name) for name in NAMES]
        heights = [t.mean() for t in totals]
        spread = [t.std(ddof=1) if len(t) > 1 else 0.0 for t in totals]
        bars = axes.bar(
            np.arange(3) + offset, heights, 0.38, yerr=spread, capsize=4, color=COLOURS[arm], label=values.label(arm)
        )
        below = [f" %\n({values.totals(arm, name).mean():.4g})" if uneven else "" for name in NAMES]
        labels = [f"{h:.4g}{count}" for h, count in zip(heights, below, strict=True)]
        axes.bar_label(bars, labels=labels, padding=3, fontsize=8)
    axes.set_xticks(range(3), [name.capitalize() for name in NAMES])
    axes.margins(y=0.15)
    axes.set_ylabel("massive values, % of all channels (count)" if uneven else "massive values per text")
    axes.set_title(f"Massive values (n = {len(totals[0])} texts, mean and sd)")
    legend(figure)
    return figure


def _beside(arms: Sequence[str], offset: float = 0.2) -> list[tuple[float, str]]:
    """The main arms of a figure and how far each stands from the middle; one arm alone stands in it."""
    shown = main_arms(arms)
    return list(zip((-offset, offset) if len(shown) > 1 else (0.0,), shown, strict=True))


def main_arms(arms: Sequence[str]) -> list[str]:
    """The main arms among those of a subject: both, or the RoPE arm alone."""
    return [arm for arm in ARMS if arm in arms]


def slow_share(values: MassiveValues) -> Figure:
    """Rotary pairs of the RoPE arm's massive Query and Key channels, fast to slow, the slow half shaded.

    Mean over texts, all layers together; the legend says which share of them lies in the slow half.
    """
    figure, axes = canvas()
    frequency = values.frequency("rope")
    rank, slow = ranks(frequency), slow_half(frequency)
    if not slow.any():
        raise ValueError("the RoPE arm has no slow and fast rotary pairs that could be read")
    per_pair = {name: values.per_pair("rope", name) for name in ("query", "key")}
    if not any(pairs.any() for pairs in per_pair.values()):
        raise ValueError("no query or key channel of the RoPE arm is massive")
    half = rank[slow].min()
    for name, pairs in per_pair.items():
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
    legend(figure)
    return figure


def perplexity(disruption: Disruption) -> Figure:
    """Perplexity undisturbed, under the control and with the massive channels replaced, both arms, on a log scale."""
    figure, axes = canvas()
    names = ("baseline", "control", "massive")
    for offset, arm in _beside(disruption.arms):
        nll = disruption.records[arm]["nll"]
        baseline = nll.sel(condition="baseline").values
        losses = np.stack([baseline, baseline + disruption.control(arm), nll.sel(condition="massive").values])
        need_perplexity(arm, losses.mean(1) + losses.std(1))
        low, middle, high = (np.exp(losses.mean(1) + k * losses.std(1)) for k in (-1, 0, 1))
        bars = axes.bar(
            np.arange(3) + offset,
            middle,
            0.38,
            yerr=[middle - low, high - middle],
            capsize=4,
            color=COLOURS[arm],
            label=disruption.label(arm),
        )
        axes.bar_label(bars, labels=[f"{p:.4g}" for p in middle], padding=3, fontsize=8)
    axes.set_yscale("log")
    axes.margins(y=0.15)
    axes.set_xticks(range(3), names)
    axes.set_ylabel("perplexity (log scale)")
    axes.set_title(f"Disruption (n = {losses.shape[1]} held-out texts, geometric mean and sd)")
    legend(figure)
    return figure


def damage_by_kind(disruption: Disruption) -> Figure:
    """Increase of perplexity with the massive channels zeroed, on a log scale: a dot is a text, a line a kind's mean.

    A text that loses nothing cannot be shown on a log scale; it is drawn at the bottom.
    """
    figure, axes = canvas()
    for offset, arm in _beside(disruption.arms, 0.16):
        kinds = disruption.percent_by_kind(arm)
        for place, percent in enumerate(kinds.values()):
            across = place + offset + np.linspace(-0.1, 0.1, len(percent))
            axes.plot(across, np.maximum(percent, LEAST_PERCENT), ".", color=COLOURS[arm], alpha=0.6)
            axes.hlines(max(percent.mean(), LEAST_PERCENT), place + offset - 0.14, place + offset + 0.14, COLOURS[arm])
        axes.plot([], [], ".", color=COLOURS[arm], label=disruption.label(arm))
    axes.set_yscale("log")
    # of a name that others gave no letter is a formula
    axes.set_xticks(range(len(kinds)), [_short(kind) for kind in kinds], parse_math=False)
    axes.set_ylabel("increase of perplexity, % (log scale)")
    axes.set_title("Damage by kind of text, massive channels zeroed")
    legend(figure)
    return figure


def _short(name: str) -> str:
    """A name for which there is room below an axis."""
    return name if len(name) <= NAME else f"{name[: NAME - 2]} .."


def rank_agreement(values: MassiveValues) -> Figure:
    """Spearman's rho of row norms and measured norms in every layer of the RoPE arm: mean over texts."""
    figure, axes = canvas()
    for name, colour in (("query", COLOURS["rope"]), ("key", COLOURS["drope"])):
        rho = values.rank_agreement_per_layer("rope", name).mean(0)
        axes.plot(np.arange(len(rho)), rho, marker="o", markersize=3, color=colour, label=name)
    axes.set_ylim(-1.05, 1.05)
    axes.axhline(0, color="#999999", linewidth=0.8)
    layer_axis(axes, len(rho))
    axes.set_ylabel("Spearman's rho")
    axes.set_title("Do the weights' row norms rank channels like their norms?")
    legend(figure)
    return figure


def canvas() -> tuple[Figure, Axes]:
    """A figure of one plot."""
    figure = Figure(figsize=(6.4, 3.8), layout="constrained")
    return figure, clean(figure.subplots())


def clean(axes: Axes) -> Axes:
    """The axes without a frame above and on the right."""
    axes.spines[["top", "right"]].set_visible(False)
    return axes


def legend(figure: Figure, handles: Sequence | None = None) -> None:
    """The legend of a figure, above its axes, so that it covers nothing; what is longer than a line takes several."""
    found = handles or [handle for axes in figure.axes for handle in axes.get_legend_handles_labels()[0]]
    widest = max((len(handle.get_label()) + SAMPLE for handle in found), default=LINE)
    columns = max(1, min(len(found), LINE // widest))
    figure.legend(handles=found, loc="outside upper center", ncols=columns, fontsize=9, frameon=False)


def layer_axis(axes: Axes, number: int) -> None:
    """Layers 0 to `number` - 1 from left to right, labelled as far as there is room."""
    axes.set_xlim(-0.6, number - 0.4)
    axes.set_xticks(layer_ticks(number))
    axes.set_xlabel("layer")


def layer_places(axes: Axes, numbers: Sequence[int]) -> list[np.ndarray]:
    """Where the layers of several arms stand from left to right; the axis is labelled.

    Arms of different depth stand side by side from 0 to 1.
    """
    if len(set(numbers)) > 1:
        axes.set_xlabel("depth: the middle of a layer, from the first (0) to the last (1)")
        return [(np.arange(number) + 0.5) / number for number in numbers]
    layer_axis(axes, numbers[0])
    return [np.arange(number) for number in numbers]


def layer_ticks(number: int) -> np.ndarray:
    """Every layer, or every second, fifth, tenth and so on: labels for at most twelve."""
    steps = (digit * 10**power for power in count() for digit in (1, 2, 5))
    return np.arange(0, number, next(step for step in steps if number <= 12 * step))


def apart(places: Sequence[float], room: float = 0.1) -> list[float]:
    """The last of the rising places, and those before it that keep a share of the whole axis between each other."""
    least, kept = room * (places[-1] - places[0]), [places[-1]]
    for place in reversed(places[:-1]):
        if kept[-1] - place >= least:
            kept.append(place)
    return kept[::-1]


def as_svg(figure: Figure) -> str:
    """The figure as SVG text, the same for the same data."""
    with _any_letters():
        return _slim(_drawn_as_svg(figure))


def _drawn_as_svg(figure: Figure) -> str:
    if layout := figure.get_layout_engine():
        # its solver's last digits differ from one time to the next, and names within the SVG are made from all digits
        layout.execute(figure)
        figure.set_layout_engine("none")
        for axes in figure.axes:
            axes.set_position(np.round(axes.get_position(original=True).bounds, 6))
    out = io.StringIO()
    fonts = {"font.family": "sans-serif", "font.sans-serif": FONTS}
    with rc_context({"svg.hashsalt": "claims", "svg.fonttype": "none", **fonts}):
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    return out.getvalue()


def as_png(figure: Figure, dpi: float = 150) -> bytes:
    """The figure as a PNG file."""
    out = io.BytesIO()
    with _any_letters():
        figure.savefig(out, format="png", dpi=dpi, metadata={"Software": None})
    return out.getvalue()


@contextmanager
def _any_letters() -> Iterator[None]:
    """Within the block, a letter that the font lacks is no warning: SVG leaves it to the browser, PNG draws a box."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
        yield


def _slim(svg: str) -> str:
    """The same picture in half the letters: hundredths of a point are finer than any screen, turns by 0 do nothing."""
    svg = re.sub(r"\s*<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' transform="rotate\(-?0 [^"]*\)"', "", svg)
    svg = PLACED.sub(lambda found: f'{found[1]}{re.sub("-?[0-9]+[.][0-9]+", _hundredths, found[2])}"', svg)
    return re.sub("\n *", "\n", svg)


def _hundredths(number: re.Match) -> str:
    return f"{round(float(number[0]), 2) + 0.0:g}"
