"""What the threshold decides: counts and verdicts at every threshold and in both scopes, from records; their figure.

The threshold of 5 and the mean of the layer are the study's choice. Records hold norms, so that both can be changed
without a model, and a reader sees which verdicts hang on them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise, product

import numpy as np
import torch
import xarray as xr
from jaxtyping import Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from lib.effects import MassiveValues
from lib.figures import LABELS, TENSORS, clean
from lib.massive import SCOPES, Scope, check_threshold, massive_mask
from lib.taps import NAMES, Name

THRESHOLDS = tuple(2 + quarter / 4 for quarter in range(33))
"""From 2 to 10 in steps of 0.25."""
KEPT = ("verdict", "estimate", "low", "high", "reason")
"""What is kept of a judgement."""

Judged = Mapping[str, Mapping]
STROKES = {"rope": "-", "drope": "--"}
WHOLE = {"layer": "the whole layer", "head": "each head"}
VERDICTS = {"supported": "#8ccf9b", "refuted": "#f0978d", "inconclusive": "#f6cf6b"}
OTHER = "#d5dade"
PANEL, STRIP, BAR = 1.9, 0.33, 0.5
"""Height of a panel and of a strip in inches, and of the bar in its strip."""
BLANK = {"fc": "white", "ec": "none", "pad": 0.3}
ROOM = 0.055
"""Share of the axis that a number takes."""


def curve(
    records: Mapping[str, xr.Dataset],
    judge_at: Callable[[MassiveValues], Judged],
    *,
    thresholds: Sequence[float] = THRESHOLDS,
    scopes: Sequence[Scope] = SCOPES,
) -> dict:
    """Counts and verdicts at every threshold, in every scope; plain JSON values.

    `judge_at` is given the massive values at one threshold in one scope and returns {claim: judgement as a dict}.
    Returns `thresholds` and, for each scope in `scopes`: `counts[arm][name]`, massive channels over all layers, mean
    over texts, one number per threshold; `rates[arm][name]`, the same in percent of the channels, where tensors or arms
    have different numbers of them; `claims[claim]`, the judgement's KEPT entries at every threshold; and
    `flips[claim]`, {"between": [threshold, next threshold], "from": verdict, "to": verdict}, in rising order.
    Raises ValueError for thresholds that do not rise, for one that is not above 1, for norms that are not finite, and
    when `judge_at` judges other claims at one threshold than at the one before.
    """
    if not thresholds or any(low >= high for low, high in pairwise(thresholds)):
        raise ValueError("a curve needs thresholds that rise, each larger than the one before")
    return {"thresholds": list(thresholds), "scopes": {s: _in_scope(records, judge_at, thresholds, s) for s in scopes}}


def counts_at(norms: np.ndarray, thresholds: Sequence[float], scope: Scope) -> Int[np.ndarray, "threshold text layer"]:
    """Massive channels of norms [text, layer, head, dim] at each threshold: exactly as many as `massive_mask` marks.

    A larger threshold marks a subset of what the smallest marks, so only those few channels are looked at again.
    """
    for threshold in thresholds:
        check_threshold(threshold)
    found = torch.from_numpy(norms)
    candidates = massive_mask(found, threshold=min(thresholds), scope=scope)
    wide = found.double()
    # the very mean that massive_mask compares with, to the last bit: a norm may lie exactly at the threshold
    means = wide.mean((-2, -1) if scope == "layer" else (-1,), keepdim=True).expand_as(wide)[candidates].numpy()
    large, places = wide[candidates].numpy(), candidates.nonzero()[:, :2].numpy()
    texts, layers = norms.shape[:2]
    flat = places[:, 0] * layers + places[:, 1]
    counts = [np.bincount(flat[large > threshold * means], minlength=texts * layers) for threshold in thresholds]
    return np.reshape(counts, (len(thresholds), texts, layers))


@dataclass(frozen=True)
class _Counted(MassiveValues):
    """Massive values whose counts are known already, so that no mask is made for them."""

    known: Mapping[tuple[str, Name], np.ndarray] = field(default_factory=dict)

    def counts(self, arm: str, name: Name) -> np.ndarray:
        return self.known[arm, name] if (arm, name) in self.known else super().counts(arm, name)


def _in_scope(records: Mapping[str, xr.Dataset], judge_at: Callable, thresholds: Sequence[float], scope: Scope) -> dict:
    found = {
        (arm, name): counts_at(record[f"{name}_norm"].values, thresholds, scope)
        for arm, record in records.items()
        for name in NAMES
    }
    judged = [
        judge_at(_Counted(records, threshold, scope, {key: counts[i] for key, counts in found.items()}))
        for i, threshold in enumerate(thresholds)
    ]
    claims = list(judged[0])
    for threshold, there in zip(thresholds, judged, strict=True):
        if set(there) != set(claims):
            raise ValueError(f"at the threshold {threshold:g} other claims are judged than at {thresholds[0]:g}")
    means = {arm: {name: found[arm, name].sum(-1).mean(-1).tolist() for name in NAMES} for arm in records}
    kept = {claim: [{key: there[claim][key] for key in KEPT} for there in judged] for claim in claims}
    values = MassiveValues(records)
    rates = {
        arm: {name: [100 * mean / values.size(arm, name) for mean in course] for name, course in of_arm.items()}
        for arm, of_arm in means.items()
    }
    given = {"counts": means, "rates": rates} if values.uneven else {"counts": means}
    return {**given, "claims": kept, "flips": {claim: _flips(kept[claim], thresholds) for claim in claims}}


def _flips(course: list[dict], thresholds: Sequence[float]) -> list[dict]:
    steps = zip(pairwise(thresholds), pairwise(there["verdict"] for there in course), strict=True)
    return [{"between": list(ends), "from": old, "to": new} for ends, (old, new) in steps if old != new]


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
    edges = _edges(thresholds)
    rows[-1].set_xlim(edges[0], edges[-1])
    rows[-1].set_xlabel("threshold, x the mean norm (above a strip: first threshold of the new verdict)", fontsize=9)
    styles = [Line2D([], [], color="#222222", linestyle=stroke, label=LABELS[arm]) for arm, stroke in STROKES.items()]
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
