"""The loss of a text by position: within the length that a model was trained to read, and beyond it."""

from dataclasses import dataclass

import numpy as np

from lib.effects.losses import Losses
from lib.judging import NoSubject
from lib.records import trained_length

FEWEST = 16
"""Tokens beyond the trained length that a text must have: a mean over fewer says little of it."""
RUNS = 48
"""A curve is drawn through the means of at most so many runs of positions."""


@dataclass(frozen=True)
class Positions(Losses):
    """Losses of the tokens of counting texts in the RoPE arm, and in others with the same weights.

    Reads records of experiment 1. `trained` is the trained length of the RoPE arm, if its record does not tell.
    """

    trained: int | None = None

    @property
    def length(self) -> int | None:
        """The number of tokens that the RoPE arm was trained to read; None if that is unknown."""
        return self.trained or trained_length(self.records["rope"])

    def losses(self, arm: str) -> np.ndarray:
        """Loss of every token but the first one [text, predicted], nats.

        Raises NoSubject for a record of an older version, which kept the mean loss of a text alone.
        """
        if "token_nll" not in self.records[arm]:
            raise NoSubject(f"the record of the {arm} arm is older than losses by position: measure it again")
        return self.records[arm]["token_nll"].values

    def need_beyond(self) -> None:
        """Raise NoSubject unless the texts go on beyond the trained length, and the arms read the same tokens."""
        self.need_same_tokens()
        if self.length is None:
            raise NoSubject("the config of the rope arm does not tell how long a text it was trained to read")
        read = self.losses("rope").shape[1] + 1
        if read < self.length + FEWEST:
            raise NoSubject(
                f"texts of {read} tokens do not go beyond the {self.length} that the rope arm was trained to read: "
                f"give longer ones, and --max-tokens {self.length + FEWEST} or more"
            )

    def beyond(self, arm: str) -> np.ndarray:
        """Mean loss of each text's tokens beyond the trained length [text], nats per token."""
        return self.losses(arm)[:, self.length - 1 :].mean(1)

    def within(self, arm: str) -> np.ndarray:
        """Mean loss of each text's tokens up to the trained length [text], nats per token."""
        return self.losses(arm)[:, : self.length - 1].mean(1)

    def describe(self, *arms: str) -> str:
        """The mean losses within and beyond the trained length, in words."""
        each = [f"{arm} {self.within(arm).mean():.3g} and {self.beyond(arm).mean():.3g}" for arm in arms]
        return f"nats per token within and beyond {self.length} tokens: {', '.join(each)}"

    def course(self, arm: str) -> tuple[np.ndarray, np.ndarray]:
        """Means over texts and runs of positions: the middle position of each run, and its loss.

        A run ends where the trained length does, so that no mean is of both sides.
        """
        losses = self.losses(arm).mean(0)
        edges = np.unique(np.linspace(0, len(losses), min(RUNS, len(losses)) + 1).round().astype(int))
        if self.length is not None and self.length - 1 < len(losses):
            edges = np.union1d(edges, [self.length - 1])
        middles = (edges[:-1] + edges[1:] + 1) / 2
        return middles, np.add.reduceat(losses, edges[:-1]) / np.diff(edges)
