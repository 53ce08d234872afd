"""Experiment 2: the loss of texts while channels are replaced. An arm and texts in, a record of losses out."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from lib.definitions import BANDS, EDITED, Name, Protocol, Scope, conditions, pooled_norms
from lib.measuring.interventions import (
    REPLACEMENTS,
    Masks,
    both_bands,
    chosen_mask,
    condition_masks,
    smallest_of_heads,
    top_of_heads,
    zeroing,
)
from lib.measuring.keeping import Keep, at_once
from lib.measuring.logits import read_through
from lib.measuring.norms import Progress, Squares, rows_that_fit, text_coordinates
from lib.measuring.scoring import score, score_after_prompt, score_conditions
from lib.models import Arm, input_device
from lib.probing import Visit, geometry, visiting
from lib.texts import Text

CHECKED = 32
"""Number of tokens on which every run checks that an empty mask does nothing; it takes hardly any time."""
HEADS = {"query": "head", "key": "kv_head"}
OF_HEADS = {"top of each head": top_of_heads, "smallest of each head": smallest_of_heads}


def measure_protocol(
    arm: Arm,
    ids: Tensor,
    texts: Sequence[Text],
    protocol: Protocol,
    counted: dict[Name, Tensor],
    *,
    threshold: float,
    scope: Scope,
    controls: int,
    seed: int,
    site: str,
    chunk: int | None = None,
    progress: Progress = lambda n: None,
    keep: Keep = at_once,
) -> xr.Dataset:
    """Experiment 2 by a protocol: a record with the conditions baseline, massive, control 0, ..

    `counted[name]` are the norms [text, layer, head, dim] of the counting texts; protocols that choose their channels
    on other tokens ignore them. `threshold` and `scope` define massive channels, `controls` and `seed` the random
    draws; protocols without massive or without random channels ignore these, too. `chunk` is as in `score_conditions`.
    Raises ValueError for a chunk and a protocol that edits a prompt: it puts means over the prompt there.
    """
    if protocol.chosen_on == "prompt":
        if chunk is not None:
            raise ValueError(f"the protocol {protocol.name} reads a prompt at once: leave out --chunk")
        return measure_prompts(arm, ids, texts, protocol, site=site, progress=progress, keep=keep)
    norms = counted if protocol.chosen_on == "count" else norms_of_texts(arm, ids, site, chunk)
    chosen = {name: chosen_mask(norms[name], threshold=threshold, scope=scope) for name in EDITED}
    how = {"replacing": REPLACEMENTS[protocol.replacement], "site": site, "progress": progress, "keep": keep}
    return measure_disruption(arm, ids, texts, chosen, controls=controls, seed=seed, chunk=chunk, **how)


def measure_disruption(
    arm: Arm,
    ids: Tensor,
    texts: Sequence[Text],
    chosen: dict[Name, Tensor],
    *,
    controls: int,
    seed: int,
    replacing: Callable[[Masks], Visit] = zeroing,
    site: str = "projection",
    rows: int | None = None,
    chunk: int | None = None,
    progress: Progress = lambda n: None,
    keep: Keep = at_once,
) -> xr.Dataset:
    """Experiment 2: the loss of every text with nothing zeroed, the massive channels zeroed, and random ones zeroed.

    `chosen[name]` is bool [layer, head, dim] for query and key; the result leaks if it was chosen on the scored texts.
    All conditions of a text run as rows of one batch; baseline and massive are deterministic and run once. A `chunk` is
    as in `score_conditions`.
    Raises ValueError unless the baseline equals the plain forward pass: an empty mask must do nothing.
    """
    tables = {
        name: condition_masks(chosen[name], name=name, controls=controls, seed=seed).to(input_device(arm.model))
        for name in EDITED
    }
    how = {"site": site, "replacing": replacing, "chunk": chunk}
    nll = losses(arm, ids, texts, [tables] * len(ids), rows=rows, progress=progress, keep=keep, **how)
    return loss_record(nll, conditions(controls), texts, {f"{name}_zeroed": chosen[name] for name in EDITED})


def measure_prompts(
    arm: Arm,
    ids: Tensor,
    texts: Sequence[Text],
    protocol: Protocol,
    *,
    site: str = "projection",
    rows: int | None = None,
    progress: Progress = lambda n: None,
    keep: Keep = at_once,
) -> xr.Dataset:
    """Experiment 2 by a protocol that edits prompts: the loss of every text after its prompt, in the same conditions.

    Channels are chosen by their norms over the prompt, in a clean pass over it, and replaced in a second pass. The rest
    of the text is read from that cache with nothing replaced. The record's masks are [text, layer, head, dim].
    Raises ValueError unless the baseline equals the same two passes without a probe.
    """
    prompt = protocol.prompt_tokens(ids.shape[1])
    chosen, tables = [], []
    for row in ids.to(input_device(arm.model)):
        norms = norms_of(arm.model, row[:prompt], site)
        top, control = (
            {name: OF_HEADS[of](norms[name]) for name in EDITED} for of in (protocol.selection, protocol.control)
        )
        chosen.append(top)
        tables.append({name: torch.stack([torch.zeros_like(c), c, control[name]]) for name, c in top.items()})
    how = {"replacing": REPLACEMENTS[protocol.replacement], "site": site, "prompt": prompt}
    nll = losses(arm, ids, texts, tables, rows=rows, progress=progress, keep=keep, **how)
    replaced = {f"{name}_zeroed": torch.stack([masks[name] for masks in chosen]) for name in EDITED}
    return loss_record(nll, conditions(1), texts, replaced)


def measure_bands(
    arm: Arm,
    ids: Tensor,
    texts: Sequence[Text],
    counted: dict[Name, Tensor],
    frequency: Tensor,
    *,
    threshold: float,
    scope: Scope,
    site: str = "projection",
    chunk: int | None = None,
    progress: Progress = lambda n: None,
    keep: Keep = at_once,
) -> xr.Dataset:
    """The loss of every text with nothing zeroed, and with the largest channels of slow or of fast rotary pairs zeroed.

    `counted[name]` are the norms [text, layer, head, dim] of the counting texts. `frequency` [layer, dim] is in radians
    per position, with 0 or NaN for dims that are not known to turn. In every layer and tensor, as many channels of each
    band are zeroed as are massive.
    Raises ValueError like `measure_disruption`.
    """
    massive = {name: chosen_mask(counted[name], threshold=threshold, scope=scope) for name in EDITED}
    by_name = {name: both_bands(pooled_norms(counted[name]), massive[name], frequency) for name in EDITED}
    empty = {name: torch.zeros_like(bands["slow"]) for name, bands in by_name.items()}
    tables = {name: torch.stack([empty[name], *(bands[band] for band in BANDS)]) for name, bands in by_name.items()}
    nll = losses(arm, ids, texts, [tables] * len(ids), site=site, chunk=chunk, progress=progress, keep=keep)
    zeroed = {f"{name}_{band}": bands[band] for name, bands in by_name.items() for band in BANDS}
    record = loss_record(nll, ["baseline", *BANDS], texts, zeroed)
    return record.assign(frequency=(("layer", "dim"), frequency.numpy()))


def norms_of(
    model: torch.nn.Module, row: Tensor, site: str = "projection", chunk: int | None = None
) -> dict[Name, Tensor]:
    """Norms of the query and key channels of one text [pos] in a plain pass: {name: [layer, head, dim]}."""
    sums = Squares(geometry(model).layers, len(row), chunk)
    with visiting(model, sums.visit, site):
        read_through(model, row[None], chunk)
    return {name: sums.norms(name)[0] for name in EDITED}


def norms_of_texts(arm: Arm, ids: Tensor, site: str = "projection", chunk: int | None = None) -> dict[Name, Tensor]:
    """Norms of the query and key channels of several texts [text, pos]: {name: [text, layer, head, dim]}."""
    of_texts = [norms_of(arm.model, row, site, chunk) for row in ids.to(input_device(arm.model))]
    return {name: torch.stack([norms[name] for norms in of_texts]) for name in EDITED}


def losses(
    arm: Arm,
    ids: Tensor,
    texts: Sequence[Text],
    tables: Sequence[Masks],
    *,
    rows: int | None = None,
    progress: Progress = lambda n: None,
    keep: Keep = at_once,
    **how,
) -> Tensor:
    """Losses [text, condition]: `tables` are the masks of each text, `how` are options of `score_conditions`.

    The loss of each text is kept under its name as it comes.
    """
    ids = ids.to(input_device(arm.model))
    rows = rows or rows_that_fit(arm, ids.shape[1], how.get("chunk"))
    checked = False

    def measure(row: Tensor, masks: Masks) -> list[np.ndarray]:
        nonlocal rows, checked
        if not checked:
            _check_that_nothing_replaced_changes_nothing(arm.model, row[:CHECKED], masks, **how)
            checked = True
        loss, rows = score_conditions(arm.model, row, masks, rows, **how)
        return [loss.numpy()]

    found = []
    for text, row, masks in zip(texts, ids, tables, strict=True):
        found += keep(text.name, partial(measure, row, masks))
        progress(1)
    return torch.from_numpy(np.stack(found))


def _check_that_nothing_replaced_changes_nothing(
    model: torch.nn.Module, row: Tensor, tables: Masks, *, prompt: int = 0, chunk: int | None = None, **how
) -> None:
    prompt, how["chunk"] = min(prompt, len(row) // 2), min(chunk, len(row) // 2) if chunk else None
    plain = score_after_prompt(model, row[None], prompt) if prompt else score(model, row[None], how["chunk"])
    empty = {name: torch.zeros_like(table[:1]) for name, table in tables.items()}
    baseline, _ = score_conditions(model, row, empty, 1, prompt=prompt, **how)
    if not torch.equal(plain, baseline):
        raise ValueError(f"with nothing replaced the loss is {baseline.item():.9g}, plain it is {plain.item():.9g}")


def loss_record(nll: Tensor, conditions: Sequence[str], texts: Sequence[Text], masks: dict[str, Tensor]) -> xr.Dataset:
    """A record of losses [text, condition] and of the replaced channels, masks [text?, layer, head, dim]."""
    masked = {
        variable: (("text", "layer", HEADS[variable.split("_")[0]], "dim")[-mask.ndim :], mask.numpy())
        for variable, mask in masks.items()
    }
    measured = {"nll": (("text", "condition"), nll.numpy(), {"units": "nats per token"})}
    return xr.Dataset({**measured, **masked}, coords={**text_coordinates(texts), "condition": list(conditions)})
