"""Negative log-likelihood of texts, under many conditions in one forward pass."""

from collections.abc import Callable

import torch
from accelerate.utils.memory import should_reduce_batch_size
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from lib.probe import Name, visiting, zeroing

POSITIONS_AT_ONCE = 128
"""Logits are widened to float32 this many positions at a time, so that memory does not grow with the text."""


def nll_per_text(logits: Float[Tensor, "batch pos vocab"], ids: Int[Tensor, "batch pos"]) -> Float[Tensor, " batch"]:
    """Mean negative log-likelihood in nats per predicted token, in float64; the first token is not predicted.

    Raises ValueError when it is not finite, or when there is no token to predict.
    """
    if ids.shape[1] < 2:
        raise ValueError("a text needs at least two tokens to be scored")
    total = torch.zeros(len(ids), dtype=torch.float64)
    for start in range(0, ids.shape[1] - 1, POSITIONS_AT_ONCE):
        stop = min(start + POSITIONS_AT_ONCE, ids.shape[1] - 1)
        for row in range(len(ids)):
            loss = cross_entropy(logits[row, start:stop].float(), ids[row, start + 1 : stop + 1], reduction="none")
            total[row] += loss.double().sum().cpu()
    if not torch.isfinite(total).all():
        raise ValueError("a loss is not finite: the forward pass overflowed; try dtype=bfloat16 or float32")
    return total / (ids.shape[1] - 1)


@torch.inference_mode()
def score(model: nn.Module, ids: Int[Tensor, "batch pos"]) -> Float[Tensor, " batch"]:
    """NLL of each row, nats per token."""
    return nll_per_text(model(input_ids=ids, use_cache=False).logits, ids)


def score_conditions(
    model: nn.Module, ids: Int[Tensor, " pos"], masks: dict[Name, Tensor], rows: int
) -> tuple[Float[Tensor, " condition"], int]:
    """NLL of one text under every condition: the conditions are rows of a batch, each with its own zeroed channels.

    `masks[name]` is bool [condition, layer, head, dim]. At most `rows` conditions run at a time, fewer when memory
    runs out; returns the losses and the number of rows that fitted.
    """
    count = len(next(iter(masks.values())))
    masks = {name: mask.to(ids.device) for name, mask in masks.items()}

    def run(start: int, stop: int) -> Tensor:
        with visiting(model, zeroing({name: mask[start:stop] for name, mask in masks.items()})):
            return score(model, ids.expand(stop - start, -1))

    return in_batches(run, count, rows)


def in_batches(run: Callable[[int, int], Tensor], count: int, rows: int) -> tuple[Tensor, int]:
    """Concatenate `run(start, stop)` over `count` rows, at most `rows` at a time, halving when memory runs out."""
    done = []
    start = 0
    while start < count:
        try:
            done.append(run(start, min(start + rows, count)))
        except (RuntimeError, MemoryError) as error:
            if rows == 1 or not (isinstance(error, MemoryError) or should_reduce_batch_size(error)):
                raise
            done.append(None)  # the failed pass holds its tensors until this block is left: retry after it
        if done[-1] is None:
            done.pop()
            rows = (rows + 1) // 2
            torch.cuda.empty_cache()
        else:
            start += rows
    return torch.cat(done), rows
