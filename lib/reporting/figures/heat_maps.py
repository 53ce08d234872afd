"""Heat maps of channel norms, layer by layer: levels as plain JSON values, and pictures made from those levels."""

import base64
import io
import math
import zlib
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib import colormaps
from PIL import Image

from lib.definitions import ARMS, NAMES, massive_mask, mean_norm, pooled_norms
from lib.definitions import order as pair_order
from lib.effects import MassiveValues

LEVELS = 128
"""Levels of a ratio, fewer than a byte holds, so that pages stay small: from 1/8 to 64 x the mean each is 5 % wide."""
LOW, HIGH = 1 / 8, 64.0
"""Ratios to the mean that are told apart; what lies outside is shown as if it lay on the bound."""
SIZES = ("layers", "heads", "dim")
MARGIN = 8
"""The range reaches to at least so many times the threshold."""
ORDINARY, MASSIVE = ("cividis", 0.07, 0.45), ("inferno", 0.66, 0.92)
"""Part of a uniform colour map below and above the threshold.

The first is blue and dark, the second orange to yellow and lighter throughout: they differ in lightness as well as in
hue, so nobody has to tell red from green, and neither ends in white or black, which a page may have as its ground.
"""


def heat_maps(values: MassiveValues, arms: Sequence[str] = ARMS) -> dict:
    """Norms of every channel over the mean norm, all texts pooled (root mean square), as levels; plain JSON values.

    Returns `scale` and, for each of query, key and value, an entry with `layers`, `heads`, `dim`, `order` (the dim of a
    head that each column shows) and `arms`: base64 of the zlib-compressed bytes [layer, head, column], one level each.
    Where arms have states of different shape, these four are those of the first arm, and `shapes` has those of each.
    Query and key dims are in the order of their rotary pairs, the fastest first and the two dims of a pair beside each
    other; values are not rotated and stay in their own order. The mean is that of the scope of `values`.

    Levels are even steps of log2(norm / mean), `first_massive` of them below the threshold and the others above it, so
    that a level is above the threshold if and only if the pooled norm is massive. `precision` is the largest relative
    error of a ratio between `low` and `high`.
    Raises ValueError for an arm without a record or norms that are not finite.
    """
    if missing := [arm for arm in arms if arm not in values.records]:
        raise ValueError(f"there is no record of the arm {missing[0]}: heat maps need one of each of {', '.join(arms)}")
    scale = scale_of(values.threshold)
    return {**{name: _entry(values, name, arms, scale) for name in NAMES}, "scale": scale}


def scale_of(threshold: float) -> dict:
    """What levels mean at this threshold; see `heat_maps`."""
    high = max(HIGH, MARGIN * threshold)
    below, above = math.log2(threshold / LOW), math.log2(high / threshold)
    first = round(LEVELS * below / (below + above))
    return {
        "low": LOW,
        "high": high,
        "threshold": threshold,
        "unit": "norm / mean norm, log2",
        "levels": LEVELS,
        "first_massive": first,
        "precision": 2 ** (max(below / first, above / (LEVELS - first)) / 2) - 1,
    }


def shape_of(entry: dict, arm: str) -> dict:
    """`layers`, `heads`, `dim` and `order` of an arm: its own where arms differ, else those of all."""
    return entry.get("shapes", {}).get(arm, entry)


def levels(entry: dict, arm: str) -> UInt8[np.ndarray, "layer head dim"]:
    """The levels of an arm, dims in the order that is shown. Raises ValueError for an arm or bytes that do not fit."""
    if arm not in entry["arms"]:
        raise ValueError(f"this heat map has no arm {arm!r}, only {', '.join(entry['arms'])}")
    shape = tuple(shape_of(entry, arm)[size] for size in SIZES)
    try:
        return np.frombuffer(zlib.decompress(base64.b64decode(entry["arms"][arm])), np.uint8).reshape(shape)
    except (ValueError, zlib.error) as error:
        raise ValueError(f"the heat map of the arm {arm} is damaged or cut short: make it again") from error


def decode(entry: dict, arm: str, scale: dict) -> Float[np.ndarray, "layer head dim"]:
    """Norms over the mean norm, dims in the model's own order.

    Each is the middle of its level: within `scale["precision"]` of the true ratio between `low` and `high`.
    """
    ratios = np.exp2(_middles(scale))[levels(entry, arm)]
    return ratios[..., np.argsort(shape_of(entry, arm)["order"])]


def sprite(entry: dict, arm: str, scale: dict) -> bytes:
    """One PNG of all layers, from top to bottom, with a palette of one colour per level.

    A pixel is a channel: row layer x heads + head, column as in `order`.
    """
    shown = levels(entry, arm)
    return _png(shown.reshape(-1, shown.shape[-1]), scale)


def legend(scale: dict, *, height: int = 12) -> bytes:
    """A PNG colour bar, two pixels per level, low ratios left; `ticks` says what stands where."""
    return _png(np.tile(np.repeat(np.arange(scale["levels"], dtype=np.uint8), 2), (height, 1)), scale)


def ticks(scale: dict) -> list[tuple[float, str]]:
    """Labels of the colour bar: (place from 0 to 1, ratio) of the bounds, the mean and the threshold."""
    edges = [scale[name] for name in ("low", "threshold", "high")]
    first = scale["first_massive"] / scale["levels"]
    places = [(float(np.interp(math.log2(r), np.log2(edges), [0, first, 1])), f"{r:.4g}") for r in (1, *edges)]
    return sorted(places)


def _entry(values: MassiveValues, name: str, arms: Sequence[str], scale: dict) -> dict:
    norms = {arm: pooled_norms(values.records[arm][f"{name}_norm"].values) for arm in arms}
    shapes = {arm: _shape(name, values.frequency(arm), found) for arm, found in norms.items()}
    if len({tuple(sizes[size] for size in SIZES) for sizes in shapes.values()}) == 1:
        # an arm that does not rotate any more is shown in the order of the one that does
        order = next((s["order"] for a, s in shapes.items() if values.frequency(a).any()), shapes[arms[0]]["order"])
        shapes = {arm: {**sizes, "order": order} for arm, sizes in shapes.items()}
    packed = {arm: _pack(_quantised(found, values, scale)[..., shapes[arm]["order"]]) for arm, found in norms.items()}
    first, *others = shapes.values()
    return {**first, "arms": packed, **({"shapes": shapes} if any(other != first for other in others) else {})}


def _shape(name: str, frequency: np.ndarray, norms: np.ndarray) -> dict:
    """Sizes of norms [layer, head, dim], and the order in which dims are shown."""
    order = np.arange(norms.shape[-1]) if name == "value" else pair_order(frequency)
    return {**dict(zip(SIZES, norms.shape, strict=True)), "order": order.tolist()}


def _quantised(norms: np.ndarray, values: MassiveValues, scale: dict) -> UInt8[np.ndarray, "layer head dim"]:
    massive = massive_mask(norms, threshold=values.threshold, scope=values.scope)
    wide, mean = norms.astype(np.float64), mean_norm(norms, values.scope)
    ratios = np.divide(wide, mean, out=np.zeros_like(wide), where=mean > 0)
    found = np.searchsorted(_edges(scale), np.log2(ratios.clip(scale["low"])), side="right") - 1
    # rounding must not move a channel over the threshold: the mask decides, and a level's edge lies there
    first = scale["first_massive"]
    return np.where(massive, found.clip(first, scale["levels"] - 1), found.clip(0, first - 1)).astype(np.uint8)


def _edges(scale: dict) -> np.ndarray:
    """Edges of the levels, log2 of the ratio: one more than there are levels, one of them at the threshold."""
    low, threshold, high = np.log2([scale["low"], scale["threshold"], scale["high"]])
    first = scale["first_massive"]
    below = np.linspace(low, threshold, first, endpoint=False)
    return np.concatenate([below, np.linspace(threshold, high, scale["levels"] - first + 1)])


def _middles(scale: dict) -> np.ndarray:
    edges = _edges(scale)
    return (edges[:-1] + edges[1:]) / 2


def _palette(scale: dict) -> bytes:
    """Red, green and blue of every level."""
    numbers = scale["first_massive"], scale["levels"] - scale["first_massive"]
    parts = [
        colormaps[name](np.linspace(start, end, number), bytes=True)[:, :3]
        for (name, start, end), number in zip((ORDINARY, MASSIVE), numbers, strict=True)
    ]
    return np.concatenate(parts).tobytes()


def _png(indices: np.ndarray, scale: dict) -> bytes:
    """A picture with a palette, a pixel per level in `indices` [row, column]."""
    image = Image.fromarray(indices)
    image.putpalette(_palette(scale))
    out = io.BytesIO()
    image.save(out, "PNG", optimize=True)
    return out.getvalue()


def _pack(found: UInt8[np.ndarray, "layer head dim"]) -> str:
    return base64.b64encode(zlib.compress(np.ascontiguousarray(found).tobytes(), 9)).decode()
