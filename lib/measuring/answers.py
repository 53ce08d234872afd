"""How likely a model finds each choice of an item, and whether it would write it, while channels are replaced.

Scores are those of lm-evaluation-harness: the log-likelihood of a choice is the sum over its tokens after the context,
and a choice is written if each of its tokens is the most likely one, so that greedy decoding begins with it.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from lib.definitions import Site
from lib.measuring.interventions import Masks
from lib.measuring.logits import cache_of, last_logits_only
from lib.probing import Visit, visiting

Where = Literal["prompt", "answer", "both"]


@dataclass(frozen=True)
class Edit:
    """Channels that are replaced at a site: `masks[name]` [row, layer, head, dim] and what is put there."""

    masks: Masks
    replacing: Callable[[Masks], Visit]
    site: Site

    def repeated(self, times: int) -> "Edit":
        """The same with each row so many times, one after the other."""
        masks = {name: mask.repeat_interleave(times, 0) for name, mask in self.masks.items()}
        return Edit(masks, self.replacing, self.site)


@contextmanager
def editing(model: nn.Module, edits: Sequence[Edit]) -> Iterator[None]:
    """Within the block, all of these edits are made."""
    with ExitStack() as stack:
        for edit in edits:
            stack.enter_context(visiting(model, edit.replacing(edit.masks), edit.site))
        yield


def encode_pair(tokenizer, context: str, choice: str, *, special: bool) -> tuple[list[int], list[int]]:
    """Tokens of a context and of the choice that continues it, split where lm-evaluation-harness splits them.

    Both are cut into tokens together, and the tokens beyond those of the context alone are the choice's. Blanks at the
    end of the context belong to the choice. `special` adds the tokenizer's special tokens.
    Raises ValueError if no token is left for the choice.
    """
    blanks = len(context) - len(context.rstrip())
    if blanks:
        context, choice = context[:-blanks], context[-blanks:] + choice
    whole = tokenizer(context + choice, add_special_tokens=special)["input_ids"]
    before = len(tokenizer(context, add_special_tokens=special)["input_ids"])
    if not 0 < before < len(whole):
        raise ValueError(f"the choice {choice!r} has no token of its own after its context: give another answer")
    return whole[:before], whole[before:]


@torch.inference_mode()
def score_choices(
    model: nn.Module,
    context: Int[Tensor, " pos"],
    choices: Sequence[Sequence[int]],
    rows: int = 1,
    edits: Sequence[Edit] = (),
    where: Where = "prompt",
) -> tuple[Float[Tensor, "row choice"], Bool[Tensor, "row choice"]]:
    """Log-likelihood in nats of each choice after a context, and whether greedy decoding would write it.

    The context is read once in each of the `rows`, which differ in their edits; the choices continue its KV cache.
    `where` says which tokens are read with channels replaced: those of the context, those that predict the answer (the
    context's last one and the choices), or both. What an edit puts in place must not depend on other positions of the
    choices, which are padded.
    Raises ValueError if the model keeps no cache, for a context too short, or for a likelihood that is not finite.
    """
    ids = context.tolist()
    ids, last = (ids[:-1], ids[-1:]) if where == "answer" else (ids, [])
    if not ids:
        raise ValueError("its context is a single token, before which nothing can be read")
    with editing(model, edits if where != "answer" else ()):
        tokens = torch.tensor([ids], device=context.device).expand(rows, -1)
        read = model(input_ids=tokens, use_cache=True, **last_logits_only(model))
    cache = cache_of(model, read)
    found = [] if last else [read.logits[:, -1:].float().expand(-1, len(choices), -1).unsqueeze(2)]
    # what stands behind the end of a shorter choice is read, and counts for nothing
    longest = max(map(len, choices))
    beyond = [[*last, *choice, *[choice[-1]] * (longest - len(choice))][:-1] for choice in choices]
    if beyond[0]:
        cache.batch_repeat_interleave(len(choices))
        with editing(model, [edit.repeated(len(choices)) for edit in edits] if where != "prompt" else ()):
            tokens = torch.tensor(beyond, device=context.device).repeat(rows, 1)
            rest = model(input_ids=tokens, past_key_values=cache, use_cache=True)
        found.append(rest.logits.float().unflatten(0, (rows, len(choices))))
    return _likelihoods(torch.cat(found, 2), choices)


def _likelihoods(logits: Tensor, choices: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Sums over the tokens of each choice, of logits [row, choice, pos, vocab]."""
    likelihood = torch.zeros(logits.shape[:2], dtype=torch.float64)
    written = torch.zeros(logits.shape[:2], dtype=torch.bool)
    for i, choice in enumerate(choices):
        of_choice = logits[:, i, : len(choice)]
        right = torch.tensor(choice, device=logits.device).expand(len(logits), -1)[..., None]
        nats = of_choice.gather(-1, right)[..., 0].double() - of_choice.logsumexp(-1).double()
        likelihood[:, i] = nats.sum(-1).cpu()
        written[:, i] = (of_choice.argmax(-1) == right[..., 0]).all(-1).cpu()
    if not torch.isfinite(likelihood).all():
        raise ValueError("the likelihood of an answer is not finite: the forward pass overflowed; try dtype=float32")
    return likelihood, written
