"""Rates: massive channels over channels. They compare where tensors or arms have different numbers of channels."""

from collections.abc import Sequence

import numpy as np

from lib.judging.verdicts import NoSubject

NAMES = ("query", "key", "value")


class Rates:
    """What follows from counts and sizes, for `lib.effects.MassiveValues` and `lib.published_effects.PublishedValues`.

    They give `arms`, `totals`, `counts`, `channels` and `layers`.
    """

    arms: Sequence[str]

    def totals(self, arm: str, name) -> np.ndarray:
        raise NotImplementedError

    def counts(self, arm: str, name) -> np.ndarray:
        raise NotImplementedError

    def channels(self, name, arm: str = "rope") -> int:
        raise NotImplementedError

    def layers(self, arm: str) -> int:
        raise NotImplementedError

    def size(self, arm: str, name) -> int:
        """Channels of all layers."""
        return self.layers(arm) * self.channels(name, arm)

    def rates(self, arm: str, name) -> np.ndarray:
        """Massive channels in percent of the channels of all layers [text]."""
        return 100 * self.totals(arm, name) / self.size(arm, name)

    def layer_rates(self, arm: str, name) -> np.ndarray:
        """Massive channels in percent of a layer's channels [text, layer]."""
        return 100 * self.counts(arm, name) / self.channels(name, arm)

    @property
    def uneven(self) -> bool:
        """Does some tensor of some arm have other layers or more channels than another, so that rates say more?"""
        return len({(self.layers(arm), self.channels(name, arm)) for arm in self.arms for name in NAMES}) > 1

    def alike(self, arm: str, name, other) -> bool:
        """Have two tensors of an arm as many channels, so that their counts compare?"""
        return not self.uneven or self.channels(name, arm) == self.channels(other, arm)

    def rates_said(self, *series: tuple[str, str], layer: int | None = None) -> str:
        """The mean rates of (arm, tensor) pairs in words, of all layers or of one; "" where counts say it all."""
        return ", ".join(self._said(arm, name, layer) for arm, name in series) if self.uneven else ""

    def _said(self, arm: str, name: str, layer: int | None) -> str:
        if layer is None:
            return f"{arm} {name} {self.rates(arm, name).mean():.3g} % of {self.size(arm, name)} channels"
        rate = self.layer_rates(arm, name)[:, layer].mean()
        return f"{arm} {name} {rate:.3g} % of the {self.channels(name, arm)} channels of layer {layer}"

    def other_layers(self) -> str:
        """One sentence why nothing can be compared layer by layer; "" where it can."""
        numbers = [self.layers(arm) for arm in self.arms]
        if len(set(numbers)) == 1:
            return ""
        return f"the arms have {' and '.join(map(str, numbers))} layers, so layers do not correspond"

    def need_layers(self) -> None:
        """Raise NoSubject unless all arms have as many layers."""
        if reason := self.other_layers():
            raise NoSubject(reason)
