"""Experiment 1: an arm and texts in, a record of norms out. Memory does not grow with the length of a text."""

import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from lib.definitions import EDITED, NAMES, Name, Site
from lib.measuring.logits import New
from lib.measuring.scoring import in_batches, losses_of_tokens
from lib.models import Arm, check_ids, embedding_rows, input_device, turns_by_length, weights_of
from lib.probing import (
    CannotRead,
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
CHECKED, ALIKE = 64, {torch.float32: 1e-4, torch.float64: 1e-4}
"""Tokens on which chunks are compared with a plain pass; how far they may differ, in mean norms or in the loss."""
ALIKE_IN_HALF = 0.05
"""The same where the model computes in half precision."""
RESPONSE_TOKENS = 512
"""Tokens of a text on which a model's response to positions is measured: it holds all of their logits."""
AT_ONCE_ON_CPU = 2560
"""Tokens that a processor reads at once: what it makes of more of them leaves its caches, which takes longer."""
QUANTIZED = ("Params4bit", "Int8Params")
"""Classes of weights that bitsandbytes has quantized."""


def measure_norms(
    arm: Arm,
    ids: Tensor,
    texts: Sequence[Text],
    *,
    site: Site = "projection",
    rows: int | None = None,
    chunk: int | None = None,
    progress: Progress = lambda n: None,
) -> xr.Dataset:
    """Experiment 1: the norm of every channel of Q, K and V in every layer and text, and the loss of every text.

    `ids` is [text, pos]. One forward pass gives both; hooks reduce the states to norms on the device. The first
    position of a text is unlike all others in many models: `*_rest_norm` are the norms without it. `token_nll` is the
    loss of each token but the first one. With a `chunk`, so many positions are read at a time; see `check_chunks`.
    The record also holds properties of the model alone: the norms of the projections' rows, if it has projections; the
    radians per position by which each dim of query and key turns (`frequency`, see `lib.probing.rotation`); and its
    response to stretched positions (`position_change`, `position_noise`). Its attributes say at which `sites` the model
    can be read, and what else is `unreadable` in it.
    Raises ValueError for a model that has no such site, for a token that it does not know, and for texts that are
    longer than its table of positions; CannotRead for one that cannot be read in chunks.
    """
    check_ids(ids, texts, embedding_rows(arm.model))
    if (held := positions_held(arm.model)) is not None and ids.shape[1] > held:
        raise ValueError(
            f"{type(arm.model).__name__} holds {held} positions and the texts have {ids.shape[1]} tokens: "
            f"lower --max-tokens to {held}"
        )
    sizes = geometry(arm.model)
    ids = ids.to(input_device(arm.model))
    norms, rest = (
        {name: torch.empty(len(texts), sizes.layers, *sizes.shape(name)) for name in NAMES} for _ in range(2)
    )
    token_nll = torch.empty(len(texts), ids.shape[1] - 1, dtype=torch.float64)
    if chunk is not None:
        check_chunks(arm.model, ids[:1, :CHECKED], sizes, site, chunk)

    def run(start: int, stop: int) -> Tensor:
        read = norms_and_loss(arm.model, ids[start:stop], sizes, site, chunk)
        for name in NAMES:
            norms[name][start:stop], rest[name][start:stop] = read.norms[name], read.rest[name]
        token_nll[start:stop] = read.token_loss
        progress(stop - start)
        return read.loss

    nll, _ = in_batches(run, len(texts), rows or rows_that_fit(arm, ids.shape[1], chunk))
    response = position_response(arm.model, ids[:1, :RESPONSE_TOKENS])
    return xr.Dataset(
        {
            **{f"{name}_norm": (("text", "layer", *_dims(name, sizes)), norms[name].numpy()) for name in NAMES},
            **{f"{name}_rest_norm": (("text", "layer", *_dims(name, sizes)), rest[name].numpy()) for name in NAMES},
            **{f"{name}_row_norm": (("layer", *_dims(name, sizes)), rows) for name, rows in _rows(arm).items()},
            "frequency": (("layer", "dim"), frequencies(arm.model).numpy(), {"units": "radians per position"}),
            "nll": ("text", nll.numpy(), {"units": "nats per token"}),
            "token_nll": (("text", "predicted"), token_nll.numpy(), {"units": "nats"}),
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
    with weights_of(tap.module):
        return tap.read(row_norms(tap.module)[None, None])[0, 0].numpy()


class Read(NamedTuple):
    """What a pass over texts gives: the loss [text] and that of each token [text, predicted], norms by name
    [text, layer, head, dim], and the same without the first position."""

    loss: Tensor
    token_loss: Tensor
    norms: dict[Name, Tensor]
    rest: dict[Name, Tensor]


def norms_and_loss(
    model: torch.nn.Module, ids: Tensor, sizes: Geometry, site: Site = "projection", chunk: int | None = None
) -> Read:
    """One forward pass over `ids` [text, pos], of `chunk` positions at a time if that is given."""
    sums = Squares(sizes.layers, ids.shape[1], chunk)
    with visiting(model, sums.visit, site):
        losses = losses_of_tokens(model, ids, chunk)
    return Read(losses.mean(), losses.each, *({name: of(name) for name in NAMES} for of in (sums.norms, sums.rest)))


class Squares:
    """Adds up the squares of states as they come: the norms of all positions, and of all but the first."""

    def __init__(self, layers: int, positions: int, chunk: int | None = None):
        self.layers, self.positions, self.new = layers, positions, New(positions, chunk)
        self.every: dict[tuple[Name, int], Tensor | int] = {}
        self.but_first: dict[tuple[Name, int], Tensor | int] = {}

    def visit(self, name: Name, layer: int, states: Tensor) -> None:
        start, states = self.new((name, layer), states)
        rest = states if start else states[:, 1:]
        for sums, of in ((self.every, states), (self.but_first, rest)):
            sums[name, layer] = sums.get((name, layer), 0) + squares(of)

    def norms(self, name: Name) -> Tensor:
        """Norms of the channels over all positions [text, layer, head, dim]."""
        return self._roots(self.every, name, self.positions)

    def rest(self, name: Name) -> Tensor:
        """The same over all positions but the first."""
        return self._roots(self.but_first, name, self.positions - 1)

    def _roots(self, sums: dict, name: Name, positions: int) -> Tensor:
        return torch.stack([roots(sums[name, layer], positions) for layer in range(self.layers)], 1).cpu()


def check_chunks(model: torch.nn.Module, ids: Tensor, sizes: Geometry, site: Site, chunk: int) -> None:
    """Raise CannotRead unless a short text `ids` [1, pos] that is read in chunks has the norms of a plain pass."""
    if kind := turns_by_length(model.config):
        raise CannotRead(f"its rotation ({kind}) depends on the length of the whole text: leave out --chunk")
    parts = max(1, min(chunk, ids.shape[1] // 3))
    plain, read = (norms_and_loss(model, ids, sizes, site, each) for each in (None, parts))
    apart = [(plain.loss - read.loss).abs() / plain.loss.abs()]
    apart += [
        (a[n] - b[n]).abs() / a[n].mean() for a, b in ((plain.norms, read.norms), (plain.rest, read.rest)) for n in a
    ]
    if not (found := max(float(of.max()) for of in apart)) <= ALIKE.get(model.dtype, ALIKE_IN_HALF):
        raise CannotRead(
            f"read {parts} tokens at a time, {type(model).__name__} gives other norms or losses than read at once, by "
            f"{found:.2g} of them: leave out --chunk"
        )


def rows_that_fit(arm: Arm, tokens: int, chunk: int | None = None) -> int:
    """The number of rows of `tokens` tokens to try at once: half of the free memory over the estimated need of a row.

    Of a text that is read in chunks, a row needs that of one chunk, and what the cache keeps of the text. A processor
    reads AT_ONCE_ON_CPU tokens at most. A batch that does not fit after all is halved, and no result depends on the
    number.
    """
    config = arm.model.config.get_text_config()
    given = getattr(config, "intermediate_size", None)
    sizes = [size for size in (given if isinstance(given, list) else [given]) if isinstance(size, int)]  # Gemma 3n
    width = config.vocab_size + 4 * max(sizes, default=4 * config.hidden_size)
    kept = 0 if chunk is None else tokens * 2 * config.hidden_size * config.num_hidden_layers
    need = (min(chunk or tokens, tokens) * width + kept) * arm.model.dtype.itemsize
    on_gpu = arm.model.device.type == "cuda"
    free = torch.cuda.mem_get_info(arm.model.device)[0] if on_gpu else 4 * 1024**3
    fitting = int(free / 2 / need)
    return max(1, fitting if on_gpu else min(fitting, AT_ONCE_ON_CPU // tokens))


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
    return roots(squares(states), states.shape[-3])


def squares(states: Float[Tensor, "*batch pos head dim"]) -> Float[Tensor, "*batch head dim"]:
    """Sum of the squares of every channel over positions, in float32."""
    # some positions at a time, because widening copies; torch's vector_norm is eight times slower over this dimension
    return sum(part.float().square().sum(-3) for part in states.split(POSITIONS_AT_ONCE, dim=-3))


def roots(sums: Float[Tensor, "*batch head dim"], positions: int) -> Float[Tensor, "*batch head dim"]:
    """Root of the mean square of every channel. Raises ValueError like `channel_norms`."""
    norms = (sums / positions).sqrt()
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
