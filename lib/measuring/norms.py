"""Experiment 1: an arm and texts in, a record of norms out. Memory does not grow with the length of a text."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from lib.definitions import EDITED, NAMES, Name, Site
from lib.measuring.scoring import in_batches, score
from lib.models import Arm, check_ids, embedding_rows
from lib.probing import (
    Geometry,
    Tap,
    frequencies,
    geometry,
    position_response,
    positions_held,
    survey,
    unreadable,
    visiting,
)
from lib.texts import Text

Progress = Callable[[float], None]
"""Called with the number of texts that were just measured; with a half where half of a text's passes are done."""
POSITIONS_AT_ONCE = 128
QUANTIZED = ("Params4bit", "Int8Params")
"""Classes of weights that bitsandbytes has quantized."""


def measure_norms(
    arm: Arm,
    ids: Tensor,
    texts: Sequence[Text],
    *,
    site: Site = "projection",
    rows: int | None = None,
    progress: Progress = lambda n: None,
) -> xr.Dataset:
    """Experiment 1: the norm of every channel of Q, K and V in every layer and text, and the loss of every text.

    `ids` is [text, pos]. One forward pass gives both; hooks reduce the states to norms on the device. The first
    position of a text is unlike all others in many models: `*_rest_norm` are the norms without it.
    The record also holds properties of the model alone: the norms of the projections' rows, if it has projections; the
    radians per position by which each dim of query and key turns (`frequency`, see `lib.probing.rotation`); and its
    response to stretched positions (`position_change`, `position_noise`). Its attributes say at which `sites` the model
    can be read, and what else is `unreadable` in it.
    Raises ValueError for a model that has no such site, for a token that it does not know, and for texts that are
    longer than its table of positions.
    """
    check_ids(ids, texts, embedding_rows(arm.model))
    if (held := positions_held(arm.model)) is not None and ids.shape[1] > held:
        raise ValueError(
            f"{type(arm.model).__name__} holds {held} positions and the texts have {ids.shape[1]} tokens: "
            f"lower --max-tokens to {held}"
        )
    sizes = geometry(arm.model)
    ids = ids.to(arm.model.device)
    norms, rest = (
        {name: torch.empty(len(texts), sizes.layers, *sizes.shape(name)) for name in NAMES} for _ in range(2)
    )

    def run(start: int, stop: int) -> Tensor:
        loss, by_name, without_first = norms_and_loss(arm.model, ids[start:stop], sizes, site)
        for name in NAMES:
            norms[name][start:stop], rest[name][start:stop] = by_name[name], without_first[name]
        progress(stop - start)
        return loss

    nll, _ = in_batches(run, len(texts), rows or rows_that_fit(arm, ids.shape[1]))
    response = position_response(arm.model, ids[:1])
    return xr.Dataset(
        {
            **{f"{name}_norm": (("text", "layer", *_dims(name, sizes)), norms[name].numpy()) for name in NAMES},
            **{f"{name}_rest_norm": (("text", "layer", *_dims(name, sizes)), rest[name].numpy()) for name in NAMES},
            **{f"{name}_row_norm": (("layer", *_dims(name, sizes)), rows) for name, rows in _rows(arm).items()},
            "frequency": (("layer", "dim"), frequencies(arm.model).numpy(), {"units": "radians per position"}),
            "nll": ("text", nll.numpy(), {"units": "nats per token"}),
            "position_change": response["change"],
            "position_noise": response["noise"],
        },
        coords=text_coordinates(texts),
        attrs={"sites": " ".join(survey(arm.model).sites), "unreadable": json.dumps(unreadable(arm.model))},
    )


def _rows(arm: Arm) -> dict[Name, np.ndarray]:
    """Norms of the rows of the query and key projections [layer, head, dim]; empty if the model has no projections."""
    layers = survey(arm.model).taps.get("projection", ())
    return {name: np.stack([_row_norms(taps[name]) for taps in layers]) for name in EDITED if layers}


def _row_norms(tap: Tap) -> np.ndarray:
    """Norms of one projection's rows [head, dim]: they lie in the weight as the states lie in the output."""
    return tap.read(row_norms(tap.module)[None, None])[0, 0].numpy()


@torch.inference_mode()
def norms_and_loss(
    model: torch.nn.Module, ids: Tensor, sizes: Geometry, site: Site = "projection"
) -> tuple[Tensor, dict[Name, Tensor], dict[Name, Tensor]]:
    """One plain forward pass over `ids` [text, pos].

    Returns the loss [text], norms {name: [text, layer, head, dim]}, and the same without the first position.
    """
    layers: dict[Name, list[Tensor]] = {name: [] for name in NAMES}
    rest: dict[Name, list[Tensor]] = {name: [] for name in NAMES}

    def visit(name: Name, layer: int, states: Tensor) -> None:
        layers[name].append(channel_norms(states))
        rest[name].append(channel_norms(states[:, 1:]))

    with visiting(model, visit, site):
        loss = score(model, ids)
    all_positions, but_first = (
        {name: torch.stack(norms, 1).cpu() for name, norms in found.items()} for found in (layers, rest)
    )
    return loss, all_positions, but_first


def rows_that_fit(arm: Arm, tokens: int) -> int:
    """The number of rows of `tokens` tokens to try at once: half of the free memory over the estimated need of a row.

    A batch that does not fit after all is halved, and no result depends on the number.
    """
    config = arm.model.config.get_text_config()
    given = getattr(config, "intermediate_size", None)
    sizes = [size for size in (given if isinstance(given, list) else [given]) if isinstance(size, int)]  # Gemma 3n
    width = config.vocab_size + 4 * max(sizes, default=4 * config.hidden_size)
    need = tokens * width * arm.model.dtype.itemsize
    free = torch.cuda.mem_get_info(arm.model.device)[0] if arm.model.device.type == "cuda" else 4 * 1024**3
    return max(1, int(free / 2 / need))


def _dims(name: Name, sizes: Geometry) -> tuple[str, str]:
    """Names of the channels' dimensions; value has its own if it has another number of dims (DeepSeek)."""
    dim = "value_dim" if name == "value" and sizes.value_dim != sizes.dim else "dim"
    return ("head" if name == "query" else "kv_head", dim)


def text_coordinates(texts: Sequence[Text]) -> dict:
    """The coordinates of a record's texts: their names and kinds."""
    return {"text": [text.name for text in texts], "kind": ("text", [text.kind for text in texts])}


def channel_norms(states: Float[Any, "*batch pos head dim"]) -> Float[Any, "*batch head dim"]:
    """L2 norm of every channel over positions, divided by sqrt(positions), in float32.

    `states` are an array or a tensor, and so are the norms. The division makes texts of different length comparable; it
    changes no mask. Half-precision states are widened before they are squared, so that a large channel cannot overflow.
    Raises ValueError when a norm is not finite: the forward pass overflowed, and nothing may be counted.
    Source: Jin et al. 2025, "Massive Values in Self-Attention Modules", equation 3, up to the constant factor.
    """
    if isinstance(states, np.ndarray):
        return channel_norms(torch.from_numpy(states)).numpy()
    if states.shape[-3] == 0:
        raise ValueError("the states have no positions: the text is empty after tokenizing")
    # some positions at a time, because widening copies; torch's vector_norm is eight times slower over this dimension
    squares = sum(part.float().square().sum(-3) for part in states.split(POSITIONS_AT_ONCE, dim=-3))
    norms = (squares / states.shape[-3]).sqrt()
    if not torch.isfinite(norms).all():
        raise ValueError("a channel norm is not finite: the forward pass overflowed; try dtype=bfloat16 or float32")
    return norms


def row_norms(projection: nn.Linear | Conv1D) -> Float[Tensor, " out"]:
    """L2 norm of every row of a linear layer's weight with its bias as one more column, in float32.

    If the entries of the input are independent with variance 1, this is the root mean square of the output, bias
    included. The input of a projection is RMS-normalized, so this is the norm of a channel if its input has no
    structure. Quantized weights (bitsandbytes, 4 and 8 bit) are dequantized.
    Raises ValueError when a norm is not finite.
    """
    weight = getattr(projection, "weight", None)
    if weight is None:
        raise ValueError(f"{type(projection).__name__} holds its weights in a way that cannot be read")
    if type(weight).__name__ in QUANTIZED:
        # bitsandbytes warns when it is imported on a processor for which it lacks a kernel: plain weights do without it
        from transformers.integrations.bitsandbytes import dequantize_bnb_weight

        weight = dequantize_bnb_weight(weight, getattr(projection, "state", None))
    if isinstance(projection, Conv1D):  # GPT-2 stores its weights transposed
        weight = weight.T
    elif weight.shape != (projection.out_features, projection.in_features):
        raise ValueError(f"{type(projection).__name__} holds its weights in a way that cannot be read")
    squares = weight.detach().float().square().sum(1)
    if projection.bias is not None:
        squares = squares + projection.bias.detach().float().square()
    norms = squares.sqrt().cpu()
    if not torch.isfinite(norms).all():
        raise ValueError("a row of a projection is not finite: the checkpoint is broken")
    return norms
