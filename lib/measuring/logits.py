"""The logits of a pass, some positions at a time: those of a whole text over a large vocabulary fill the memory.

A model is a body, which gives a state for every position, and a head, which makes logits of states and may scale or cap
them. One pass is made with a head that makes nothing. Then the model is called again for some positions at a time with
a body that gives their states back, so that its own code makes the logits. A model is read so once it was tried
(`try_parts`) and gave the very logits of a plain pass; any other model is read whole.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from inspect import signature
from weakref import WeakSet

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

POSITIONS_AT_ONCE = 128
"""Positions whose logits are held at a time."""
TRIED = 24
"""Tokens on which it is tried whether a model can be read in parts."""
_SPLIT: WeakSet[nn.Module] = WeakSet()
"""The models that were tried and can be read in parts."""


@torch.inference_mode()
def in_parts(
    model: nn.Module, ids: Int[Tensor, "batch pos"], **inputs: object
) -> Iterator[tuple[int, Float[Tensor, "batch part vocab"]]]:
    """The first position and the logits of each part of one pass over `ids`; `inputs` are others of the model."""
    if model in _SPLIT:
        states = _states(model, ids, inputs)
        for start in range(0, ids.shape[1], POSITIONS_AT_ONCE):
            stop = start + POSITIONS_AT_ONCE
            yield start, _logits(model, ids[:, start:stop], states, slice(start, stop))
    else:
        logits = model(input_ids=ids, **{"use_cache": False, **inputs}).logits
        for start in range(0, ids.shape[1], POSITIONS_AT_ONCE):
            yield start, logits[:, start : start + POSITIONS_AT_ONCE]


def last_logits_only(model: nn.Module) -> dict[str, int]:
    """What tells a model that only the logits of the last position are needed; nothing if it cannot be told."""
    return {"logits_to_keep": 1} if "logits_to_keep" in signature(model.forward).parameters else {}


def try_parts(model: nn.Module) -> bool:
    """Read a model in parts from now on if its body and head make the very logits of a plain pass; says whether.

    It makes passes of its own, so nothing may look into the model meanwhile.
    """
    if _is_split(model):
        _SPLIT.add(model)
    return model in _SPLIT


@torch.inference_mode()
def _is_split(model: nn.Module) -> bool:
    body, head = _body(model), _head(model)
    if body is None or head is None:
        return False
    rows = model.get_input_embeddings().weight.shape[0]
    ids = torch.randint(rows, (1, TRIED), generator=torch.Generator().manual_seed(0))
    try:
        ids = ids.to(model.device)
        plain = model(input_ids=ids, use_cache=False).logits
        states = _states(model, ids, {})
        same = torch.equal(_logits(model, ids, states, slice(0, TRIED)), plain)
        half = _logits(model, ids[:, TRIED // 2 :], states, slice(TRIED // 2, TRIED))
        return same and half.shape == plain[:, TRIED // 2 :].shape and bool(plain.std() > 0)
    except (AttributeError, IndexError, KeyError, NotImplementedError, RuntimeError, TypeError, ValueError):
        return False


def _body(model: nn.Module) -> nn.Module | None:
    body = getattr(model, "base_model", None)
    return body if body is not model and isinstance(body, nn.Module) else None


def _head(model: nn.Module) -> nn.Module | None:
    find = getattr(model, "get_output_embeddings", None)
    return find() if find else None


def _states(model: nn.Module, ids: Tensor, inputs: dict) -> object:
    """What the body gives in one pass; the head makes one number of every position, for nobody."""
    found: list[object] = []

    def nothing(states: Tensor, *args, **kwargs) -> Tensor:
        return states.new_zeros(*states.shape[:-1], 1)

    hook = _body(model).register_forward_hook(lambda module, args, output: found.append(output))
    with ExitStack() as stack:
        stack.callback(hook.remove)
        stack.enter_context(_forwarding(_head(model), nothing))
        model(input_ids=ids, **{"use_cache": False, **inputs})
    return found[-1]


def _logits(model: nn.Module, ids: Tensor, states: object, part: slice) -> Tensor:
    """The logits that the model's own code makes of some of the states."""
    of_part = type(states)(last_hidden_state=states.last_hidden_state[:, part])
    with _forwarding(_body(model), lambda *args, **kwargs: of_part):
        return model(input_ids=ids, use_cache=False).logits


@contextmanager
def _forwarding(module: nn.Module, forward: Callable) -> Iterator[None]:
    """Within the block, this module does something else."""
    own = module.__dict__.get("forward")  # libraries put one here to move weights
    module.forward = forward
    try:
        yield
    finally:
        if own is None:
            del module.forward
        else:
            module.forward = own
