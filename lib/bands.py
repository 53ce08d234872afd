"""What zeroing channels of slow and of fast rotary pairs costs the RoPE arm, computed from a record."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr

from lib.verdicts import NoSubject

EDITED = ("query", "key")


@dataclass(frozen=True)
class Bands:
    """Losses of the RoPE arm with nothing, slow or fast channels zeroed. Reads the record of `measure_bands`."""

    records: Mapping[str, xr.Dataset]

    def nats(self, band: str) -> np.ndarray:
        """Increase of the loss over the baseline [text] with the channels of a band zeroed, nats per token."""
        nll = self.records["rope"]["nll"]
        return (nll.sel(condition=band) - nll.sel(condition="baseline")).values

    def zeroed(self, band: str) -> int:
        """Number of query and key channels that were zeroed."""
        return sum(int(self.records["rope"][f"{name}_{band}"].sum()) for name in EDITED)

    def need(self) -> None:
        """Raise NoSubject where no layer rotates, it is not known how, or nothing is massive in those that do."""
        frequency = self.records["rope"]["frequency"].values
        if np.isnan(frequency).any():
            raise NoSubject("how the rope arm rotates cannot be read from it, so it has neither slow nor fast channels")
        if not frequency.any():
            raise NoSubject("no layer of the rope arm rotates, so it has neither slow nor fast channels")
        if not self.zeroed("slow"):
            raise NoSubject(
                "no layer of the rope arm that rotates has a massive query or key channel: there is nothing to judge"
            )
