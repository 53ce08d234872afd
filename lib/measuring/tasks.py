"""Experiment 3: answers to the items of tasks while channels are replaced. An arm and tasks in, a record out."""

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import chain

import numpy as np
import torch
import xarray as xr
from jinja2 import TemplateError
from torch import Tensor, nn

from lib.definitions import ASKED, EDITED, OF_PROMPT, Name, Scope, pooled_norms
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
from lib.measuring.keeping import Keep, at_once
from lib.measuring.norms import Progress, channel_norms
from lib.measuring.scoring import in_batches
from lib.models import Arm, check_ids, embedding_rows, input_device
from lib.probing import Visit, survey
from lib.tasks import Item, Task

ATTENTION = "attention"
"""Where Jin et al. 2025 choose and replace the channels of a prompt: after the rotation."""
PICKS = {"top": top_of_heads, "smallest": smallest_of_heads}
"""How the channels of the conditions OF_PROMPT are chosen."""


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
    most: int | None = None,
    rows: int | None = None,
    progress: Progress = lambda n: None,
    keep: Keep = at_once,
) -> xr.Dataset:
    """The log-likelihood of every choice of every item in every condition of `lib.definitions.ASKED`.

    `massive` and its controls (`random`, as many channels; `energy`, channels of as much energy) are chosen on the
    counting texts, whose norms [text, layer, head, dim] are `counted`, and zeroed at `site`; the controls are drawn
    anew for every item. `top` and `smallest` are the channels of each head with the largest and the smallest norm over
    an item's own context, put to their mean over it (Jin et al. 2025); they need states as attention receives them, and
    are left out for a model without, and unless channels are replaced in the context alone, since a mean over a choice
    would depend on its length. `where` says whether channels are replaced in the context, where the answer is
    predicted, or in both; `chat` asks by the tokenizer's chat template. At most `most` items of each task are asked, by
    default as many as the task says.
    Raises ValueError unless a pass with nothing replaced equals a plain one, and for an item that cannot be asked.
    """
    of_prompt = OF_PROMPT if where == "prompt" and ATTENTION in survey(arm.model).sites else ()
    conditions = [condition for condition in ASKED if condition not in OF_PROMPT or condition in of_prompt]
    drawn = Drawn({name: counted[name] for name in EDITED}, threshold, scope, seed)
    asking = Asking(arm.model, site, where, bool(of_prompt), rows)
    found, embedding, proven = [], embedding_rows(arm.model), False

    def ask(name: str, context: list[int], choices: list[list[int]]) -> list[np.ndarray]:
        nonlocal proven
        if not proven:
            asking.prove_harmless(context, choices, drawn)
            proven = True
        return [answer.numpy() for answer in asking(context, choices, drawn.masks(name))]

    for task in tasks:
        for item in task.asked_items(most):
            context, choices = encoded(arm.tokenizer, task, item, chat=chat)
            name = f"{task.name}/{item.name}"
            try:
                check_ids(torch.tensor([[*context, *chain(*choices)]]), [item], embedding)
                likelihood, written = keep(name, partial(ask, name, context, choices))
            except ValueError as error:
                raise ValueError(f"{task.name}, item {item.name!r}: {error}") from error
            found.append((task, item, len(context), likelihood, written))
            progress(1)
    return _record(found, conditions, drawn.massive, chat, where)


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
    try:
        if messages[-1]["content"]:
            return tokenizer.apply_chat_template(messages, tokenize=False, continue_final_message=True)
        return tokenizer.apply_chat_template(messages[:-1], tokenize=False, add_generation_prompt=True)
    except TemplateError as error:
        raise ValueError(f"the tokenizer's chat template refuses the items ({error}): give others") from error


class Drawn:
    """The massive channels that were found on counting texts, and random ones that are drawn anew for every item."""

    def __init__(self, norms: Mapping[Name, Tensor], threshold: float, scope: Scope, seed: int):
        self.massive = {n: chosen_mask(found, threshold=threshold, scope=scope) for n, found in norms.items()}
        self._pooled = {name: pooled_norms(found) for name, found in norms.items()}
        self._seed = seed

    def masks(self, item: str) -> dict[Name, Tensor]:
        """Masks [condition, layer, head, dim] of an item: nothing, massive, as many random ones, as much energy."""
        return {
            name: torch.stack(
                [
                    torch.zeros_like(massive),
                    massive,
                    random_control(massive, f"{self._seed}/{name}/{item}"),
                    equal_energy(self._pooled[name], massive, f"{self._seed}/{name}/energy/{item}"),
                ]
            )
            for name, massive in self.massive.items()
        }


class Asking:
    """Asks a model the same item in every condition, in as few passes as fit into memory."""

    def __init__(self, model: nn.Module, site: str, where: Where, of_prompt: bool, rows: int | None = None):
        self.model, self.site, self.where, self.of_prompt, self.rows = model, site, where, of_prompt, rows

    @torch.inference_mode()
    def __call__(
        self, context: Sequence[int], choices: Sequence[Sequence[int]], masks: Mapping[Name, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Log-likelihoods in nats, and whether they are written, [condition, choice] each.

        The first row of `masks` replaces nothing. The conditions OF_PROMPT, if there are any, come after all rows.
        """
        ids = torch.tensor(context, device=input_device(self.model))
        given = len(next(iter(masks.values())))
        of_prompt = OfPrompt(range(given, given + len(OF_PROMPT))) if self.of_prompt else None
        count = given + len(OF_PROMPT) if of_prompt else given

        def run(start: int, stop: int) -> Tensor:
            rows = {name: _rows(mask, start, stop) for name, mask in masks.items()}
            edits = [Edit(rows, zeroing, self.site)]
            if of_prompt:
                edits.append(Edit({}, lambda _: of_prompt.visit(start, stop), ATTENTION))
            return torch.stack(score_choices(self.model, ids, choices, stop - start, edits, self.where), -1)

        found, self.rows = in_batches(run, count, min(self.rows or count, count))
        return found[..., 0], found[..., 1].bool()

    @torch.inference_mode()
    def prove_harmless(self, context: Sequence[int], choices: Sequence[Sequence[int]], drawn: Drawn) -> None:
        """Raise ValueError unless a pass with nothing replaced, by either way of replacing, equals a plain one."""
        ids = torch.tensor(context, device=input_device(self.model))
        plain, _ = score_choices(self.model, ids, choices, where=self.where)
        nothing = {name: torch.zeros_like(mask[None]) for name, mask in drawn.massive.items()}
        for replacing, site in ((zeroing, self.site), *(((averaging, ATTENTION),) if self.of_prompt else ())):
            empty, _ = score_choices(self.model, ids, choices, 1, [Edit(nothing, replacing, site)], self.where)
            if not torch.equal(plain, empty):
                raise ValueError(
                    f"with nothing replaced at the site {site} the likelihoods are {empty[0].tolist()}, and "
                    f"{plain[0].tolist()} in a plain pass"
                )


class OfPrompt:
    """Puts channels of a prompt's heads to their mean over it, in the rows of the conditions OF_PROMPT.

    They are chosen by the norms of the states that attention receives in row 0 of the same pass, which is plain. Where
    memory holds fewer rows than there are, the first pass notes the norms for the later ones.
    """

    def __init__(self, rows: Sequence[int]):
        self._rows = dict(zip(rows, map(PICKS.get, OF_PROMPT), strict=True))
        self._norms: dict[tuple[Name, int], Tensor] = {}

    def visit(self, start: int, stop: int) -> Visit:
        """A visit of the rows from `start` to `stop`."""

        def put(name: Name, layer: int, states: Tensor) -> Tensor | None:
            if name not in EDITED:
                return None
            if start == 0:
                self._norms[name, layer] = channel_norms(states[:1])[0].cpu()
            norms = self._norms[name, layer]
            chosen = torch.zeros(stop - start, *norms.shape, dtype=torch.bool)
            for row, pick in self._rows.items():
                if start <= row < stop:
                    chosen[row - start] = pick(norms)
            return averaging({name: chosen[:, None]})(name, 0, states)  # masks of this layer alone

        return put


def _rows(mask: Tensor, start: int, stop: int) -> Tensor:
    """Rows of a mask [row, ..]; beyond its last one nothing is chosen."""
    found = mask[start:stop]
    return torch.cat([found, found.new_zeros(stop - start - len(found), *mask.shape[1:])])


def _record(found, conditions, massive, chat, where) -> xr.Dataset:
    most = max(likelihood.shape[1] for *_, likelihood, _ in found)

    def filled(values: Sequence[np.ndarray], empty) -> np.ndarray:
        return np.stack([np.pad(v, [(0, 0), (0, most - v.shape[1])], constant_values=empty) for v in values])

    per_item = lambda values: ("item", list(values))  # noqa: E731
    optional = lambda value: np.nan if value is None else float(value)  # noqa: E731
    tasks, items, tokens, likelihoods, written = zip(*found, strict=True)
    replaced = {
        f"{name}_replaced": (("layer", "head" if name == "query" else "kv_head", "dim"), mask.cpu().numpy())
        for name, mask in massive.items()
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
        },
        attrs={"chat": int(chat), "where": where},
    )
