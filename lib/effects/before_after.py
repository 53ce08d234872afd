"""Massive values of one arm before the rotation and as attention receives them, and those of its rotary pairs."""

from dataclasses import replace

import numpy as np

from lib.definitions import Name, massive_mask, pair_norms
from lib.effects.counts import MassiveValues
from lib.judging import NoSubject

BEFORE, AFTER = "rope", "attention"
"""The names of the two records: the RoPE arm before its rotation is compared with the same arm read at attention."""


def where_it_rotates(values: MassiveValues) -> MassiveValues:
    """Keep the layers that rotate. Raises NoSubject if no layer does, or if the model does not tell."""
    frequency = values.frequency(BEFORE)
    if np.isnan(frequency).any():
        raise NoSubject(f"how the {BEFORE} arm rotates cannot be read from it")
    layers = np.flatnonzero(frequency.any(1))
    if not len(layers):
        raise NoSubject(f"no layer of the {BEFORE} arm rotates: attention receives what there was before")
    return replace(values, records={site: record.isel(layer=layers) for site, record in values.records.items()})


def norms_of_pairs(values: MassiveValues, site: str, name: Name) -> np.ndarray:
    """Norms of the rotary pairs [text, layer, head, pair], fastest first. A rotation does not change them."""
    return pair_norms(values.records[site][f"{name}_norm"].values, values.frequency(BEFORE))


def massive_pairs(values: MassiveValues, site: str, name: Name) -> np.ndarray:
    """Number of rotary pairs [text] whose norm is above the threshold times the mean norm of pairs."""
    norms = norms_of_pairs(values, site, name)
    return massive_mask(norms, threshold=values.threshold, scope=values.scope).sum((1, 2, 3))


def describe_pairs(values: MassiveValues, name: Name) -> str:
    """A phrase for beside the counts of channels: massive pairs at both sites, and how far their norms moved."""
    before, after = (massive_pairs(values, site, name).mean() for site in (BEFORE, AFTER))
    first, second = (norms_of_pairs(values, site, name) for site in (BEFORE, AFTER))
    moved = (np.abs(second - first) / np.maximum(first, np.finfo(first.dtype).tiny)).max()
    return f"massive rotary pairs {before:.4g} before and {after:.4g} after, their norms move by {moved:.2g} at most"
