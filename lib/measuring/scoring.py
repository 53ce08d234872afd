"""Negative log-likelihood of texts, under many conditions in one forward pass."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from math import ceil

import torch
from accelerate.utils.memory import should_reduce_batch_size
from jaxtyping import Float, Int
from torch import Tensor, nn

from lib.measuring.interventions import Masks, zeroing
from lib.measuring.logits import POSITIONS_AT_ONCE, cache_of, in_parts, last_logits_only
from lib.models import input_device
from lib.probing import Visit, visiting

FEW, BEGINNING = 4, 64
"""Texts, and tokens of each, that are read to see what a BOS token before them is worth."""


class Losses:
    """The losses of several texts, taken in part by part. `tokens` is the number of predicted tokens of each.

    `each` [text, predicted] are those of all tokens, float64.
    """

    def __init__(self, texts: int, tokens: int):
        if tokens < 1:
            raise ValueError("a text needs at least two tokens to be scored")
        self.total, self.tokens = torch.zeros(texts, dtype=torch.float64), tokens
        self.each, self.taken = torch.empty(texts, tokens, dtype=torch.float64), 0

    def add(self, logits: Float[Tensor, "batch pos vocab"], right: Int[Tensor, "batch pos"]) -> None:
        """Add the losses of some positions, in float64: logits that predict the tokens `right`."""
        for start in range(0, right.shape[1], POSITIONS_AT_ONCE):
            part = slice(start, start + POSITIONS_AT_ONCE)
            for row in range(len(right)):
                predicted, wanted = logits[row, part].float(), right[row, part, None]
                # cross_entropy in float32 loses a part of the sum over a large vocabulary: 4e-5 nats of 262,144 tokens
                loss = predicted.logsumexp(-1).double() - predicted.gather(-1, wanted)[:, 0].double()
                self.total[row] += loss.sum().cpu()
                self.each[row, self.taken : self.taken + len(loss)] = loss.cpu()
            self.taken += right[:, part].shape[1]

    def mean(self) -> Float[Tensor, " batch"]:
        """Nats per predicted token. Raises ValueError if a loss is not finite."""
        if not torch.isfinite(self.total).all():
            raise ValueError("a loss is not finite: the forward pass overflowed; try dtype=bfloat16 or float32")
        return self.total / self.tokens


def nll_per_text(logits: Float[Tensor, "batch pos vocab"], ids: Int[Tensor, "batch pos"]) -> Float[Tensor, " batch"]:
    """Mean negative log-likelihood in nats per predicted token, in float64; the first token is not predicted.

    Raises ValueError if a loss is not finite, or if no token can be predicted.
    """
    losses = Losses(len(ids), ids.shape[1] - 1)
    losses.add(logits[:, :-1], ids[:, 1:])
    return losses.mean()


def score(model: nn.Module, ids: Int[Tensor, "batch pos"], chunk: int | None = None) -> Float[Tensor, " batch"]:
    """NLL of each row, nats per token, without the logits of all positions at once; see `losses_of_tokens`."""
    return losses_of_tokens(model, ids, chunk).mean()


@torch.inference_mode()
def losses_of_tokens(model: nn.Module, ids: Int[Tensor, "batch pos"], chunk: int | None = None) -> Losses:
    """The losses of each row's tokens, in one pass.

    With a `chunk`, the pass reads so many positions at a time, and the earlier ones from the model's KV cache.
    """
    losses = Losses(len(ids), ids.shape[1] - 1)
    for start, logits in in_parts(model, ids, chunk=chunk):
        right = ids[:, start + 1 : start + 1 + logits.shape[1]]
        losses.add(logits[:, : right.shape[1]], right)
    return losses


def gain_of_bos(model: nn.Module, ids: Int[Tensor, "batch pos"], bos: int) -> float | None:
    """By how many nats per token the loss of the beginnings of a few texts falls when a BOS token is read before them.

    The same tokens are predicted with and without it. None if the texts are too short for that.
    """
    plain = ids[:FEW, : min(BEGINNING, ids.shape[1]) - 1].to(input_device(model))
    if plain.shape[1] < 2:
        return None
    with_bos = torch.cat([torch.full_like(plain[:, :1], bos), plain], 1)
    with torch.inference_mode():
        logits = model(input_ids=with_bos, use_cache=False).logits[:, 1:]
    return float((score(model, plain) - nll_per_text(logits, plain)).mean())


@torch.inference_mode()
def score_after_prompt(
    model: nn.Module,
    ids: Int[Tensor, "batch pos"],
    prompt: int,
    reading: Callable[[], AbstractContextManager] = nullcontext,
) -> Float[Tensor, " batch"]:
    """NLL of each row's tokens after its first `prompt` tokens, nats per token, in two passes.

    The first pass reads the prompt within `reading()`; the second continues from its KV cache, outside of `reading()`.
    The last position of the prompt predicts the first token after it.
    Raises ValueError if the model keeps no cache, or if the prompt or the rest of the text is empty.
    """
    if not 0 < prompt < ids.shape[1]:
        raise ValueError(f"a text of {ids.shape[1]} tokens cannot be split into a prompt of {prompt} and what follows")
    with reading():
        read = model(input_ids=ids[:, :prompt], use_cache=True, **last_logits_only(model))
    cache = cache_of(model, read)
    losses = Losses(len(ids), ids.shape[1] - prompt)
    losses.add(read.logits[:, -1:], ids[:, prompt : prompt + 1])
    rest = ids[:, prompt:]
    for start, logits in in_parts(model, rest, past_key_values=cache, use_cache=True):
        right = rest[:, start + 1 : start + 1 + logits.shape[1]]
        losses.add(logits[:, : right.shape[1]], right)
    return losses.mean()


def score_conditions(
    model: nn.Module,
    ids: Int[Tensor, " pos"],
    masks: Masks,
    rows: int,
    *,
    replacing: Callable[[Masks], Visit] = zeroing,
    site: str = "projection",
    prompt: int = 0,
    chunk: int | None = None,
) -> tuple[Float[Tensor, " condition"], int]:
    """NLL of one text under every condition: the conditions are rows of a batch, each with its own replaced channels.

    `masks[name]` is bool [condition, layer, head, dim], and `replacing` says what is put there. With a `prompt`,
    channels are replaced while these first tokens are read, and the tokens after them are scored. With a `chunk`, so
    many positions are read at a time, so that nothing may be put there that depends on the others. At most `rows`
    conditions run at a time, fewer when memory runs out; returns the losses and the number of rows that fitted.
    """
    count = len(next(iter(masks.values())))
    masks = {name: mask.to(ids.device) for name, mask in masks.items()}

    def run(start: int, stop: int) -> Tensor:
        visit = replacing({name: mask[start:stop] for name, mask in masks.items()})
        texts = ids.expand(stop - start, -1)
        if prompt:
            return score_after_prompt(model, texts, prompt, lambda: visiting(model, visit, site))
        with visiting(model, visit, site):
            return score(model, texts, chunk)

    return in_batches(run, count, rows)


def in_batches(run: Callable[[int, int], Tensor], count: int, rows: int) -> tuple[Tensor, int]:
    """Concatenate `run(start, stop)` over `count` rows, at most `rows` at a time, halved when memory runs out.

    All batches are about as large: nine rows of which eight fit are five and four.
    """
    done = []
    start = 0
    while start < count:
        batch = ceil((count - start) / ceil((count - start) / rows))
        try:
            done.append(run(start, start + batch))
        except (RuntimeError, MemoryError) as error:
            if batch == 1 or not (isinstance(error, MemoryError) or should_reduce_batch_size(error)):
                raise
            done.append(None)  # the failed pass holds its tensors until this block is left: try again after it
        if done[-1] is None:
            done.pop()
            rows = (batch + 1) // 2
            torch.cuda.empty_cache()
        else:
            start += batch
    return torch.cat(done), rows
