"""Whether the two arms are what the claims take them for. Runs first; a pair that fails gives no verdicts."""


def test_stretching_positions_moves_the_logits_of_the_rope_arm_only(norms):
    assert float(norms["rope"]["position_change"]) > 0.01
    assert float(norms["drope"]["position_change"]) <= float(norms["drope"]["position_noise"])
