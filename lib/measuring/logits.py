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
from transformers.cache_utils import DynamicLayer

from lib.models import input_device

POSITIONS_AT_ONCE = 128
"""Positions whose logits are held at a time."""
TRIED = 24
"""Tokens on which it is tried whether a model can be read in parts."""
_SPLIT: WeakSet[nn.Module] = WeakSet()
"""The models that were tried and can be read in parts."""


@torch.inference_mode()
def in_parts(
    model: nn.Module, ids: Int[Tensor, "batch pos"], *, chunk: int | None = None, **inputs: object
) -> Iterator[tuple[int, Float[Tensor, "batch part vocab"]]]:
    """The first position and the logits of each part of one pass over `ids`; `inputs` are others of the model.

    With a `chunk`, so many positions go through the model at a time, and read the earlier ones from its KV cache.
    Raises ValueError for a model that keeps no cache, where one is needed.
    """
    positions = ids.shape[1]
    chunk = min(chunk or positions, positions)
    inputs = {"use_cache": chunk < positions, **inputs}
    for start in range(0, positions, chunk):
        of_chunk = ids[:, start : start + chunk]
        split = model in _SPLIT
        read = _states(model, of_chunk, inputs) if split else model(input_ids=of_chunk, **inputs)
        for at in range(0, of_chunk.shape[1], POSITIONS_AT_ONCE):
            part = slice(at, at + POSITIONS_AT_ONCE)
            yield start + at, _logits(model, of_chunk[:, part], read, part) if split else read.logits[:, part]
        if start + chunk < positions:
            inputs["past_key_values"] = preallocate(cache_of(model, read), positions)
        del read  # its logits, before the next ones are made


def cache_of(model: nn.Module, read: object) -> object:
    """The KV cache of what a model has read. Raises ValueError if it keeps none."""
    if (cache := getattr(read, "past_key_values", None)) is None:
        raise ValueError(f"{type(model).__name__} keeps no KV cache, so nothing can be read after what it has read")
    return cache


@torch.inference_mode()
def read_through(model: nn.Module, ids: Int[Tensor, "batch pos"], chunk: int | None = None) -> None:
    """One pass over `ids` for those who look into the model: few logits, and `chunk` positions at a time."""
    positions = ids.shape[1]
    chunk = min(chunk or positions, positions)
    inputs = {"use_cache": chunk < positions, **last_logits_only(model)}
    for start in range(0, positions, chunk):
        read = model(input_ids=ids[:, start : start + chunk], **inputs)
        if start + chunk < positions:
            inputs["past_key_values"] = preallocate(cache_of(model, read), positions)


def preallocate(cache: object, positions: int) -> object:
    """The cache of the first chunk, whose layers have room for all positions where they would grow with each chunk."""
    layers = getattr(cache, "layers", ())
    for index, layer in enumerate(layers):
        if type(layer) is DynamicLayer and layer.get_seq_length():  # others hold a window, or a state of their own
            layers[index] = Preallocated(layer, positions)
    return cache


class Preallocated(DynamicLayer):
    """A layer of a KV cache [batch, head, pos, dim] that lies in one place, with room for a whole text.

    A layer that grows is copied for each chunk, and leaves gaps in the memory that none of its later sizes fits.
    """

    def __init__(self, held: DynamicLayer, positions: int):
        super().__init__()
        self.dtype, self.device, self.is_initialized = held.dtype, held.device, True
        self.rooms = [of.new_empty(*of.shape[:-2], positions, of.shape[-1]) for of in (held.keys, held.values)]
        self.keys, self.values = (room[..., :0, :] for room in self.rooms)
        self.update(held.keys, held.values)

    def update(self, key_states: Tensor, value_states: Tensor, *args, **kwargs) -> tuple[Tensor, Tensor]:
        """Put the states behind those that are held. Returns all."""
        start = self.keys.shape[-2]
        stop = start + key_states.shape[-2]
        for room, states in zip(self.rooms, (key_states, value_states), strict=True):
            room[..., start:stop, :] = states
        self.keys, self.values = (room[..., :stop, :] for room in self.rooms)
        return self.keys, self.values


class New:
    """Which of the states that a probe sees are of positions that it has not seen, where a text is read in chunks.

    Attention receives the keys and values of earlier positions along with them, as far as the cache holds them.
    """

    def __init__(self, positions: int, chunk: int | None):
        self.positions, self.chunk = positions, min(chunk or positions, positions)
        self.seen: dict[object, int] = {}

    def __call__(self, of: object, states: Float[Tensor, "batch pos *rest"]) -> tuple[int, Tensor]:
        """The first new position, and the states [batch, new, ..] from it on. `of` says which states these are."""
        start = self.seen.get(of, 0)
        number = min(self.chunk, self.positions - start)
        self.seen[of] = start + number
        return start, states[:, states.shape[1] - number :]


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
        ids = ids.to(input_device(model))
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
    # contiguous, because the product with a slice of several rows takes nearly twice as long
    of_part = type(states)(last_hidden_state=states.last_hidden_state[:, part].contiguous())
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
