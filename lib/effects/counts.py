"""Counts of massive values and everything that claims make of them, from records: one number per text."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import xarray as xr
from scipy import stats

from lib.definitions import ARMS, NAMES, Name, Scope, massive_mask, ranks, slow_half
from lib.effects.concentration import gini
from lib.judging import NoSubject, Ratio, ratio
from lib.records import label_of


def too_few(least: int) -> str:
    """Why fewer massive values per text than so many decide nothing."""
    if least == 1:
        return "fewer than 1: there is nothing to judge"
    return f"fewer than {least}: a percentage of so few says nothing"


class Rates:
    """Rates: massive channels over channels. They compare tensors and arms with different numbers of channels.

    `MassiveValues` and `lib.published.PublishedValues` give `arms`, `totals`, `counts`, `channels` and `layers`.
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

    def change(self, name, arm: str = "drope") -> Ratio:
        """Change of the count from the RoPE arm to `arm`, in percent of the RoPE arm's: a ratio of means over texts.

        Where both have different numbers of channels, it is that of the share of channels.
        """
        before = self._some(name)
        return ratio(self.totals(arm, name) * self._scale(name, arm) - before, before)

    def change_against(self, name, arm: str, control: str) -> Ratio:
        """Count of `arm` minus that of `control`, in percent of the RoPE arm's: points between two changes."""
        after, other = (self.totals(a, name) * self._scale(name, a) for a in (arm, control))
        return ratio(after - other, self._some(name))

    def _some(self, name) -> np.ndarray:
        """The counts of the RoPE arm [text]. Raises NoSubject where all of them are 0."""
        totals = self.totals("rope", name)
        if not totals.any():
            raise NoSubject(f"there is no massive {name} value in the RoPE arm, so there is no percentage of it")
        return totals

    def _scale(self, name, arm: str) -> float:
        """Channels of the RoPE arm for each channel of an arm."""
        return self.size("rope", name) / self.size(arm, name)

    @property
    def uneven(self) -> bool:
        """Do tensors or arms differ in layers or channels, so that rates compare and counts do not?"""
        return len({(self.layers(arm), self.channels(name, arm)) for arm in self.arms for name in NAMES}) > 1

    def alike(self, arm: str, name, other) -> bool:
        """Do two tensors of an arm have equally many channels, so that their counts compare?"""
        return not self.uneven or self.channels(name, arm) == self.channels(other, arm)

    def describe_rates(self, *series: tuple[str, str], layer: int | None = None) -> str:
        """The mean rates of (arm, tensor) pairs in words, over all layers or in one; "" if counts compare."""
        return ", ".join(self._describe_rate(arm, name, layer) for arm, name in series) if self.uneven else ""

    def _describe_rate(self, arm: str, name: str, layer: int | None) -> str:
        if layer is None:
            return f"{arm} {name} {self.rates(arm, name).mean():.3g} % of {self.size(arm, name)} channels"
        rate = self.layer_rates(arm, name)[:, layer].mean()
        return f"{arm} {name} {rate:.3g} % of the {self.channels(name, arm)} channels of layer {layer}"

    def describe_layer(self, name) -> str:
        """What one layer and one channel are of in the RoPE arm."""
        return f"{self.layers('rope')} layers of {self.channels(name)} channels"

    def other_layers(self) -> str:
        """The reason why arms cannot be compared layer by layer; "" if they can."""
        numbers = [self.layers(arm) for arm in self.arms]
        if len(set(numbers)) == 1:
            return ""
        return f"the arms have {' and '.join(map(str, numbers))} layers, so layers do not correspond"

    def need_layers(self) -> None:
        """Raise NoSubject unless all arms have equally many layers."""
        if reason := self.other_layers():
            raise NoSubject(reason)


@dataclass(frozen=True)
class MassiveValues(Rates):
    """The massive values of both arms, text by text. Reads the records of experiment 1; needs no model.

    Without `first`, the first position of every text is left out. `records` may hold more arms than two (`dropped`,
    `continued`, `yarn`). Arms may have different shapes: methods that compare them compare shares of channels, and
    raise NoSubject if layers or channels do not correspond.
    """

    records: Mapping[str, xr.Dataset]
    threshold: float = 5.0
    scope: Scope = "layer"
    first: bool = True

    @cached_property
    def masks(self) -> Mapping[tuple[str, Name], np.ndarray]:
        """Bool [text, layer, head, dim] for each (arm, name), computed on first use."""
        return _Masks(self)

    def counts(self, arm: str, name: Name) -> np.ndarray:
        """Number of massive channels [text, layer]."""
        return self.masks[arm, name].sum((2, 3))

    def totals(self, arm: str, name: Name) -> np.ndarray:
        """Number of massive channels over all layers [text]."""
        return self.counts(arm, name).sum(1)

    @property
    def arms(self) -> Sequence[str]:
        return tuple(self.records)

    def label(self, arm: str) -> str:
        """The arm's name for readers."""
        return label_of(self.records[arm], arm)

    def shape(self, arm: str, name: Name) -> tuple[int, int, int]:
        """Layers, heads and dims of a tensor's states."""
        return self.records[arm][f"{name}_norm"].shape[1:]

    def layers(self, arm: str) -> int:
        """Layers of an arm."""
        return next(self.shape(arm, name)[0] for name in NAMES if f"{name}_norm" in self.records[arm])

    def channels(self, name: Name, arm: str = "rope") -> int:
        """Channels of one layer."""
        _, heads, dim = self.shape(arm, name)
        return heads * dim

    def change_per_layer(self, name: Name) -> np.ndarray:
        """Change of the count from the RoPE to the DroPE arm [text, layer], in channels of the RoPE arm's layer.

        Raises NoSubject if the arms have different numbers of layers.
        """
        self.need_layers()
        before, after = self.counts("rope", name), self.counts("drope", name)
        return after * self.channels(name) / self.channels(name, "drope") - before

    def change_but_for(self, name: Name, layer: int) -> np.ndarray:
        """Change of the count from the RoPE to the DroPE arm, mean over all layers but one, in channels [text]."""
        return np.delete(self.change_per_layer(name), layer, axis=1).mean(1)

    def loss_change(self, arm: str) -> np.ndarray:
        """Loss of each text in `arm` minus its loss in the RoPE arm, nats per token."""
        return self.records[arm]["nll"].values - self.records["rope"]["nll"].values

    def moved_share(self, name: Name) -> np.ndarray:
        """Percent of the count that sits in other layers in the DroPE arm than in the RoPE arm, per text.

        The share that moves is half the sum of the absolute differences of the layers' shares (total variation): 0 when
        every layer keeps its share, 100 when no layer has massive values in both arms. Noise makes absolute differences
        large, whatever moves. So whether a layer gains or loses is taken from all other texts, and the text's own
        differences are added up with these signs: what is noise then cancels.
        Raises NoSubject for fewer than 3 texts, or a text without massive values.
        """
        self.need_layers()
        shares = []
        for arm in ARMS:
            counts = self.counts(arm, name)
            if not counts.any(1).all():
                raise NoSubject(f"a text has no massive {name} value in the {arm} arm, so none can have moved")
            shares.append(counts / counts.sum(1, keepdims=True))
        gains = shares[1] - shares[0]
        if len(gains) < 3:
            raise NoSubject(f"{len(gains)} texts are too few to tell what moves from noise, 3 are needed")
        others = gains.sum(0) - gains
        signs = np.where(np.abs(others) > 1e-12, np.sign(others), 0.0)  # a rounding error is no direction
        return 50 * (signs * gains).sum(1)

    def kept(self, name: Name, arm: str) -> Ratio:
        """Percent of the RoPE arm's massive channels that are massive in `arm`, too: a ratio of means over texts.

        Raises NoSubject if the arms have states of different shape, whose channels do not correspond.
        """
        if reason := self._other_channels(name, arm):
            raise NoSubject(reason)
        self._some(name)
        before, after = self.masks["rope", name], self.masks[arm, name]
        return ratio((before & after).sum((1, 2, 3)), before.sum((1, 2, 3)))

    def slow_share(self, arm: str, name: Name, least: int = 1) -> np.ndarray:
        """Percent of the massive channels on rotary pairs that belong to the slower half of them, per text.

        Layers that do not rotate and dims that a partial rotation leaves out have no pairs, and count in neither half.
        """
        turning, slow = self.on_pairs(arm, name), self.masks[arm, name] & slow_half(self.frequency(arm))[:, None]
        if not turning.all():
            raise NoSubject(f"a text has no massive {name} value on a rotary pair in the {arm} arm: there is no share")
        if turning.mean() < least:
            few = f"the {arm} arm has {turning.mean():.2g} massive {name} values per text on rotary pairs"
            raise NoSubject(f"{few}, {too_few(least)}")
        return 100 * slow.sum((1, 2, 3)) / turning

    def on_pairs(self, arm: str, name: Name) -> np.ndarray:
        """Number of massive channels whose dim turns with the position [text]."""
        frequency = self.frequency(arm)
        if np.isnan(frequency).any():
            raise NoSubject(f"how the {arm} arm rotates cannot be read from it, so its channels have no frequencies")
        if not frequency.any():
            raise NoSubject(f"no layer of the {arm} arm rotates, so its channels have no frequencies")
        return (self.masks[arm, name] & (frequency > 0)[:, None]).sum((1, 2, 3))

    def per_pair(self, arm: str, name: Name) -> np.ndarray:
        """Massive channels of each rotary pair [pair], fastest first: all layers and heads, mean over texts.

        Empty for an arm that does not rotate: its channels lie on no pairs.
        """
        rank = ranks(self.frequency(arm))
        per_dim = self.masks[arm, name].sum(2).mean(0)
        return np.bincount(rank[rank >= 0], per_dim[rank >= 0], minlength=rank.max() + 1)

    def frequency(self, arm: str) -> np.ndarray:
        """Radians per position by which each dim of query and key turns [layer, dim]; 0 if it does not turn."""
        return self.records[arm]["frequency"].values

    def norms(self, arm: str, name: Name) -> np.ndarray:
        """Channel norms [text, layer, head x dim]."""
        norms = self.records[arm][f"{name}_norm"].values
        return norms.reshape(*norms.shape[:2], -1)

    def gini(self, arm: str, name: Name) -> np.ndarray:
        """Gini coefficient of a layer's channel norms, mean over layers, per text."""
        return gini(self.norms(arm, name)).mean(1)

    def rank_agreement(self, arm: str, name: Name) -> np.ndarray:
        """Spearman's rho of the channels' norms with the norms of the weights' rows, in the median layer, per text."""
        if not np.ptp(self._row_norms(arm, name), axis=1).all():
            raise NoSubject(f"all rows of a layer's {name} projection have the same norm, so they rank no channel")
        return np.median(self.rank_agreement_per_layer(arm, name), axis=1)

    def rank_agreement_per_layer(self, arm: str, name: Name) -> np.ndarray:
        """Spearman's rho [text, layer] of norms and row norms; NaN if all rows have the same norm."""
        ranks = stats.rankdata(self._row_norms(arm, name), axis=1)
        with np.errstate(invalid="ignore", divide="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore", stats.ConstantInputWarning)
            return stats.pearsonr(ranks, stats.rankdata(self.norms(arm, name), axis=-1), axis=-1).statistic

    def _row_norms(self, arm: str, name: Name) -> np.ndarray:
        """Norms of the projection's rows [layer, head x dim]."""
        if f"{name}_row_norm" not in self.records[arm]:
            raise NoSubject(f"the {arm} arm has no {name} projection of its own, so it has no rows that rank channels")
        rows = self.records[arm][f"{name}_row_norm"].values
        return rows.reshape(len(rows), -1)

    def overlap(self, name: Name, arm: str = "drope") -> tuple[np.ndarray, np.ndarray]:
        """How far the massive channels of the RoPE arm and of `arm` are the same, layer by layer, all texts together.

        Returns the share of the RoPE arm's massive channels that are massive in `arm` too, and the Jaccard index
        (massive in both / massive in either): both [layer], from 0 to 1, NaN for a layer without massive channels.
        Raises ValueError if the arms have states of different shape, whose channels do not correspond.
        """
        if reason := self._other_channels(name, arm):
            raise ValueError(reason)
        before, after = self.masks["rope", name], self.masks[arm, name]
        both, either, first = (mask.sum((0, 2, 3)) for mask in (before & after, before | after, before))
        with np.errstate(invalid="ignore"):
            return both / first, both / either

    def _other_channels(self, name: Name, arm: str) -> str:
        """The reason why channels of the RoPE arm and of `arm` do not correspond; "" if they do."""
        if self.shape("rope", name) == self.shape(arm, name):
            return ""
        shapes = " and ".join(" x ".join(map(str, self.shape(a, name))) for a in ("rope", arm))
        return f"the arms have {name} states of {shapes} (layers x heads x dims), so channels do not correspond"

    def need(self, name: Name, *arms: str, layer: int | None = None, least: int = 1) -> None:
        """Raise NoSubject unless one of `arms` has at least so many massive values per text on average (in `layer`)."""
        if layer is not None and layer >= min(self.layers(a) for a in arms):
            raise NoSubject(f"the {' and '.join(arms)} arm has no layer {layer}: there is nothing to judge")
        counts = [self.totals(a, name) if layer is None else self.counts(a, name)[:, layer] for a in arms]
        if max(c.mean() for c in counts) < least:
            where = "" if layer is None else f" at layer {layer}"
            raise NoSubject(
                f"the {' and '.join(arms)} arm has {' and '.join(f'{c.mean():.4g}' for c in counts)} massive {name} "
                f"values per text{where}, {too_few(least)}"
            )


class _Masks(Mapping[tuple[str, Name], np.ndarray]):
    """The masks of all arms and tensors, each computed on first use: a claim on one tensor waits for no other."""

    def __init__(self, values: MassiveValues):
        self.values, self.made = values, {}

    def __getitem__(self, key: tuple[str, Name]) -> np.ndarray:
        if key not in self.made:
            arm, name = key
            norms = self.values.records[arm][f"{name}_{'norm' if self.values.first else 'rest_norm'}"].values
            self.made[key] = massive_mask(norms, threshold=self.values.threshold, scope=self.values.scope)
        return self.made[key]

    def __iter__(self) -> Iterator[tuple[str, Name]]:
        return ((arm, name) for arm in self.values.records for name in NAMES)

    def __len__(self) -> int:
        return len(self.values.records) * len(NAMES)
