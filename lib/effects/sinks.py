"""Attention sinks, from records: the share of heads that give the first position much of their attention."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr

from lib.definitions import SINK, uniform_share
from lib.judging import NoSubject
from lib.records import label_of

SOME = 10
"""Percent of the heads that must be sinks before a claim says something of them."""


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
        """The norm of the first position's Key or Value over the mean of the others', mean over all heads [text].

        A head whose others are zero in a text has no ratio, and is left out. Raises NoSubject if all of them are.
        """
        norms = self.records[arm][f"{name}_norm"].sel(input=inputs).transpose("text", ..., "where").astype(np.float64)
        first, rest = (norms.sel(where=where).values.reshape(norms.sizes["text"], -1) for where in ("first", "rest"))
        some = (rest > 0).all(0)
        if not some.any():
            raise NoSubject(
                f"every head of {self.label(arm)} has a text in which all {name} states but the first are zero"
            )
        return (first[:, some] / rest[:, some]).mean(1)

    def need(self, *arms: str) -> None:
        """Raise NoSubject unless at least 10 percent of the heads of one of `arms` are sinks on texts."""
        rates = {arm: self.rate(arm, "texts").mean() for arm in arms}
        if max(rates.values()) < SOME:
            told = " and ".join(f"{rate:.3g} % of the heads of {self.label(arm)}" for arm, rate in rates.items())
            raise NoSubject(f"{told} are sinks on texts, fewer than {SOME} %: there are none to speak of")

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
