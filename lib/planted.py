"""Records whose content is known beforehand, shaped like those of `lib/measure.py`: what claims must win or lose on."""

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr
from scipy import stats

from lib.masks import conditions
from lib.rotary_pairs import BANDS, slow_half

COUNTED = ("literary",) * 6 + ("technical",) * 6 + ("conversational",) * 4 + ("factual",) * 4
"""Kinds of the texts that massive values are counted on."""
SCORED = ("literary",) * 6 + ("technical",) * 6 + ("repetitive",) * 6
"""Kinds of the texts that losses are scored on."""
FULLEST = 0.15
"""Share of a layer that can be planted: so few channels of 90 to 110 x the others are massive at any threshold <= 5."""


def scatter(texts: int, *, spread: float, seed: int) -> np.ndarray:
    """Seeded normal deviations [text] with mean 0 and standard deviation `spread`, both exact."""
    noise = np.random.default_rng(seed).normal(size=texts)
    return spread * (noise - noise.mean()) / noise.std(ddof=1)


def layer_counts(layers: Sequence[float], totals: Sequence[float], *, seed: int) -> np.ndarray:
    """Counts [text, layer]: each text's total, shared out over the layers in proportion to `layers`.

    Rounded up or down at random, so that a layer's mean over texts is right and a text's total misses by less than 1.
    """
    shares = np.asarray(layers, dtype=float) / np.sum(layers)
    start = np.random.default_rng(seed).uniform(size=(len(totals), 1))
    ends = np.floor(np.cumsum(np.outer(totals, shares), axis=1) + start)
    return np.diff(ends, axis=1, prepend=0).astype(int)


def norms_record(
    counts: Mapping[str, np.ndarray],
    *,
    heads: int = 8,
    kv_heads: int = 4,
    dim: int = 256,
    slow: float | Sequence[float] = 1.0,
    seed: int = 0,
    position_change: float = 1.0,
    massive: float = 100.0,
    agreement: float = 1.0,
) -> xr.Dataset:
    """A record of experiment 1 with `counts[name]` [text, layer] massive channels of query, key and value.

    The share `slow` (one number or one per text) of a layer's massive channels lies in the slower half of the rotary
    pairs, rounded to a channel. Massive channels have norms around `massive` x the others'. The norms of the rows of
    query and key rank the channels like the first text's norms, but for noise: `agreement` is near Spearman's rho.
    Raises ValueError for more channels than `FULLEST` of a layer.
    """
    rng = np.random.default_rng(seed)
    shapes = {"query": ("head", heads), "key": ("kv_head", kv_heads), "value": ("kv_head", kv_heads)}
    norms = {
        f"{name}_norm": (
            ("text", "layer", head, "dim"),
            _norms(np.asarray(counts[name]), number, dim, slow, rng, massive),
        )
        for name, (head, number) in shapes.items()
    }
    for name in ("query", "key"):
        dims, found = norms[f"{name}_norm"]
        norms[f"{name}_row_norm"] = (dims[1:], _row_norms(found[0], agreement, np.random.default_rng(seed + 1)))
    texts = len(counts["query"])
    measured = {"nll": ("text", rng.normal(3, 0.1, texts)), "position_change": position_change, "position_noise": 0.0}
    measured["frequency"] = (("layer", "dim"), frequency(np.shape(counts["query"])[1], dim))
    return xr.Dataset({**norms, **measured}, coords=_text_coordinates(texts, COUNTED))


def frequency(layers: int, dim: int) -> np.ndarray:
    """Radians per position [layer, dim], every layer rotating as Llama's: dims d and d + dim/2 form a pair."""
    return np.tile(10000.0 ** (-2 * (np.arange(dim) % (dim // 2)) / dim), (layers, 1))


def losses(
    massive: float | np.ndarray,
    controls: Sequence[float] = (0.0,) * 10,
    *,
    baseline: float = 0.3,
    spread: float = 0.02,
    control_spread: float = 0.002,
    texts: int = len(SCORED),
    seed: int = 0,
) -> np.ndarray:
    """Losses [text, condition] of a given rise over the baseline, nats per token, in the order of `conditions`.

    `massive` is the rise with the massive channels zeroed, one number or one per text; `controls` those of the random
    controls. `spread` and `control_spread` are their standard deviations over texts.
    """
    rise = massive + scatter(texts, spread=spread, seed=seed)
    of_controls = [c + scatter(texts, spread=control_spread, seed=seed + 1 + i) for i, c in enumerate(controls)]
    start = baseline + scatter(texts, spread=baseline / 10, seed=seed + 1 + len(controls))
    return start[:, None] + np.stack([np.zeros(texts), rise, *of_controls], axis=1)


def disruption_record(
    nll: np.ndarray,
    *,
    kinds: Sequence[str] = SCORED,
    layers: int = 4,
    heads: int = 8,
    kv_heads: int = 4,
    dim: int = 16,
    zeroed: int = 2,
) -> xr.Dataset:
    """A record of experiment 2 with the losses `nll` [text, condition]; `zeroed` channels per layer and tensor."""
    masks = {
        f"{name}_zeroed": (("layer", head, "dim"), _first(zeroed, layers, number, dim))
        for name, head, number in (("query", "head", heads), ("key", "kv_head", kv_heads))
    }
    names = conditions(nll.shape[1] - len(conditions(0)))
    return xr.Dataset(
        {"nll": (("text", "condition"), nll), **masks},
        coords={**_text_coordinates(len(nll), kinds), "condition": names},
    )


def bands_record(
    slow: float | np.ndarray,
    fast: float | np.ndarray,
    *,
    spread: float = 0.02,
    texts: int = len(SCORED),
    zeroed: int = 2,
    frequency: float = 1.0,
) -> xr.Dataset:
    """A record of slow and fast channels: rises of the loss in nats per token, one number or one per text.

    `spread` is the standard deviation of each over texts; `zeroed` channels of either band per layer and tensor, all of
    one `frequency`.
    """
    nll = losses(slow, [0.0], spread=spread, texts=texts)[:, :2]
    faster = nll[:, :1] + np.reshape(fast + scatter(texts, spread=spread, seed=9), (-1, 1))
    shapes = {"query": ("head", 8), "key": ("kv_head", 4)}
    masks = {
        f"{name}_{band}": (("layer", head, "dim"), _first(zeroed, 4, number, 16))
        for name, (head, number) in shapes.items()
        for band in BANDS
    }
    return xr.Dataset(
        {
            "nll": (("text", "condition"), np.hstack([nll, faster])),
            "frequency": (("layer", "dim"), np.full((4, 16), frequency)),
            **masks,
        },
        coords={**_text_coordinates(texts, SCORED), "condition": ["baseline", *BANDS]},
    )


def _first(number: int, layers: int, heads: int, dim: int) -> np.ndarray:
    """Bool [layer, head, dim], the first channels of every layer marked."""
    return np.broadcast_to(np.arange(heads * dim) < number, (layers, heads * dim)).reshape(layers, heads, dim)


def _norms(
    counts: np.ndarray, heads: int, dim: int, slow: float | Sequence[float], rng: np.random.Generator, massive: float
) -> np.ndarray:
    """Norms [text, layer, head, dim], float32: around 1, and around `massive` in the planted channels."""
    channels = heads * dim
    if (counts < 0).any() or counts.max() > FULLEST * channels:
        raise ValueError(f"between 0 and {FULLEST:.0%} of {channels} channels can be planted, not {counts.max()}")
    is_slow = np.tile(slow_half(frequency(1, dim))[0], heads)
    slow = np.broadcast_to(slow, len(counts))
    halves = {True: np.flatnonzero(is_slow), False: np.flatnonzero(~is_slow)}
    norms = rng.uniform(0.5, 1.5, (*counts.shape, channels)).astype(np.float32)
    for place, count in np.ndenumerate(counts):
        in_slow = round(slow[place[0]] * count)
        for half, number in ((True, in_slow), (False, count - in_slow)):
            norms[place][rng.permutation(halves[half])[:number]] = massive * rng.uniform(0.9, 1.1, number)
    return norms.reshape(*counts.shape, heads, dim)


def _row_norms(norms: np.ndarray, agreement: float, rng: np.random.Generator) -> np.ndarray:
    """Positive numbers [layer, head, dim] whose ranks agree with those of `norms` as far as `agreement` says."""
    flat = norms.reshape(len(norms), -1)
    scores = stats.norm.ppf((stats.rankdata(flat, axis=-1) - 0.5) / flat.shape[-1])
    noise = rng.normal(size=flat.shape)
    return np.exp(agreement * scores + (1 - agreement**2) ** 0.5 * noise).reshape(norms.shape)


def _text_coordinates(texts: int, kinds: Sequence[str]) -> dict:
    repeated = [kinds[i % len(kinds)] for i in range(texts)]
    return {"text": [f"text {i}" for i in range(texts)], "kind": ("text", repeated)}
