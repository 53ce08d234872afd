"""Whether massive channels matter for what they are: against the next-largest, and random ones of equal energy."""

from collections.abc import Sequence

import torch
import xarray as xr
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from lib.definitions import DRAWS, EDITED, REPLACED_BY, SELECTED, Name, Scope, compared_conditions, pooled_norms
from lib.measuring.disruption import HEADS, loss_record, losses
from lib.measuring.interventions import chosen_mask, equal_energy, filling, next_largest, zeroing
from lib.measuring.keeping import Keep, at_once
from lib.measuring.logits import New, read_through
from lib.measuring.norms import Progress
from lib.models import Arm, input_device
from lib.probing import visiting
from lib.texts import Text


def measure_specificity(
    arm: Arm,
    ids: Tensor,
    texts: Sequence[Text],
    counted: dict[Name, Tensor],
    counting: Tensor,
    *,
    threshold: float,
    scope: Scope,
    seed: int,
    site: str = "projection",
    rows: int | None = None,
    chunk: int | None = None,
    progress: Progress = lambda n: None,
    keep: Keep = at_once,
) -> xr.Dataset:
    """The loss of every text with the massive, the next-largest, or random channels of equal energy replaced.

    Each selection is zeroed, and replaced by the channels' means over the counting texts. `counted[name]` are the norms
    [text, layer, head, dim] of the counting texts, whose tokens are `counting` [text, pos]. The record has the
    conditions of `lib.definitions.compared_conditions`, what is replaced in each (`query_replaced` and `key_replaced`
    [condition, layer, head, dim]), and the share of a layer's energy that it holds (`query_share` and `key_share`
    [condition, layer], from 0 to 1, over the counting texts).
    Raises ValueError unless the loss with nothing replaced equals the plain forward pass.
    """
    norms = {name: pooled_norms(counted[name]) for name in EDITED}
    chosen = {name: chosen_mask(counted[name], threshold=threshold, scope=scope) for name in EDITED}
    tables = {name: selections(norms[name], chosen[name], name=name, seed=seed) for name in EDITED}
    on_device = {name: table.to(input_device(arm.model)) for name, table in tables.items()}
    empty_first = {name: torch.cat([torch.zeros_like(table[:1]), table]) for name, table in on_device.items()}
    means = means_of_texts(arm.model, counting.to(input_device(arm.model)), site, chunk)
    found = [
        losses(
            arm,
            ids,
            texts,
            [tables_of] * len(ids),
            rows=rows,
            site=site,
            chunk=chunk,
            replacing=replacing,
            progress=lambda n: progress(n / 2),
            keep=lambda name, measure, by=by: keep(f"{name}, {by}", measure),
        )
        for by, tables_of, replacing in (("zeroed", empty_first, zeroing), ("averaged", on_device, filling(means)))
    ]
    record = loss_record(torch.cat(found, 1), compared_conditions(), texts, {})
    every = {name: torch.cat([torch.zeros_like(t[:1]), *[t] * len(REPLACED_BY)]) for name, t in tables.items()}
    return record.assign(
        {f"{name}_replaced": (("condition", "layer", HEADS[name], "dim"), every[name].numpy()) for name in EDITED}
        | {f"{name}_share": (("condition", "layer"), energy_share(norms[name], every[name]).numpy()) for name in EDITED}
    )


def selections(norms: Tensor, massive: Tensor, *, name: str, seed: int) -> Tensor:
    """The compared channels, bool [selection, layer, head, dim], in the order of `lib.definitions.SELECTED`."""
    drawn = [equal_energy(norms, massive, f"{seed}/{name}/energy/{i}") for i in range(DRAWS)]
    found = torch.stack([massive, next_largest(norms, massive), *drawn])
    if len(found) != len(SELECTED):
        raise ValueError(f"{len(found)} selections were made, and {len(SELECTED)} are named")
    return found


def energy_share(
    norms: Float[Tensor, "layer head dim"], masks: Bool[Tensor, "condition layer head dim"]
) -> Float[Tensor, "condition layer"]:
    """The share of a layer's energy, the sum of its squared norms, that the marked channels hold: from 0 to 1."""
    energy = norms.double().square()
    return (energy * masks).sum((-2, -1)) / energy.sum((-2, -1))


@torch.inference_mode()
def means_of_texts(
    model: nn.Module, ids: Int[Tensor, "text pos"], site: str = "projection", chunk: int | None = None
) -> dict[Name, Float[Tensor, "layer head dim"]]:
    """Mean of each query and key channel over all positions of all texts [text, pos], computed in float64."""
    sums: dict[Name, dict[int, Tensor]] = {name: {} for name in EDITED}
    for row in ids:
        new = New(len(row), chunk)

        def visit(name: Name, layer: int, states: Tensor, new: New = new) -> None:
            if name in sums:
                _, states = new((name, layer), states)
                total = states.sum((0, 1), dtype=torch.float64)
                sums[name][layer] = sums[name][layer] + total if layer in sums[name] else total

        with visiting(model, visit, site):
            read_through(model, row[None], chunk)
    return {name: torch.stack([layers[i].cpu() for i in sorted(layers)]) / ids.numel() for name, layers in sums.items()}
