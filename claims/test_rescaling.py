"""What rescaling the rotation does to massive values: interpolation, NTK-aware, dynamic NTK and YaRN, no training."""

import pytest

from lib.judging.verdicts import NoSubject

LEAST = 0.001
"""Nats per token: a loss that moves less was not moved by the rescaling, but perhaps by rounding."""


@pytest.mark.parametrize("kind", ["linear", "dynamic", "yarn", "ntk"])
@pytest.mark.claim(
    "X1",
    source="Chen et al. 2023, Peng et al. 2023; Africa 2026, discussion",
    published="said, not measured",
    family="rescaling",
    figure="rescaled",
)
def test_rescaling_the_rotation_without_training_leaves_query_counts_alone(with_rescaled, judge, kind):
    """Percent change of the Query count, read before the rotation, from RoPE to the same weights with the rotation
    rescaled by 4 and nothing trained, text by text, judged as equivalence. There is nothing to judge where the
    rescaling moves no loss: then it did nothing.
    """
    with_rescaled.need("query", "rope")
    moved = with_rescaled.loss_change(kind)
    if (abs(moved) < LEAST).all():
        context = ", since dynamic NTK acts on texts longer than the model's context" if kind == "dynamic" else ""
        raise NoSubject(f"the {kind} arm has the RoPE arm's loss on every text: rescaling did nothing there{context}")
    note = f"the loss moves by {moved.mean():+.3g} nats per token"
    judge(with_rescaled.percent_change("query", kind), unit="% per text", note=note).within(-10, 10)
