"""How counts and verdicts depend on the threshold and the scope, from records.

The threshold of 5 and the mean of the layer are the study's choice. Records hold norms, so that both can be changed
without a model, and a reader sees which verdicts depend on them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import xarray as xr
from jaxtyping import Int

from lib.definitions import NAMES, SCOPES, Name, Scope, check_threshold, massive_mask, mean_norm
from lib.effects.counts import MassiveValues
from lib.records import label_of

THRESHOLDS = tuple(2 + quarter / 4 for quarter in range(33))
"""From 2 to 10 in steps of 0.25."""
KEPT = ("verdict", "estimate", "low", "high", "reason")
"""The entries of a judgement that the curve keeps."""

Judged = Mapping[str, Mapping]


def curve(
    records: Mapping[str, xr.Dataset],
    judge_at: Callable[[MassiveValues], Judged],
    *,
    thresholds: Sequence[float] = THRESHOLDS,
    scopes: Sequence[Scope] = SCOPES,
) -> dict:
    """Counts and verdicts at every threshold, in every scope; plain JSON values.

    `judge_at` takes the massive values at one threshold in one scope and returns {claim: judgement as a dict}.
    Returns `thresholds`, the `labels` of the arms, and for each scope in `scopes`: `counts[arm][name]`, massive
    channels over all layers, mean over texts, one number per threshold; `rates[arm][name]`, the same in percent of the
    channels, if tensors or arms have different numbers of them; `claims[claim]`, the judgement's KEPT entries at every
    threshold; and `flips[claim]`, {"between": [threshold, next threshold], "from": verdict, "to": verdict}, in rising
    order.
    Raises ValueError for thresholds that do not rise, for one that is not above 1, for norms that are not finite, and
    when `judge_at` judges other claims at one threshold than at the first.
    """
    if not thresholds or any(low >= high for low, high in pairwise(thresholds)):
        raise ValueError("a curve needs thresholds that rise, each larger than the one before")
    scopes = {scope: _in_scope(records, judge_at, thresholds, scope) for scope in scopes}
    labels = {arm: label_of(record, arm) for arm, record in records.items()}
    return {"thresholds": list(thresholds), "labels": labels, "scopes": scopes}


def counts_at(norms: np.ndarray, thresholds: Sequence[float], scope: Scope) -> Int[np.ndarray, "threshold text layer"]:
    """Massive channels of norms [text, layer, head, dim] at each threshold: exactly as many as `massive_mask` marks.

    A larger threshold marks a subset of the channels that the smallest one marks, so only those few are compared again.
    """
    for threshold in thresholds:
        check_threshold(threshold)
    candidates = massive_mask(norms, threshold=min(thresholds), scope=scope)
    # the very mean that massive_mask compares with, to the last bit: a norm may lie exactly at the threshold
    means = np.broadcast_to(mean_norm(norms, scope), norms.shape)[candidates]
    large = norms[candidates].astype(np.float64)
    texts, layers = norms.shape[:2]
    flat = np.ravel_multi_index(np.nonzero(candidates)[:2], (texts, layers))
    counts = [np.bincount(flat[large > threshold * means], minlength=texts * layers) for threshold in thresholds]
    return np.reshape(counts, (len(thresholds), texts, layers))


@dataclass(frozen=True)
class _Counted(MassiveValues):
    """Massive values with known counts, which need no mask."""

    known: Mapping[tuple[str, Name], np.ndarray] = field(default_factory=dict)

    def counts(self, arm: str, name: Name) -> np.ndarray:
        return self.known[arm, name] if (arm, name) in self.known else super().counts(arm, name)


def _in_scope(records: Mapping[str, xr.Dataset], judge_at: Callable, thresholds: Sequence[float], scope: Scope) -> dict:
    known = {
        (arm, name): counts_at(record[f"{name}_norm"].values, thresholds, scope)
        for arm, record in records.items()
        for name in NAMES
    }
    judged = [
        judge_at(_Counted(records, threshold, scope, known={key: counts[i] for key, counts in known.items()}))
        for i, threshold in enumerate(thresholds)
    ]
    claims = list(judged[0])
    for threshold, judgements in zip(thresholds, judged, strict=True):
        if set(judgements) != set(claims):
            raise ValueError(f"at the threshold {threshold:g} other claims are judged than at {thresholds[0]:g}")
    means = {arm: {name: known[arm, name].sum(2).mean(1).tolist() for name in NAMES} for arm in records}
    kept = {claim: [{key: judgements[claim][key] for key in KEPT} for judgements in judged] for claim in claims}
    values = MassiveValues(records)
    rates = {
        arm: {name: [100 * mean / values.size(arm, name) for mean in course] for name, course in of_arm.items()}
        for arm, of_arm in means.items()
    }
    of_arms = {"counts": means, "rates": rates} if values.uneven else {"counts": means}
    return {**of_arms, "claims": kept, "flips": {claim: _flips(kept[claim], thresholds) for claim in claims}}


def _flips(course: list[dict], thresholds: Sequence[float]) -> list[dict]:
    steps = zip(pairwise(thresholds), pairwise(judgement["verdict"] for judgement in course), strict=True)
    return [{"between": list(ends), "from": old, "to": new} for ends, (old, new) in steps if old != new]
