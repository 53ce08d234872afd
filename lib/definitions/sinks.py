"""Attention sinks: heads that give the first position much of their attention, and what chance alone gives it.

Source: Gu et al. 2025, "When Attention Sink Emerges in Language Models", for the threshold.
"""

SINK = 0.3
"""A head is a sink if it gives the first position at least this share of its attention, mean over the positions."""
SINK_TOKENS = 64
"""The length at which rates are compared: as in Gu et al. 2025. What a rate means depends on it."""


def uniform_share(tokens: int) -> float:
    """The share of the first position where all attend alike to whatever they see: the mean of 1, 1/2, 1/3, .."""
    return sum(1 / seen for seen in range(1, tokens + 1)) / tokens


def refuse_short(tokens: int, threshold: float = SINK) -> None:
    """Raise ValueError for a length at which a head that prefers no position would pass for a sink."""
    if (chance := uniform_share(tokens)) >= threshold:
        raise ValueError(
            f"on {tokens} tokens uniform attention gives the first position {100 * chance:.3g} %, and a sink is a head "
            f"that gives it {100 * threshold:.3g} %: measure longer texts"
        )
