"""The residual stream, from records: its massive activations, and what attention and the MLP add to it."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr

from lib.definitions import ABOVE, PARTS, TIMES, Activations, Name, activations, is_massive
from lib.judging import NoSubject, Ratio, ratio
from lib.records import label_of

DIMS = 4
"""The most dims that massive activations are said to sit in."""


@dataclass(frozen=True)
class Stream:
    """The residual stream of arms over texts. Reads records of `lib.measuring.stream`.

    Of each text, the eight largest values behind every layer are known. The stream has an index for the embeddings and
    one behind each layer.
    """

    records: Mapping[str, xr.Dataset]

    def label(self, arm: str) -> str:
        """The arm's name for readers."""
        return label_of(self.records[arm], arm)

    def layers(self, arm: str) -> int:
        """Layers of an arm."""
        return self.records[arm].sizes["layer"]

    def norms(self, arm: str) -> np.ndarray:
        """L2 norm of the stream [text, stream, run]: at the first position, and its mean over runs of the others."""
        return self.records[arm]["run_norm"].values.astype(np.float64)

    def times_the_limits(self, arm: str) -> np.ndarray:
        """By what factor a text's values reach both limits of a massive activation, in the layer where most do [text].

        1 and more for a text that has one: 100, and 1000 times the median.
        """
        record = self.records[arm]
        largest = np.abs(record["largest"].values.astype(np.float64)).max(-1)
        return (largest / np.maximum(ABOVE, TIMES * record["median"].values.astype(np.float64))).max(1)

    def massive(self, arm: str) -> np.ndarray:
        """Which of the largest values are massive activations [text, stream, rank]."""
        record = self.records[arm]
        return is_massive(np.abs(record["largest"].values), record["median"].values[..., None])

    def activations(self, arm: str) -> Activations:
        """Where massive activations appear, and how large they are. Raises NoSubject if no layer has them."""
        found = activations(self.records[arm])
        if found is None:
            raise NoSubject(f"no layer of {self.label(arm)} has massive activations in nine of ten texts")
        return found

    def placed(self, arm: str) -> np.ndarray:
        """100 for a text whose massive activations sit in at most four dims, all at the first position or a delimiter.

        0 for any other [text], and for one that has none: the mean is the percentage of such texts.
        """
        record, massive = self.records[arm], self.massive(arm)
        in_place = (record["position"].values == 0) | record["at_delimiter"].values
        channels = record["channel"].values
        placed = [
            bool(m.any()) and bool(place[m].all()) and len(np.unique(c[m])) <= DIMS
            for m, place, c in zip(massive, in_place, channels, strict=True)
        ]
        return 100.0 * np.array(placed)

    def deviation(self, arm: str) -> np.ndarray:
        """How far massive activations lie from their mean over the texts [text], in percent of it.

        Behind the layer at which they appear, mean over the dims that have one there. Raises NoSubject for a text that
        has none there.
        """
        found, record = self.activations(arm), self.records[arm]
        massive = self.massive(arm)[:, found.index]
        values, channels = (record[name].values[:, found.index] for name in ("largest", "channel"))
        if not massive.any(1).all():
            raise NoSubject(f"a text has no massive activation behind layer {found.index - 1}, where most have some")
        apart = [
            np.mean([abs(v / found.means[int(c)] - 1) for v, c, m in zip(*of_text, strict=True) if m])
            for of_text in zip(values, channels, massive, strict=True)
        ]
        return 100 * np.array(apart)

    def describe(self, arm: str) -> str:
        """Where massive activations appear, and their dims with their mean values, in words."""
        found = self.activations(arm)
        values = ", ".join(f"{value:.4g} in dim {channel}" for channel, value in found.means.items())
        where = f"behind layer {found.index - 1}" if found.index else "in the embeddings"
        return f"they appear {where}: {values}"

    def lengths(self, arm: str, name: Name) -> np.ndarray:
        """L2 norm of Query, Key or Value states, all heads together [text, layer], mean over all positions."""
        return self._over_positions(arm, "state_norm", "state", name)

    def times(self, arm: str, name: Name, layer: int) -> Ratio:
        """The same of a layer in percent of that in the RoPE arm: a ratio of means over texts.

        Raises NoSubject where the RoPE arm's are zero, and for arms whose layers do not correspond.
        """
        self.need_layers(arm, layer + 1)
        before = self.lengths("rope", name)[:, layer]
        if not before.any():
            raise NoSubject(f"the {name} states of layer {layer} of the rope arm are zero")
        return ratio(self.lengths(arm, name)[:, layer], before)

    def of_value(self, arm: str, layer: int) -> str:
        """By how many times the Value states of a layer grow, in words."""
        return f"value {self.times(arm, 'value', layer).value / 100:.3g} times"

    def added(self, arm: str) -> dict[str, np.ndarray]:
        """L2 norm of what attention and the MLP add [text, layer], mean over all positions."""
        return {part: self._over_positions(arm, "added_norm", "part", part) for part in PARTS}

    def _over_positions(self, arm: str, array: str, dim: str, name: str) -> np.ndarray:
        """The mean over all positions [text, layer] of norms that are known at the first one and over the others."""
        record = self.records[arm]
        tokens = int(record["tokens"])
        norms = record[array].sel({dim: name}).transpose("text", "layer", "where").values.astype(np.float64)
        return (norms[..., 0] + (tokens - 1) * norms[..., 1]) / tokens

    def shares(self, arm: str, *, first: bool = True) -> np.ndarray:
        """Attention's share of what a layer adds [text, layer], in percent: of the sum of both parts' norms.

        Without `first`, the first position is left out, at which the MLP of a spike layer adds most of what it adds.
        """
        if first:
            added = self.added(arm)
        else:
            rest = self.records[arm]["added_norm"].sel(where="rest").transpose("part", "text", "layer").values
            added = dict(zip(PARTS, rest.astype(np.float64), strict=True))
        total = added["attention"] + added["mlp"]
        if not (total > 0).all():
            raise NoSubject(f"a layer of {self.label(arm)} adds nothing, so attention has no share of it")
        return 100 * added["attention"] / total

    def gain(self, arm: str, layer: int) -> np.ndarray:
        """Attention's share of what a layer adds in an arm minus that in the RoPE arm [text], in points."""
        return self.gains(arm)[:, layer]

    def gains(self, arm: str) -> np.ndarray:
        """The same in every layer [text, layer]."""
        self.need_layers(arm)
        return self.shares(arm) - self.shares("rope")

    def without_first(self, arm: str, layer: int) -> str:
        """The shares of a layer with the first position left out, in words."""
        shares = [self.shares(of, first=False)[:, layer].mean() for of in ("rope", arm)]
        return f"without the first position {shares[0]:.3g} % under RoPE and {shares[1]:.3g} % under {self.label(arm)}"

    def need_layers(self, arm: str, least: int = 1) -> None:
        """Raise NoSubject unless an arm has as many layers as the RoPE arm, and at least so many."""
        numbers = [self.layers(of) for of in ("rope", arm)]
        if len(set(numbers)) > 1:
            raise NoSubject(f"the arms have {numbers[0]} and {numbers[1]} layers, so layers do not correspond")
        if numbers[0] < least:
            raise NoSubject(f"the arms have {numbers[0]} layers, and {least} are needed")
