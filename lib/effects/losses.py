"""The cost of replacing channels, from records: losses of both arms, and losses of slow and fast channels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from lib.definitions import DRAWS, EDITED, SELECTED
from lib.judging import NoSubject
from lib.records import label_of, tokenizers

MOST = 150
"""Nats per token up to which an increase is told in percent of perplexity: that of more is a number nobody reads."""
GROUPS = {"massive": ("massive",), "next-largest": ("next",), "random": SELECTED[-DRAWS:]}
"""The selections that are compared, draws together, by what a reader calls them."""
OTHER_TOKENS = "the arms have different tokenizers: their losses are of different tokens and do not compare"


@dataclass(frozen=True)
class Losses:
    """Losses of arms under several conditions. Reads records of one experiment."""

    records: Mapping[str, xr.Dataset]

    @property
    def arms(self) -> Sequence[str]:
        return tuple(self.records)

    def label(self, arm: str) -> str:
        """The arm's name for readers."""
        return label_of(self.records[arm], arm)

    @property
    def other_tokens(self) -> bool:
        """Do the arms have different tokenizers, so that their losses per token are of different tokens?"""
        return len(tokenizers(self.records.values())) > 1

    def need_same_tokens(self) -> None:
        """Raise NoSubject if the arms have different tokenizers, so that their losses do not compare."""
        if self.other_tokens:
            raise NoSubject(OTHER_TOKENS)


class Disruption(Losses):
    """Losses of both arms at baseline, and with massive or random channels zeroed. Reads records of experiment 2."""

    def nats(self, arm: str) -> xr.DataArray:
        """Increase of the loss over the baseline [text, condition], nats per token; the baseline itself is left out."""
        nll = self.records[arm]["nll"]
        return (nll - nll.sel(condition="baseline")).drop_sel(condition="baseline")

    def massive(self, arm: str) -> np.ndarray:
        """Increase of the loss with the massive channels zeroed [text], nats per token."""
        return self.nats(arm).sel(condition="massive").values

    def controls(self, arm: str) -> np.ndarray:
        """Increase of the loss with random channels zeroed [text, control], nats per token."""
        return self.nats(arm).drop_sel(condition="massive").values

    def control(self, arm: str) -> np.ndarray:
        """The controls' mean [text]: every control is a replicate of the control, not of a text."""
        return self.controls(arm).mean(1)

    def nats_by_kind(self, arm: str) -> dict[str, np.ndarray]:
        """Increase of the loss with the massive channels zeroed, nats per token, per text, grouped by kind of text."""
        nats, kinds = self.massive(arm), self.records[arm]["kind"].values
        return {str(kind): nats[kinds == kind] for kind in dict.fromkeys(kinds)}

    def percent_by_kind(self, arm: str) -> dict[str, np.ndarray]:
        """The same as increase of perplexity in percent. Raises NoSubject for one that no perplexity can tell."""
        need_perplexity(arm, self.massive(arm))
        return {kind: 100 * np.expm1(nats) for kind, nats in self.nats_by_kind(arm).items()}

    def zeroed(self, arm: str) -> int:
        """Number of query and key channels that were zeroed as massive; if texts differ, that of the text with most."""
        masks = [self.records[arm][f"{name}_zeroed"] for name in EDITED]
        return sum(int(mask.sum([dim for dim in mask.dims if dim != "text"]).max()) for mask in masks)

    def need(self, *arms: str) -> None:
        """Raise NoSubject unless at least one channel is zeroed in every one of `arms`."""
        for arm in arms:
            if not self.zeroed(arm):
                raise NoSubject(f"the {arm} arm has no massive query or key channel to zero: there is nothing to judge")


def need_perplexity(arm: str, nats: np.ndarray) -> None:
    """Raise NoSubject for losses, or increases of losses, in nats per token, whose exponential is no usable number."""
    if nats.max() > MOST:
        raise NoSubject(f"the {arm} arm loses {nats.max():.3g} nats per token, more than a perplexity can tell")


class Bands(Losses):
    """Losses of the RoPE arm at baseline, and with slow or fast channels zeroed. Reads records of `measure_bands`."""

    def nats(self, band: str) -> np.ndarray:
        """Increase of the loss over the baseline [text] with the channels of a band zeroed, nats per token."""
        nll = self.records["rope"]["nll"]
        return (nll.sel(condition=band) - nll.sel(condition="baseline")).values

    def zeroed(self, band: str) -> int:
        """Number of query and key channels that were zeroed."""
        return sum(int(self.records["rope"][f"{name}_{band}"].sum()) for name in EDITED)

    def need(self) -> None:
        """Raise NoSubject unless a layer rotates, at known frequencies, and has massive query or key channels."""
        frequency = self.records["rope"]["frequency"].values
        if np.isnan(frequency).any():
            raise NoSubject("how the rope arm rotates cannot be read from it, so it has neither slow nor fast channels")
        if not frequency.any():
            raise NoSubject("no layer of the rope arm rotates, so it has neither slow nor fast channels")
        if not self.zeroed("slow"):
            raise NoSubject(
                "no layer of the rope arm that rotates has a massive query or key channel: there is nothing to judge"
            )


class Specificity(Losses):
    """Losses of both arms with massive channels, and with others that compare with them, zeroed or put to their mean.

    Reads records of `measure_specificity`. `value` is what is put into the channels: "zero" or "mean".
    """

    def nats(self, arm: str, selected: str, value: str) -> np.ndarray:
        """Increase of the loss over the baseline [text] with a selection replaced, nats per token."""
        nll = self.records[arm]["nll"]
        return (nll.sel(condition=f"{selected}, {value}") - nll.sel(condition="baseline")).values

    def drawn(self, arm: str, value: str) -> np.ndarray:
        """The same with each draw of random channels of equal energy replaced [text, draw]."""
        return np.stack([self.nats(arm, f"energy {i}", value) for i in range(DRAWS)], 1)

    def share(self, arm: str, selected: str) -> float:
        """Percent of the energy of query and key states that a selection holds, mean over layers and both tensors."""
        record = self.records[arm].sel(condition=f"{selected}, zero")
        return 100 * float(np.mean([record[f"{name}_share"].values for name in EDITED]))

    def replaced(self, arm: str, selected: str = "massive") -> int:
        """Number of query and key channels of a selection."""
        record = self.records[arm].sel(condition=f"{selected}, zero")
        return sum(int(record[f"{name}_replaced"].sum()) for name in EDITED)

    def compare(self, arm: str, other: str, value: str) -> str:
        """Damage, energy, and damage for each percent of the energy, of massive channels and of another of GROUPS."""
        return "; ".join(self._describe(arm, group, value) for group in ("massive", other))

    def _describe(self, arm: str, group: str, value: str) -> str:
        nats = float(np.mean([self.nats(arm, selected, value) for selected in GROUPS[group]]))
        share = float(np.mean([self.share(arm, selected) for selected in GROUPS[group]]))
        channels = float(np.mean([self.replaced(arm, selected) for selected in GROUPS[group]]))
        each = f", {nats / share:.3g} nats for each percent" if share else ""
        return f"{group} {nats:+.3g} nats, {channels:.4g} channels with {share:.3g} % of the energy{each}"

    def need(self, arm: str) -> None:
        """Raise NoSubject unless a channel of the arm is massive."""
        if not self.replaced(arm):
            raise NoSubject(f"the {arm} arm has no massive query or key channel to replace: there is nothing to judge")
