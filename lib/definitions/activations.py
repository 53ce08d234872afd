"""Massive activations: values of the residual stream that are far larger than all others.

Source: Sun et al. 2024, "Massive Activations in Large Language Models".
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr

ABOVE, TIMES = 100.0, 1000.0
"""A value of the stream is a massive activation if its magnitude is this large, and so many times the median one."""
EVERYWHERE = 0.9
"""A layer has massive activations if this share of the texts has some behind it."""


@dataclass(frozen=True)
class Activations:
    """Massive activations of an arm: the index of the stream where they appear, and the mean value of each channel."""

    index: int
    means: Mapping[int, float]


def is_massive(magnitudes: np.ndarray, median: np.ndarray) -> np.ndarray:
    """Which values are massive activations, from their magnitudes and the median one; arrays or tensors alike."""
    return (magnitudes >= ABOVE) & (magnitudes >= TIMES * median)


def activations(stream: xr.Dataset) -> Activations | None:
    """The massive activations in a record of the stream; None if no layer has them in nearly all texts."""
    values = stream["largest"].values
    massive = is_massive(np.abs(values), stream["median"].values[..., None])
    with_some = massive.any(-1).mean(0) >= EVERYWHERE
    if not with_some.any():
        return None
    index = int(with_some.argmax())
    at, channels = massive[:, index], stream["channel"].values[:, index]
    found = np.unique(channels[at])
    return Activations(index, {int(c): float(values[:, index][at & (channels == c)].mean()) for c in found})
