"""The course of recalibration: the RoPE arm against every checkpoint of a series."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lib.definitions import Name
from lib.effects.counts import MassiveValues, too_few
from lib.effects.losses import Disruption
from lib.judging import NoSubject


@dataclass(frozen=True)
class Trajectory:
    """Checkpoints in the order of their steps, each as the DroPE arm beside the same RoPE arm.

    `start` holds step 0: the RoPE arm's weights with the rotation dropped (`dropped`) and nothing trained; None where
    it was not measured. `disruptions` may be empty, if experiment 2 was not made; `tokens_per_step` is None where it is
    not known.
    """

    steps: Sequence[int]
    values: Sequence[MassiveValues]
    disruptions: Sequence[Disruption] = ()
    tokens_per_step: int | None = None
    start: MassiveValues | None = None

    @property
    def unit(self) -> str:
        """What an axis of steps is labelled with: `steps of 2,048 tokens`."""
        return f"steps of {self.tokens_per_step:,} tokens" if self.tokens_per_step else "steps"

    def totals(self, name: Name) -> np.ndarray:
        """Number of massive channels over all layers [text, checkpoint]."""
        return np.stack([values.totals("drope", name) for values in self.values], 1)

    def totals_from_start(self, name: Name) -> np.ndarray:
        """The same with step 0 before the checkpoints [text, 1 + checkpoint]. Raises NoSubject without a step 0."""
        if self.start is None:
            raise NoSubject("the RoPE arm with its rotation dropped was not measured, so the course has no step 0")
        return np.concatenate([self.start.totals("dropped", name)[:, None], self.totals(name)], 1)

    def per_layer(self, name: Name) -> np.ndarray:
        """Number of massive channels, mean over texts [layer, checkpoint]."""
        return np.stack([values.counts("drope", name).mean(0) for values in self.values], 1)

    def loss(self) -> np.ndarray:
        """Loss of the counting texts [text, checkpoint], nats per token."""
        return np.stack([values.records["drope"]["nll"].values for values in self.values], 1)

    def reliance(self) -> np.ndarray:
        """Rise of the loss with the massive channels zeroed [text, checkpoint], nats per token."""
        return np.stack([disruption.massive("drope") for disruption in self.disruptions], 1)

    def need(self, name: Name, least: int = 1) -> None:
        """Raise NoSubject unless some checkpoint has at least so many massive values per text on average."""
        most = self.totals(name).mean(0).max()
        if most < least:
            raise NoSubject(f"no checkpoint has more than {most:.4g} massive {name} values per text, {too_few(least)}")

    def need_zeroed(self) -> None:
        """Raise NoSubject unless a channel is zeroed at some checkpoint."""
        if not any(disruption.zeroed("drope") for disruption in self.disruptions):
            raise NoSubject("no checkpoint has a massive query or key channel to zero: there is nothing to judge")
