"""What the modules of a layer and massive activations are worth, from records."""

import numpy as np

from lib.definitions import OF_ACTIVATIONS
from lib.effects.losses import Losses
from lib.judging import NoSubject, Ratio, ratio


class Modules(Losses):
    """Losses of arms with the output of modules, or massive activations, replaced. Reads `lib.measuring.modules`."""

    def nats(self, arm: str, condition: str) -> np.ndarray:
        """Increase of the loss over the baseline [text] in a condition of IN_MODULES, nats per token.

        Raises NoSubject for a condition of massive activations in an arm without any.
        """
        nll = self.records[arm]["nll"]
        if condition in OF_ACTIVATIONS and condition not in nll["condition"].values:
            raise NoSubject(f"no layer of {self.label(arm)} has massive activations in nine of ten texts")
        return (nll.sel(condition=condition) - nll.sel(condition="baseline")).values

    def compared(self, arm: str, condition: str) -> Ratio:
        """The increase in an arm in percent of that in the RoPE arm, a ratio of means over texts.

        Raises NoSubject where nothing is lost in the RoPE arm.
        """
        before = self.nats("rope", condition)
        if before.mean() <= 0:
            raise NoSubject(f"the rope arm loses nothing ({before.mean():.3g} nats), which no other arm can lose too")
        return ratio(self.nats(arm, condition), before)

    def spike(self, arm: str) -> int:
        """The layer behind which the first position's norm grows most, in proportion to that of the others."""
        return int(self.records[arm]["spike"])

    def replaced(self, arm: str) -> float:
        """Massive activations that were replaced, mean over texts."""
        return float(self.records[arm]["replaced"].mean())

    def need_layer(self, *arms: str) -> None:
        """Raise NoSubject unless all of these arms have a layer 1."""
        for arm in arms:
            if int(self.records[arm]["layer"]) < 1:
                raise NoSubject(f"the {arm} arm has one layer, and none above it")
