"""The rotation of query and key in each layer, measured on the running model, and its response to positions."""

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lib.probing.anatomy import Anatomy, short_ids, survey, watching
from lib.probing.attention import receiving

SHIFT = 5
"""Position p becomes (1 + SHIFT) p in the second pass."""
TABLE = re.compile(r"(^|\.)(wpe|\w*pos(ition|_)\w*)(\.weight)?$")
"""Names that architectures give to their tables of positions: GPT-2, OPT, CTRL, GPT-J."""
FITS = 0.05
"""Frequencies fit if the relative error of the turned states is below this in every pair. bfloat16 rounds to 0.4 %."""


def positions_held(model: nn.Module) -> int | None:
    """How many positions a model's table of positions has a row for; None if it computes them and needs no table."""
    held = [
        len(tensor) - getattr(model.get_submodule(name.rpartition(".weight")[0]), "offset", 0)  # OPT leaves two free
        for name, tensor in (*model.named_parameters(), *model.named_buffers())
        if TABLE.search(name) and tensor.ndim == 2 and tensor.is_floating_point()
    ]
    return min(held, default=None)


def _within(model: nn.Module, ids: Tensor, stretch: int) -> Tensor:
    """As many of the `ids` [batch, pos] as the model has positions for when these are stretched."""
    held = positions_held(model)
    return ids if held is None else ids[:, : (held - 1) // stretch + 1]


def frequencies(model: nn.Module) -> Float[Tensor, "layer dim"]:
    """Radians per position by which each dim of query and key turns, float64; both dims of a pair have the same.

    0 marks dims that do not turn: in layers without rotation (SmolLM3, Cohere 2, Llama 4), outside of a partial
    rotation, and everywhere in a model without rotation. NaN marks layers that depend on positions in a way that the
    model's frequencies do not explain, and models whose attention cannot be seen (see `survey`).

    Every layer gets the same input at two sets of positions. The model's own frequencies (`inv_freq`; some models have
    one set per type of layer) are tried in every arrangement of pairs that architectures use, and so is no rotation.
    The result is the candidate that turns the keys at the first positions into the keys at the second.
    """
    anatomy = survey(model)
    sizes = anatomy.sizes
    if not anatomy.modules:
        return torch.full((sizes.layers, sizes.dim), torch.nan, dtype=torch.float64)
    ids = _within(model, short_ids(model), 1 + SHIFT)
    positions = torch.arange(ids.shape[1], device=ids.device)
    inputs: dict[nn.Module, Tensor] = {}
    first = _keys(model, anatomy, ids, positions, inputs)
    second = _keys(model, anatomy, ids, (1 + SHIFT) * positions, inputs)
    candidates = list(_candidates(model, sizes.dim))
    moved = SHIFT * positions.double().cpu()
    return torch.stack([_fitting(a, b, candidates, moved) for a, b in zip(first, second, strict=True)])


@torch.inference_mode()
def _keys(
    model: nn.Module, anatomy: Anatomy, ids: Tensor, positions: Tensor, inputs: dict[nn.Module, Tensor]
) -> list[Tensor]:
    """The keys [pos, kv_head, dim] after the rotation in every layer, before a norm that follows it. The first call
    stores the input of every attention module in `inputs`; later calls use these inputs again."""
    keys: dict[nn.Module, Tensor] = {}
    norms = {module: taps["key"] for module, taps in anatomy.late.items() if "key" in taps}
    outputs: dict[nn.Module, tuple[Tensor, Tensor]] = {}

    def see(module: nn.Module, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, ...]:
        tap = norms.get(module)
        turned = tap.read(outputs[tap.module][0]) if tap else key.transpose(1, 2)
        keys[module] = turned[0].double().cpu()
        return query, key, value

    with ExitStack() as stack:
        stack.enter_context(receiving(model, see))
        stack.enter_context(_same_inputs(anatomy.modules, inputs))
        for tap in norms.values():
            stack.enter_context(watching(tap.module, outputs))
        model(input_ids=ids, position_ids=positions[None], use_cache=False)
    return [keys[module] for module in anatomy.modules]


@contextmanager
def _same_inputs(modules: tuple[nn.Module, ...], inputs: dict[nn.Module, Tensor]) -> Iterator[None]:
    def hook(module: nn.Module, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
        given = args[0] if args else kwargs["hidden_states"]
        hidden = inputs.setdefault(module, given)
        return ((hidden, *args[1:]), kwargs) if args else (args, {**kwargs, "hidden_states": hidden})

    with ExitStack() as stack:
        for module in modules:
            stack.callback(module.register_forward_pre_hook(hook, with_kwargs=True).remove)
        yield


def _candidates(model: nn.Module, dim: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Arrangements (frequency [dim], partner [dim]) in which dim d turns with dim partner[d]: no rotation, or pairs of
    halves (Llama) or neighbours (Cohere, Llama 4) among the first dims or the last (DeepSeek), in either sense
    (NanoChat turns against all others)."""
    yield torch.zeros(dim, dtype=torch.float64), torch.arange(dim)
    held = [tensor for name, tensor in model.named_buffers() if name.endswith("inv_freq") and tensor.ndim == 1]
    for speeds in {tuple(t.double().tolist()): t.double().cpu() for t in held}.values():
        width, number = 2 * len(speeds), torch.arange(len(speeds))
        for start in {0, dim - width} if width <= dim else ():
            halves, neighbours = (number, number + len(speeds)), (2 * number, 2 * number + 1)
            for even, odd in (halves, neighbours, halves[::-1], neighbours[::-1]):
                frequency, partner = torch.zeros(dim, dtype=torch.float64), torch.arange(dim)
                frequency[start + even], frequency[start + odd] = speeds, -speeds
                partner[start + even], partner[start + odd] = start + odd, start + even
                yield frequency, partner


def _fitting(before: Tensor, after: Tensor, candidates: list, moved: Tensor) -> Float[Tensor, " dim"]:
    """Frequencies [dim] that turn `before` [pos, kv_head, dim] into `after` as positions grow by `moved`, or NaN."""
    best, error = None, FITS
    for frequency, partner in candidates:
        angle = moved[:, None, None] * frequency
        turned = before * angle.cos() - before[..., partner] * angle.sin()
        # of the whole pair, since a rotation carries the rounding of a massive dim into its partner
        missed, size = (
            of_dim + of_dim[partner] for of_dim in (x.square().sum((0, 1)) for x in (turned - after, after))
        )
        worst = (missed / size.clamp_min(torch.finfo(torch.float64).tiny)).max().sqrt()
        if worst < error:
            best, error = frequency.abs(), worst
    return torch.full_like(before[0, 0], torch.nan) if best is None else best


@torch.inference_mode()
def position_response(model: nn.Module, ids: Tensor, *, stretch: int = 3) -> dict[str, float]:
    """How much the logits of `ids` [batch, pos] change when position ids are stretched: does the model see positions?

    A model with a table of positions reads only as many tokens as the table has stretched positions for.
    Returns `change` and `noise` (of the same pass repeated), both the largest absolute difference of logits divided by
    the standard deviation of the logits. A position-blind model has change <= noise, and both are 0
    on deterministic kernels.
    """
    ids = _within(model, ids, stretch)
    positions = torch.arange(ids.shape[1], device=ids.device).expand_as(ids)
    # Without an attention mask, transformers takes gaps in position ids for packed sequences and masks across them:
    # the logits of a position-blind model would change too.
    everything = torch.ones_like(ids)
    plain, again, stretched = (
        model(input_ids=ids, attention_mask=everything, position_ids=p, use_cache=False).logits
        for p in (positions, positions, stretch * positions)
    )
    scale = plain.float().std()
    change, noise = ((other - plain).abs().max().float() / scale for other in (stretched, again))
    if not torch.isfinite(change):
        raise ValueError("the logits are not finite: the forward pass overflowed; try dtype=bfloat16 or float32")
    return {"change": change.item(), "noise": noise.item()}
