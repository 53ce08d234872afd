"""Attention sinks, from records: the share of heads that give the first position much of their attention."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr

from lib.definitions import SINK, uniform_share
from lib.records import label_of


@dataclass(frozen=True)
class Sinks:
    """Attention to the first position, in arms. Reads records of `lib.measuring.sinks`.

    `inputs` are "texts", "random" tokens, or one token "repeated".
    """

    records: Mapping[str, xr.Dataset]

    def label(self, arm: str) -> str:
        """The arm's name for readers."""
        return label_of(self.records[arm], arm)

    def shares(self, arm: str, inputs: str) -> np.ndarray:
        """The attention that the first position gets, mean over positions [text, layer, head], in percent."""
        return 100 * self.records[arm]["first_share"].sel(input=inputs).values

    def by_layer(self, arm: str, inputs: str) -> np.ndarray:
        """Sink rate: percent of a layer's heads that give the first position 30 percent or more [text, layer]."""
        return 100 * (self.shares(arm, inputs) >= 100 * SINK).mean(2)

    def rate(self, arm: str, inputs: str) -> np.ndarray:
        """The same of all layers' heads [text]."""
        return self.by_layer(arm, inputs).mean(1)

    def norm_ratio(self, arm: str, name: str = "key", inputs: str = "texts") -> np.ndarray:
        """The norm of the first position's Key or Value over the mean of the others', mean over all heads [text]."""
        norms = self.records[arm][f"{name}_norm"].sel(input=inputs)
        with np.errstate(divide="ignore", invalid="ignore"):
            return (norms.sel(where="first") / norms.sel(where="rest")).values.mean((1, 2))

    def chance(self, arm: str) -> str:
        """What a head gives the first position that prefers none, in words."""
        tokens = int(self.records[arm]["tokens"])
        share = 100 * uniform_share(tokens)
        return f"uniform attention over {tokens} tokens gives the first one {share:.3g} %, a sink {100 * SINK:.3g} %"

    def describe(self, arm: str) -> str:
        """The sink rates on all inputs, in words."""
        rates = ", ".join(f"{self.rate(arm, inputs).mean():.3g} % on {what}" for inputs, what in READ.items())
        return f"{self.label(arm)}: {rates}"


READ = {"texts": "texts", "random": "random tokens", "repeated": "one repeated token"}
