"""What the modules of a layer and the largest values of the stream are worth: an arm and texts in, a record out.

Every condition is a row of one batch, with its own edit. Sources: Sun et al. 2024 for the massive activations, which
are replaced behind the layer at which they appear; Africa 2026, experiments 4 to 6, for what is zeroed in layer 1 and
at the first position.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial

import numpy as np
import torch
import xarray as xr
from jaxtyping import Bool, Float
from torch import Tensor, nn

from lib.definitions import IN_MODULES, OF_ACTIVATIONS, Activations, Name, activations, is_massive
from lib.measuring.keeping import Keep, at_once
from lib.measuring.norms import Progress, rows_that_fit, text_coordinates
from lib.measuring.scoring import in_batches, score
from lib.models import Arm, input_device
from lib.probing import Place, find_places, looking, visiting
from lib.texts import Text

LAYER = 1
"""The layer that the study speaks of."""


def spike_layer(stream: xr.Dataset) -> int:
    """The layer behind which the first position's norm grows most, in proportion to that of the others."""
    norms = stream["stream_norm"].mean("text")
    ratio = (norms.sel(where="first") / norms.sel(where="rest")).values
    return int((ratio[1:] / ratio[:-1]).argmax())


def measure_modules(
    arm: Arm,
    ids: Tensor,
    texts: Sequence[Text],
    stream: xr.Dataset,
    *,
    seed: int,
    rows: int | None = None,
    progress: Progress = lambda n: None,
    keep: Keep = at_once,
) -> xr.Dataset:
    """The loss of every text, `ids` [text, pos], in every one of IN_MODULES.

    Zeroed are what attention, the MLP or `both` add to the stream in layer 1; what the MLP of the spike layer adds at
    the first position; the values of the first position in all layers; and the massive activations of the text, behind
    the layer at which they appear. These are also put to their mean over the counting texts, of which `stream` is the
    record, and as many other channels, drawn by `seed` for every text, are zeroed at their positions. Without massive
    activations these three are left out. `replaced` [text] is the number of massive activations that were replaced.
    Raises ValueError unless a pass with empty edits equals a plain one to the last bit.
    """
    model, ids = arm.model, ids.to(input_device(arm.model))
    massive = activations(stream)
    conditions = [c for c in IN_MODULES if massive or c not in OF_ACTIVATIONS]
    spike, number = spike_layer(stream), min(LAYER, len(find_places(model)) - 1)
    rows, proven = rows or rows_that_fit(arm, ids.shape[1]), False

    def measure(row: Tensor, text: Text) -> list[np.ndarray]:
        nonlocal rows, proven
        editing = Editing(number, spike, massive, f"{seed}/{text.name}")
        if not proven:
            prove_harmless(model, row[None], editing)
            proven = True
        run = partial(scored, model, row, conditions, editing)
        loss, rows = in_batches(run, len(conditions), min(rows, len(conditions)))
        return [loss.double().numpy(), np.array(editing.replaced, dtype=np.int64)]

    found = []
    for row, text in zip(ids, texts, strict=True):
        found.append(keep(text.name, partial(measure, row, text)))
        progress(1)
    losses, replaced = (np.stack(each) for each in zip(*found, strict=True))
    return xr.Dataset(
        {
            "nll": (("text", "condition"), losses, {"units": "nats per token"}),
            "replaced": ("text", replaced),
            "layer": number,
            "spike": spike,
            "massive_at": massive.index if massive else -1,
        },
        coords={**text_coordinates(texts), "condition": conditions},
    )


class Editing:
    """The edits of one text: which states each condition replaces."""

    def __init__(self, layer: int, spike: int, massive: Activations | None, seed: str):
        self.layer, self.spike, self.massive, self.seed, self.replaced = layer, spike, massive, seed, 0

    def looks(self, conditions: Sequence[str]) -> Callable[[Place, int, Tensor], Tensor | None]:
        """A look that edits the row of each of these conditions."""

        def look(place: Place, index: int, states: Tensor) -> Tensor | None:
            edits = {row: self._edited(c, place, index, states[row]) for row, c in enumerate(conditions)}
            return _put(states, {row: edited for row, edited in edits.items() if edited is not None})

        return look

    def visits(self, conditions: Sequence[str]) -> Callable[[Name, int, Tensor], Tensor | None]:
        """A visit that zeroes the first value in the row of the condition that says so."""

        def visit(name: Name, layer: int, states: Tensor) -> Tensor | None:
            if name != "value" or "value at first" not in conditions:
                return None
            row = conditions.index("value at first")
            return _put(states, {row: _first_zeroed(states[row])})

        return visit

    def _edited(self, condition: str, place: Place, index: int, states: Tensor) -> Tensor | None:
        """The states [pos, width] of a row after its condition's edit; None where it makes none."""
        if place != "stream":
            if index == self.layer and condition in (place, "both"):
                return torch.zeros_like(states)
            if (condition, place, index) == ("mlp at first", "mlp", self.spike):
                return _first_zeroed(states)
        elif self.massive and index == self.massive.index and condition in OF_ACTIVATIONS:
            return self._without_massive(condition, states, self.massive.means)
        return None

    def _without_massive(self, condition: str, states: Tensor, means: Mapping[int, float]) -> Tensor:
        chosen = massive_of(states, means)
        self.replaced = int(chosen.sum())
        if condition == "random zeroed":
            return states.masked_fill(others(chosen, self.seed), 0)
        values = torch.zeros(states.shape[-1], device=states.device, dtype=states.dtype)
        if condition == "massive at mean":
            values[list(means)] = torch.tensor(list(means.values())).to(values)
        return torch.where(chosen, values, states)


def massive_of(states: Float[Tensor, "pos width"], channels: Mapping[int, float]) -> Bool[Tensor, "pos width"]:
    """The massive activations of a text in channels where the counting texts had some."""
    magnitudes = states.float().abs()
    known = torch.zeros(states.shape[-1], dtype=torch.bool, device=states.device)
    known[list(channels)] = True
    return is_massive(magnitudes, magnitudes.median()) & known


def others(chosen: Bool[Tensor, "pos width"], seed: str) -> Bool[Tensor, "pos width"]:
    """As many other channels at each position, drawn by the seed."""
    rng = np.random.default_rng(list(seed.encode()))
    found = torch.zeros_like(chosen)
    for position in chosen.any(-1).nonzero()[:, 0].tolist():
        free = (~chosen[position]).nonzero()[:, 0].tolist()
        found[position, rng.choice(free, int(chosen[position].sum()), replace=False)] = True
    return found


@torch.inference_mode()
def scored(model: nn.Module, ids: Tensor, conditions: Sequence[str], editing: Editing, start: int, stop: int) -> Tensor:
    """Losses [condition] of one text, `ids` [pos], in the conditions from `start` to `stop`."""
    rows = conditions[start:stop]
    with ExitStack() as stack:
        stack.enter_context(looking(model, editing.looks(rows)))
        stack.enter_context(visiting(model, editing.visits(rows)))
        return score(model, ids.expand(len(rows), -1))


def prove_harmless(model: nn.Module, ids: Tensor, editing: Editing) -> None:
    """Raise ValueError unless the loss of a text with empty edits equals that of a plain pass to the last bit."""
    empty = scored(model, ids[0], ["baseline"], editing, 0, 1)
    if not torch.equal(empty, plain := score(model, ids)):
        raise ValueError(f"with nothing replaced the loss is {empty.item()}, and {plain.item()} in a plain pass")


def _put(states: Tensor, rows: Mapping[int, Tensor]) -> Tensor | None:
    if not rows:
        return None
    states = states.clone()
    for row, edited in rows.items():
        states[row] = edited
    return states


def _first_zeroed(states: Tensor) -> Tensor:
    """The same with zeros at the first position."""
    return torch.cat([torch.zeros_like(states[:1]), states[1:]])
