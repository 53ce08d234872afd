"""Both experiments on the scored texts, and what must be equal in whatever does the same."""

import numpy as np
import torch
from workload import CONTROLS, SCORED, SEED, names

from lib.definitions import NAMES, massive_mask
from lib.measuring.disruption import measure_disruption
from lib.measuring.norms import norms_and_loss
from lib.probing import geometry

TOLERANCE = 1e-5
"""Largest difference of losses, nats per token, that rounding in another order of rows may make."""


def both(arm, chosen):
    """Both experiments on the scored texts: massive channels {name: [text, layer]}, and losses [text, condition]."""
    norms = norms_and_loss(arm.model, SCORED, geometry(arm.model)).norms
    counts = {name: massive_mask(norms[name]).sum((-2, -1)) for name in NAMES}
    return counts, disruption(arm, SCORED, chosen)


def disruption(arm, ids, chosen):
    return measure_disruption(arm, ids, names(len(ids)), chosen, controls=CONTROLS, seed=SEED)["nll"].values


def assert_equal_counts(counts, others):
    for name in NAMES:
        assert torch.equal(counts[name], torch.stack([other[name] for other in others])), name
    assert counts["query"].all()
    assert counts["key"].all()


def assert_equal_losses(losses, others):
    """`losses` is [text, condition], `others` [text, seed, (baseline, massive, random)]."""
    assert (others[:, :, :2] == others[:, :1, :2]).all(), "a deterministic pass was repeated and differed"
    same = np.concatenate([others[:, 0, :2], others[:, :, 2]], axis=1)
    assert np.abs(losses - same).max() < TOLERANCE
    assert np.abs(losses[:, 1:] - losses[:, :1]).min() > TOLERANCE, "nothing was zeroed: equal losses prove nothing"
