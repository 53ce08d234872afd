"""The figures on the page: pictures with alternative text, and heat maps whose layer the reader chooses."""

import base64
from collections.abc import Mapping
from html import escape

from lib.definitions import label
from lib.reporting import figures


def gallery(pictures: Mapping[str, tuple[str, str]]) -> str:
    """All figures of the run under the headings of their groups, each once; claims show theirs by pointing here."""
    if not pictures:
        return ""
    groups: dict[str, str] = {}
    for name, (svg, words) in pictures.items():
        if svg:
            group = figures.GROUPS.get(name, "Other")
            groups[group] = groups.get(group, "") + _figure(name, svg, words)
    shown = "".join(f'<h3>{escape(group)}</h3><div class="figures">{found}</div>' for group, found in groups.items())
    return f"<h2>Figures</h2>{shown}{_left_out({name: words for name, (svg, words) in pictures.items() if not svg})}"


def _figure(name: str, svg: str, words: str) -> str:
    source = encoded(svg.encode(), "image/svg+xml")
    return (
        f'<figure id="figure-{escape(name)}"><img alt="{escape(words)}" src="{source}">'
        f"<figcaption>{escape(words)}</figcaption></figure>"
    )


def _left_out(reasons: Mapping[str, str]) -> str:
    """One folded line for figures that could not be drawn or have nothing to show."""
    if not reasons:
        return ""
    names = ", ".join(name.replace("_", " ") for name in reasons)
    items = "".join(f'<li id="figure-{escape(name)}">{escape(reason)}</li>' for name, reason in reasons.items())
    return f"<details><summary>Not drawn: {escape(names)}</summary><ul>{items}</ul></details>"


def heat_maps(found: dict | None, labels: Mapping[str, str] | None = None) -> str:
    """Norms of all channels of one layer, arms side by side; a script moves the layer. `labels` name the arms."""
    if not found:
        return ""
    scale, labels = found["scale"], labels or {}
    tensors = {name: entry for name, entry in found.items() if name != "scale"}
    layers = {arm: figures.shape_of(entry, arm)["layers"] for entry in tensors.values() for arm in entry["arms"]}
    apart = len(set(layers.values())) > 1
    start = min(1, min(layers.values()) - 1)
    uneven = (
        len({tuple(figures.shape_of(e, arm)[s] for s in figures.SIZES) for e in tensors.values() for arm in e["arms"]})
        > 1
    )
    sliders = layers.items() if apart else [("", next(iter(layers.values())))]
    choice = " ".join(_choice(arm, labels.get(arm, label(arm)), number, start) for arm, number in sliders)
    named = {arm: labels.get(arm, label(arm)) for entry in tensors.values() for arm in entry["arms"]}
    beside = (
        "".join(_map(name, entry, arm, text, scale, start, uneven) for arm, text in named.items())
        for name, entry in tensors.items()
    )
    maps = "".join(f'<div class="pair">{pictures}</div>' for pictures in beside)
    bar = (
        f'<p class="legend">{scale["low"]:g} x <img alt="Colours from {scale["low"]:g} to {scale["high"]:g} times the '
        f'mean" src="{encoded(figures.legend(scale), "image/png")}"> {scale["high"]:g} x the mean norm; warm colours '
        f"are above {scale['threshold']:g} x, massive. Dims of query and key from the fastest rotary pair (left) to "
        "the slowest, heads from top to bottom; norms over all counted texts.</p>"
    )
    return f'<h2>Norms of all channels</h2><div class="heat" style="--layer:{start}">{choice}{bar}{maps}</div>'


def _choice(arm: str, named: str, layers: int, start: int) -> str:
    """What chooses the layer that is shown, of all arms or of one that has layers of its own."""
    name, of = f"layer-{arm}" if arm else "layer", f' data-arm="{escape(arm)}"' if arm else ""
    label = f"Layer of {named}" if arm else "Layer"
    return (
        f'<label class="scripted" hidden>{escape(label)} <input type="range" id="{escape(name)}"{of} min="0" '
        f'max="{layers - 1}" value="{start}"> <output>{start}</output></label>'
    )


def _map(name: str, entry: dict, arm: str, named: str, scale: dict, start: int, uneven: bool) -> str:
    label = f"{name.capitalize()} norms under {named}"
    shape, massive = figures.shape_of(entry, arm), figures.levels(entry, arm) >= scale["first_massive"]
    sizes = f"--layers:{shape['layers']};--heads:{shape['heads']};--dim:{shape['dim']}"
    picture = encoded(figures.sprite(entry, arm, scale), "image/png")
    # where sizes differ, so do counts: what compares is the share of them
    size = f"{shape['layers']} layers of {shape['heads']} heads x {shape['dim']} dims"
    rate = f"<br>{massive.sum()} channels are massive, {100 * massive.mean():.3g} % ({size})" if uneven else ""
    return (
        f'<figure data-arm="{escape(arm)}"><figcaption>{escape(label)}{rate}</figcaption>'
        f'<div class="window" style="{sizes}">'
        f'<img class="sprite" alt="{escape(label)}, heads by dims, layer after layer from {start}" src="{picture}">'
        "</div></figure>"
    )


def encoded(content: bytes, kind: str) -> str:
    """A file as a data URI."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
