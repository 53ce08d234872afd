"""Attention weights, computed block by block from what attention receives, and proven to give what attention gives.

Memory holds the weights of a block of positions of one layer, never those of a whole text: it grows with the block
times the length, and not with the layers or the square of the length.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from weakref import WeakSet

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from lib.probing.anatomy import CannotRead, short_ids, survey
from lib.probing.attention import overhearing

BLOCK = 128
"""Positions of which the weights are held at once."""
ROUNDING = 32
"""Roundings by which weights times values may differ from what attention gives, of the largest value in a head."""
Weigh = Callable[[int, int, Tensor], None]
"""Called with (layer, first position of the block, weights [batch, head, position, key])."""

_PROVEN: WeakSet[nn.Module] = WeakSet()


@contextmanager
def weighing(model: nn.Module, weigh: Weigh, block: int = BLOCK) -> Iterator[None]:
    """While the block runs, call `weigh` with the attention weights of every layer, in blocks of positions.

    Weights are float32 whatever the model's dtype. Where a sink logit takes a share, those of a row sum to less than 1.
    Raises CannotRead, one sentence, for a model whose weights cannot be told (see `prove_weights`).
    """
    prove_weights(model)
    layers = {module: layer for layer, module in enumerate(survey(model).modules)}

    def hear(module: nn.Module, states: tuple[Tensor, Tensor, Tensor], given: dict, found: Tensor) -> None:
        query, key, _ = states
        for start in range(0, query.shape[2], block):
            weigh(layers[module], start, weights_of(module, query, key, given, start, start + block))

    with overhearing(model, hear):
        yield


def prove_weights(model: nn.Module) -> None:
    """Raise CannotRead unless weights times values are what attention gives, in one short pass over a model."""
    try:
        survey(model).need("attention")
    except ValueError as error:
        raise CannotRead(str(error)) from error
    if model not in _PROVEN:
        _prove(model)
        _PROVEN.add(model)


def weights_of(
    module: nn.Module,
    query: Float[Tensor, "batch head pos dim"],
    key: Float[Tensor, "batch kv_head key dim"],
    given: Mapping,
    start: int,
    stop: int,
) -> Float[Tensor, "batch head rows key"]:
    """The attention weights of the positions from `start` to `stop`, from what attention is given beside the states."""
    rows = query[:, :, start:stop].float()
    keys = key.float().repeat_interleave(query.shape[1] // key.shape[1], 1)
    scaling = given.get("scaling")
    scores = rows @ keys.transpose(2, 3) * (query.shape[-1] ** -0.5 if scaling is None else scaling)
    if (cap := given.get("softcap")) is not None:
        scores = cap * torch.tanh(scores / cap)
    mask = given.get("attention_mask")
    if isinstance(mask, Tensor) and mask.ndim == 4:
        mask = mask[:, :, start:stop, : key.shape[2]]
        scores = scores.masked_fill(~mask, -torch.inf) if mask.dtype == torch.bool else scores + mask.float()
    else:
        allowed = _allowed(module, given, query.shape[2], key.shape[2])[start:stop].to(scores.device)
        scores = scores.masked_fill(~allowed, -torch.inf)
    if (sinks := given.get("s_aux")) is None:
        return scores.softmax(-1)
    sinks = sinks.float().reshape(1, -1, 1, 1).expand(*scores.shape[:3], 1)
    return torch.cat([scores, sinks], -1).softmax(-1)[..., :-1]


def _allowed(module: nn.Module, given: Mapping, length: int, keys: int) -> Bool[Tensor, "pos key"]:
    """Which keys a position may see, where no mask says it: those up to itself, within the window if there is one."""
    at, before = torch.arange(keys - length, keys)[:, None], torch.arange(keys)[None]
    causal = given.get("is_causal")
    allowed = before <= at if (getattr(module, "is_causal", True) if causal is None else causal) else before < keys
    window = given.get("sliding_window")
    return allowed if window is None else allowed & (before > at - window)


@torch.inference_mode()
def _prove(model: nn.Module) -> None:
    kind, seen = type(model).__name__, set()

    def hear(module: nn.Module, states: tuple[Tensor, Tensor, Tensor], given: dict, found: Tensor) -> None:
        query, key, value = states
        weights = weights_of(module, query, key, given, 0, query.shape[2])
        values = value.float().repeat_interleave(query.shape[1] // value.shape[1], 1)
        expected = (weights @ values).transpose(1, 2)
        error = (found.float().reshape(expected.shape) - expected).abs().amax((1, 3))
        largest = values.abs().amax((2, 3))
        if not (error <= ROUNDING * torch.finfo(found.dtype).eps * largest).all() or not largest.all():
            raise CannotRead(
                f"{kind}: its attention weights cannot be told: times the values they are not what attention gives"
            )
        seen.add(module)

    with overhearing(model, hear):
        model(input_ids=short_ids(model), use_cache=False)
    if missed := set(survey(model).modules) - seen:
        raise RuntimeError(f"{kind}: {len(missed)} attention modules were not heard")
