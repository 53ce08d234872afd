"""How much of the loss that dropping the rotation costs has come back."""

from collections.abc import Mapping
from dataclasses import dataclass

import xarray as xr

from lib.effects.losses import OTHER_TOKENS
from lib.judging import NoSubject, Ratio, ratio
from lib.records import label_of, tokenizers


@dataclass(frozen=True)
class Recovery:
    """Losses of the counting texts in the RoPE arm, in its weights without rotation (`dropped`), and in a treatment.

    Reads records of experiment 1. The treatment is `drope`.
    """

    records: Mapping[str, xr.Dataset]

    def label(self, arm: str) -> str:
        """The arm's name for readers."""
        return label_of(self.records[arm], arm)

    def loss(self, arm: str):
        """Loss of each text [text], nats per token."""
        return self.records[arm]["nll"].values

    def recovered(self) -> Ratio:
        """Percent of the loss which dropping the rotation costs that the treatment no longer has: a ratio of means.

        Raises NoSubject where dropping costs nothing, and for arms whose tokenizers differ.
        """
        if len(tokenizers(self.records.values())) > 1:
            raise NoSubject(OTHER_TOKENS)
        lost = self.loss("dropped") - self.loss("rope")
        if lost.mean() <= 0:
            raise NoSubject(
                f"dropping the rotation costs {lost.mean():.3g} nats per token: there is nothing to recover"
            )
        return ratio(self.loss("dropped") - self.loss("drope"), lost)

    def describe(self) -> str:
        """The mean losses, in words."""
        return "nats per token: " + ", ".join(f"{arm} {self.loss(arm).mean():.3g}" for arm in self.records)
