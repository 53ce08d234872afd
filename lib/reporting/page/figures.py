"""The figures on the page: pictures with alternative text, and heat maps whose layer the reader chooses."""

import base64
from collections.abc import Mapping
from html import escape


def gallery(pictures: Mapping[str, tuple[str, str]]) -> str:
    """All figures of the run, each once; claims show theirs by pointing here."""
    if not pictures:
        return ""
    shown = "".join(_figure(name, svg, words) for name, (svg, words) in pictures.items())
    return f'<h2>Figures</h2><div class="figures">{shown}</div>'


def _figure(name: str, svg: str, words: str) -> str:
    source = encoded(svg.encode(), "image/svg+xml")
    picture = f'<img alt="{escape(words)}" src="{source}">' if svg else ""
    return f'<figure id="figure-{escape(name)}">{picture}<figcaption>{escape(words)}</figcaption></figure>'


def heat_maps(found: dict | None) -> str:
    """Norms of all channels of one layer, both arms side by side; a script moves the layer."""
    if not found:
        return ""
    from lib.reporting.figures import SIZES, legend, shape_of

    scale = found["scale"]
    tensors = {name: entry for name, entry in found.items() if name != "scale"}
    layers = {arm: shape_of(entry, arm)["layers"] for entry in tensors.values() for arm in entry["arms"]}
    apart = len(set(layers.values())) > 1
    start = min(1, min(layers.values()) - 1)
    uneven = len({tuple(shape_of(e, arm)[s] for s in SIZES) for e in tensors.values() for arm in e["arms"]}) > 1
    sliders = layers.items() if apart else [("", next(iter(layers.values())))]
    choice = " ".join(_choice(arm, number, start) for arm, number in sliders)
    maps = "".join(
        f'<div class="pair">{"".join(_map(name, entry, arm, scale, start, uneven) for arm in entry["arms"])}</div>'
        for name, entry in tensors.items()
    )
    bar = (
        f'<p class="legend">{scale["low"]:g} x <img alt="Colours from {scale["low"]:g} to {scale["high"]:g} times the '
        f'mean" src="{encoded(legend(scale), "image/png")}"> {scale["high"]:g} x the mean norm; warm colours are above '
        f"{scale['threshold']:g} x, massive. Dims of query and key from the fastest rotary pair (left) to the slowest, "
        "heads from top to bottom; norms over all counted texts.</p>"
    )
    return f'<h2>Norms of all channels</h2><div class="heat" style="--layer:{start}">{choice}{bar}{maps}</div>'


def _choice(arm: str, layers: int, start: int) -> str:
    """What chooses the layer that is shown, of all arms or of one that has layers of its own."""
    from lib.reporting.figures import LABELS

    name, of = f"layer-{arm}" if arm else "layer", f' data-arm="{escape(arm)}"' if arm else ""
    label = f"Layer of {LABELS.get(arm, arm)}" if arm else "Layer"
    return (
        f'<label class="scripted" hidden>{escape(label)} <input type="range" id="{escape(name)}"{of} min="0" '
        f'max="{layers - 1}" value="{start}"> <output>{start}</output></label>'
    )


def _map(name: str, entry: dict, arm: str, scale: dict, start: int, uneven: bool) -> str:
    from lib.reporting.figures import LABELS, levels, shape_of, sprite

    label = f"{name.capitalize()} norms under {LABELS.get(arm, arm)}"
    shape, massive = shape_of(entry, arm), levels(entry, arm) >= scale["first_massive"]
    sizes = f"--layers:{shape['layers']};--heads:{shape['heads']};--dim:{shape['dim']}"
    picture = encoded(sprite(entry, arm, scale), "image/png")
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
