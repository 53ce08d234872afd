"""The numbers behind the figures of a report, as plain JSON values: what a machine reads instead of the pictures."""

from collections.abc import Mapping

import numpy as np
import xarray as xr

from lib.definitions import ARMS, BANDS, EDITED, NAMES, Scope
from lib.effects import Bands, Disruption, MassiveValues, lorenz
from lib.judging import NoSubject

POINTS = 101
"""Points of a Lorenz curve that are kept."""


def numbers(
    norms: Mapping[str, xr.Dataset],
    losses: Mapping[str, xr.Dataset],
    bands: Mapping[str, xr.Dataset] | None = None,
    *,
    threshold: float,
    scope: Scope,
) -> dict:
    """`{arm: {..}}` for every arm with a record of experiment 1, and under "between" what compares the two main arms.

    What cannot be formed (the Gini coefficient of norms that are all zero) is None: a report is not lost for it.
    Of an arm: `counts[tensor]` [text, layer], `channels[tensor]` of one layer, `loss` [text] (nats per token), and if
    experiment 2 was made, its `conditions`, `nll` [text, condition] and the number of channels `zeroed`; under `bands`
    the same of slow and of fast channels. Where tensors or arms have different channels, also `rates[tensor]`
    [text, layer], percent of them. Of `rope` and `drope` also `gini` [text] and `lorenz` [point] of query and key
    norms, `rotary_pairs` (massive channels of each rotary pair, fastest first, mean over texts; None where nothing
    rotates) and `rank_agreement` [layer, text] of weights and norms.
    """
    found, uneven = {}, MassiveValues(norms, threshold, scope).uneven
    for arm, record in norms.items():
        values = MassiveValues({arm: record}, threshold, scope)
        found[arm] = {
            "counts": {name: values.counts(arm, name).tolist() for name in NAMES},
            "channels": {name: values.channels(name, arm) for name in NAMES},
            **({"rates": {name: values.layer_rates(arm, name).tolist() for name in NAMES}} if uneven else {}),
            "loss": record["nll"].values.tolist(),
            **(_concentration(values, arm) if arm in ARMS else {}),
            **(_disruption(losses, arm) if arm in losses else {}),
            **(_bands(bands[arm]) if bands and arm in bands else {}),
        }
    between = {}
    if all(arm in norms for arm in ARMS):
        both = MassiveValues({arm: norms[arm] for arm in ARMS}, threshold, scope)
        between = {name: _overlap(both, name) for name in EDITED}
    return {"arms": found, "between": between}


def _concentration(values: MassiveValues, arm: str) -> dict:
    """How query and key norms are spread over channels, rotary pairs and rows of the weights."""
    points = np.linspace(0, 1, POINTS)
    found: dict[str, dict] = {"gini": {}, "lorenz": {}, "rotary_pairs": {}, "rank_agreement": {}}
    for name in EDITED:
        try:
            curve = lorenz(values.norms(arm, name)).mean((0, 1))
            found["gini"][name] = plain(values.gini(arm, name))
            found["lorenz"][name] = plain(np.interp(points, np.linspace(0, 1, len(curve)), curve))
        except ValueError:
            found["gini"][name] = found["lorenz"][name] = None  # norms that are all zero are spread in no way
        found["rotary_pairs"][name] = values.per_pair(arm, name).tolist() or None
        try:
            found["rank_agreement"][name] = plain(values.rank_agreement_per_layer(arm, name))
        except NoSubject:
            found["rank_agreement"][name] = None  # keys made from a latent vector have no rows of their own
    return found


def _disruption(losses: Mapping[str, xr.Dataset], arm: str) -> dict:
    nll = losses[arm]["nll"]
    return {
        "disruption": {
            "conditions": nll["condition"].values.tolist(),
            "nll": nll.values.tolist(),
            "zeroed": Disruption({arm: losses[arm]}).zeroed(arm),
        }
    }


def _bands(record: xr.Dataset) -> dict:
    found = Bands({"rope": record})
    nll = record["nll"]
    zeroed = {band: found.zeroed(band) for band in BANDS}
    return {"bands": {"conditions": nll["condition"].values.tolist(), "nll": nll.values.tolist(), "zeroed": zeroed}}


def _overlap(both: MassiveValues, name) -> dict[str, list | str | None]:
    """Share of RoPE's massive channels that are kept, and Jaccard index, per layer; null where there is nothing.

    Of arms whose channels do not correspond both are null, and `reason` says why.
    """
    try:
        kept, jaccard = both.overlap(name)
    except ValueError as reason:
        return {"kept": None, "jaccard": None, "reason": str(reason)}
    return {"kept": plain(kept), "jaccard": plain(jaccard)}


def plain(numbers_found: np.ndarray) -> list:
    """Lists of numbers; None where there is none."""
    return np.where(np.isfinite(numbers_found), numbers_found, None).tolist()
