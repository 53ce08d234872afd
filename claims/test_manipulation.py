"""Whether the arms are what the claims take them for. Runs first; an arm that fails gives no verdicts."""

from lib.definitions import ROTATING


def test_stretching_positions_moves_the_logits_of_arms_that_rotate_and_of_no_other(reading, any_arm):
    record = reading.norms(any_arm)
    change, noise = float(record["position_change"]), float(record["position_noise"])
    assert change > 0.01 if any_arm in ROTATING else change <= noise
