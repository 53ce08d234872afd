"""Experiment 3: answers to the items of tasks while channels are replaced. An arm and tasks in, a record out."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from lib.definitions import ASKED, EDITED, OF_PROMPT, RANDOM_DRAWS, Name, Scope, pooled_norms
from lib.measuring.answers import Edit, Where, encode_pair, score_choices
from lib.measuring.interventions import (
    averaging,
    chosen_mask,
    equal_energy,
    random_control,
    smallest_of_heads,
    top_of_heads,
    zeroing,
)
from lib.measuring.norms import Progress, channel_norms
from lib.measuring.scoring import in_batches
from lib.models import Arm
from lib.probing import survey, visiting
from lib.tasks import Item, Task

ATTENTION = "attention"
"""Where Jin et al. 2025 choose and replace the channels of a prompt: after the rotation."""


def measure_tasks(
    arm: Arm,
    tasks: Sequence[Task],
    counted: Mapping[Name, Tensor],
    *,
    threshold: float,
    scope: Scope,
    seed: int,
    site: str = "projection",
    where: Where = "prompt",
    chat: bool = False,
    limit: int | None = None,
    rows: int | None = None,
    progress: Progress = lambda n: None,
) -> xr.Dataset:
    """The log-likelihood of every choice of every item in every condition of `lib.definitions.ASKED`.

    `massive` and its controls (`random`, as many channels; `energy`, channels of as much energy) are chosen on the
    counting texts, whose norms [text, layer, head, dim] are `counted`, and zeroed at `site`. `top` and `smallest` are
    the channels of each head with the largest and the smallest norm over an item's own context, put to their mean over
    it (Jin et al. 2025); they need states as attention receives them, and are left out for a model without.
    `where` says whether channels are replaced in the context, in the choices, or in both; `chat` asks by the
    tokenizer's chat template. At most `limit` items of each task are asked.
    Raises ValueError unless a pass with nothing replaced equals a plain one, and for an item that cannot be asked.
    """
    tables = {name: _fixed(counted[name], threshold, scope, name, seed) for name in EDITED}
    of_prompt = OF_PROMPT if ATTENTION in survey(arm.model).sites else ()
    conditions = [condition for condition in ASKED if condition not in OF_PROMPT or condition in of_prompt]
    found = []
    for task in tasks:
        for item in task.items[:limit]:
            context, choices = encoded(arm.tokenizer, task, item, chat=chat)
            try:
                likelihood, written, rows = _asked(
                    arm, context, choices, tables, of_prompt, site, where, rows, not found
                )
            except ValueError as error:
                raise ValueError(f"{task.name}, item {item.name!r}: {error}") from error
            found.append((task, item, len(context), likelihood, written))
            progress(1)
    return _record(found, conditions, {name: table.cpu() for name, table in tables.items()}, chat, where)


def encoded(tokenizer, task: Task, item: Item, *, chat: bool) -> tuple[list[int], list[list[int]]]:
    """Tokens of an item's context and of its choices. Raises ValueError, one sentence, if they cannot be split so."""
    context = chat_context(tokenizer, task, item) if chat else task.context(item)
    # where a turn begins with the answer there is nothing that a blank would part it from
    choices = [choice.lstrip() if chat and not item.opening else choice for choice in item.choices]
    pairs = [encode_pair(tokenizer, context, choice, special=not chat) for choice in choices]
    contexts = {tuple(context) for context, _ in pairs}
    if len(contexts) > 1:
        raise ValueError(
            f"{task.name}, item {item.name!r}: its choices are cut into tokens so that they share no context"
        )
    return pairs[0][0], [choice for _, choice in pairs]


def chat_context(tokenizer, task: Task, item: Item) -> str:
    """What a model reads before a choice by its chat template. Raises ValueError for a tokenizer without one."""
    if not getattr(tokenizer, "chat_template", None):
        raise ValueError("the tokenizer has no chat template: leave out --apply-chat-template")
    messages = []
    for asked, said in task.turns(item):
        messages += [{"role": "user", "content": asked}, {"role": "assistant", "content": said}]
    if messages[-1]["content"]:
        return tokenizer.apply_chat_template(messages, tokenize=False, continue_final_message=True)
    return tokenizer.apply_chat_template(messages[:-1], tokenize=False, add_generation_prompt=True)


def _fixed(norms: Tensor, threshold: float, scope: Scope, name: Name, seed: int) -> Tensor:
    """The channels of the conditions that are the same for all items, bool [condition, layer, head, dim]."""
    massive, pooled = chosen_mask(norms, threshold=threshold, scope=scope), pooled_norms(norms)
    random = [random_control(massive, f"{seed}/{name}/{i}") for i in range(RANDOM_DRAWS)]
    energy = [equal_energy(pooled, massive, f"{seed}/{name}/energy/{i}") for i in range(RANDOM_DRAWS)]
    return torch.stack([massive, *random, *energy])


@torch.inference_mode()
def _asked(arm, context, choices, tables, of_prompt, site, where, rows, first):
    """Likelihoods and whether they are written [condition, choice] of one item, and the rows that fitted."""
    model, ids = arm.model, torch.tensor(context, device=arm.model.device)
    norms: dict[Name, list[Tensor]] = {name: [] for name in EDITED}

    def look(name: Name, layer: int, states: Tensor) -> None:
        if name in norms and len(norms[name]) == layer:  # the first pass is that over the context
            norms[name].append(channel_norms(states)[0].cpu())

    if of_prompt:
        with visiting(model, look, ATTENTION):
            plain = torch.stack(score_choices(model, ids, choices), -1)
    else:
        plain = torch.stack(score_choices(model, ids, choices), -1)
    edits = [(zeroing, site, {name: _padded(table, 0, len(of_prompt)) for name, table in tables.items()})]
    if of_prompt:
        of_heads = {"top": top_of_heads, "smallest": smallest_of_heads}
        fixed = len(next(iter(tables.values())))
        chosen = {name: torch.stack([of_heads[c](torch.stack(norms[name])) for c in of_prompt]) for name in EDITED}
        edits.append((averaging, ATTENTION, {name: _padded(mask, fixed, 0) for name, mask in chosen.items()}))
    count = len(next(iter(edits[0][2].values())))

    def run(start: int, stop: int) -> Tensor:
        made = [Edit({name: mask[start:stop] for name, mask in masks.items()}, how, at) for how, at, masks in edits]
        return torch.stack(score_choices(model, ids, choices, stop - start, made, where), -1)

    if first:
        nothing = [
            Edit({name: torch.zeros_like(mask[:1]) for name, mask in masks.items()}, how, at)
            for how, at, masks in edits
        ]
        empty = torch.stack(score_choices(model, ids, choices, 1, nothing, where), -1)
        if not torch.equal(plain, empty):
            raise ValueError(
                f"with nothing replaced the likelihoods are {empty[0, :, 0].tolist()}, plain {plain[0, :, 0].tolist()}"
            )
    changed, rows = in_batches(run, count, rows or count)
    every = torch.cat([plain, changed])
    return every[..., 0], every[..., 1].bool(), rows


def _padded(masks: Tensor, before: int, after: int) -> Tensor:
    """Masks [condition, ..] with conditions before and after them that replace nothing."""
    return torch.nn.functional.pad(masks, [0, 0] * (masks.ndim - 1) + [before, after])


def _record(found, conditions, tables, chat, where) -> xr.Dataset:
    most = max(likelihood.shape[1] for *_, likelihood, _ in found)

    def filled(values: Sequence[Tensor], empty) -> np.ndarray:
        return np.stack([np.pad(v.numpy(), [(0, 0), (0, most - v.shape[1])], constant_values=empty) for v in values])

    per_item = lambda values: ("item", list(values))  # noqa: E731
    optional = lambda value: np.nan if value is None else float(value)  # noqa: E731
    tasks, items, tokens, likelihoods, written = zip(*found, strict=True)
    fixed = [c for c in conditions if c not in ("baseline", *OF_PROMPT)]
    replaced = {
        f"{name}_replaced": (("replaced", "layer", "head" if name == "query" else "kv_head", "dim"), table.numpy())
        for name, table in tables.items()
    }
    return xr.Dataset(
        {
            "likelihood": (("item", "condition", "choice"), filled(likelihoods, np.nan), {"units": "nats per answer"}),
            "written": (("item", "condition", "choice"), filled(written, False)),
            "answer": per_item(item.answer for item in items),
            "choices": per_item(len(item.choices) for item in items),
            "tokens": per_item(tokens),
            "length": per_item(optional(item.length) for item in items),
            "depth": per_item(optional(item.depth) for item in items),
            **replaced,
        },
        coords={
            "item": [f"{task.name}/{item.name}" for task, item in zip(tasks, items, strict=True)],
            "task": per_item(task.name for task in tasks),
            "knowledge": per_item(task.knowledge for task in tasks),
            "template": per_item(item.template for item in items),
            "condition": conditions,
            "replaced": fixed,
        },
        attrs={"chat": int(chat), "where": where},
    )
