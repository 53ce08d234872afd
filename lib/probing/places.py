"""The residual stream, and what attention and the MLP add to it: located, and proven before any is read.

    stream after a layer - stream before it = what attention adds + what the MLP adds

holds within rounding in every layer of a model that can be read here, and fails when either part is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import permutations
from typing import Literal
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from lib.definitions import PARTS, Part
from lib.probing.anatomy import CannotRead, short_ids, survey

Place = Literal["stream", "attention", "mlp"]
Look = Callable[[Place, int, Tensor], Tensor | None]
"""Called with (place, index, states [batch, pos, width]); returns edited states, or None to keep them.

The stream has one index more than there are layers: 0 is what the first layer gets, i + 1 what layer i gives. States
that are kept must be copied, since some architectures add in place.
"""
ROUNDINGS = 8
"""Roundings by which the two sides may differ: each of two additions, and of two parts, rounds a few times at most."""


@dataclass(frozen=True)
class Places:
    """The modules of the layers, in order, and those whose outputs are added to the stream in each of them."""

    layers: tuple[nn.Module, ...]
    parts: dict[Part, tuple[nn.Module, ...]]
    names: dict[Part, str]

    def __len__(self) -> int:
        return len(self.layers)


_KNOWN: WeakKeyDictionary[nn.Module, Places] = WeakKeyDictionary()


def find_places(model: nn.Module) -> Places:
    """Examine a model once, in a pass over a dozen tokens. Raises CannotRead if its stream cannot be read.

    Layers are the members of the list of modules of which each holds the attention of one layer. In a layer, two
    modules are looked for whose outputs make up what the layer adds to the stream: one through which the layer's
    attention passes, and another one. A norm behind attention or the MLP is found in their stead where it is its output
    that is added. Names count for nothing, but they must be the same in every layer.
    """
    if model not in _KNOWN:
        _KNOWN[model] = _located(model)
    return _KNOWN[model]


@contextmanager
def looking(model: nn.Module, look: Look) -> Iterator[None]:
    """While the block runs, call `look` with the stream and with what is added to it; it may replace them.

    What is not replaced stays bit-identical. What replaces a stream is what all later layers get.
    Raises CannotRead if the model has no such places, RuntimeError if the block ran no pass through every layer.
    """
    found = find_places(model)
    calls = dict.fromkeys([("stream", i) for i in range(len(found) + 1)], 0)
    calls |= {(part, layer): 0 for part in PARTS for layer in range(len(found))}

    def show(place: Place, index: int, states: Tensor) -> Tensor | None:
        calls[place, index] += 1
        return look(place, index, states)

    shape = [torch.Size()]
    with ExitStack() as stack:
        enters = _before(show, shape)
        stack.callback(found.layers[0].register_forward_pre_hook(enters, with_kwargs=True, prepend=True).remove)
        for part, modules in found.parts.items():
            for layer, module in enumerate(modules):
                stack.callback(module.register_forward_hook(_behind(part, layer, show, shape)).remove)
        for layer, module in enumerate(found.layers):
            stack.callback(module.register_forward_hook(_behind("stream", layer + 1, show, shape)).remove)
        yield
    if missed := [f"{place} {index}" for (place, index), number in calls.items() if not number]:
        raise RuntimeError(f"the block ran no pass through every layer: nothing was seen of {', '.join(missed[:3])}")


def _before(show: Look, shape: list[torch.Size]) -> Callable:
    def hook(module: nn.Module, args: tuple, kwargs: dict) -> tuple[tuple, dict] | None:
        states = args[0] if args else kwargs["hidden_states"]
        shape[0] = states.shape
        edited = show("stream", 0, states)
        if edited is None:
            return None
        return ((edited, *args[1:]), kwargs) if args else (args, {**kwargs, "hidden_states": edited})

    return hook


def _behind(place: Place, index: int, show: Look, shape: list[torch.Size]) -> Callable:
    def hook(module: nn.Module, args: tuple, output: Tensor | tuple) -> Tensor | tuple | None:
        states = first(output)
        edited = show(place, index, states.reshape(shape[0]))  # some MLPs put batch and positions into one dimension
        if edited is None:
            return None
        edited = edited.reshape(states.shape)
        return (edited, *output[1:]) if isinstance(output, tuple) else edited

    return hook


def first(output: object) -> Tensor | None:
    """The states that a module gives: its output, or the first part of it; None if that is no tensor."""
    found = output[0] if isinstance(output, tuple) and output else output
    return found if isinstance(found, Tensor) else None


def _located(model: nn.Module) -> Places:
    kind = type(model).__name__
    anatomy = survey(model)
    inner = anatomy.modules or tuple(taps["query"].module for taps in anatomy.taps["projection"])
    layers = _layers(model, inner)
    if layers is None:
        raise CannotRead(f"{kind}: its stream cannot be read, since its layers lie in no list of modules")
    before, after, outputs = _traced(model, layers)
    through = [
        [name for name, module in layer.named_modules() if name and (module is own or own in set(module.modules()))]
        for layer, own in zip(layers, inner, strict=True)
    ]
    # a dropout that does nothing gives the same as the module before it: those that have weights come first
    weightless = {name for name in outputs[0] if not any(True for _ in layers[0].get_submodule(name).parameters())}
    named = set.intersection(*(set(found) for found in outputs))
    candidates = sorted(named, key=lambda name: (name in weightless, name.count("."), name))
    for attention, mlp in permutations(candidates, 2):
        if not _passes(attention, mlp, through, layers, outputs):
            continue
        sides = [(b, a, o[attention][1], o[mlp][1]) for b, a, o in zip(before, after, outputs, strict=True)]
        if all(adds_up(*side) for side in sides):
            names: dict[Part, str] = {"attention": attention, "mlp": mlp}
            modules = {part: tuple(layer.get_submodule(name) for layer in layers) for part, name in names.items()}
            return Places(layers, modules, names)
    raise CannotRead(
        f"{kind}: its stream cannot be read, since no two modules of a layer add up to what it adds to the stream, one "
        "with its attention and one without"
    )


def _layers(model: nn.Module, inner: tuple[nn.Module, ...]) -> tuple[nn.Module, ...] | None:
    """The members of the list of modules of which each holds one of `inner`, in order."""
    lists = (found for found in model.modules() if isinstance(found, nn.ModuleList) and len(found) == len(inner))
    fitting = (f for f in lists if all(own in set(layer.modules()) for layer, own in zip(f, inner, strict=True)))
    return next(map(tuple, fitting), None)


@torch.inference_mode()
def _traced(model: nn.Module, layers: tuple[nn.Module, ...]) -> tuple[list[Tensor], list[Tensor], list[dict]]:
    """The stream before and after each layer, and (input, output) of the modules in it that give states like these."""
    before: list[Tensor] = []
    after: list[Tensor] = []
    outputs: list[dict[str, tuple[Tensor | None, Tensor]]] = [{} for _ in layers]

    def enters(module, args, kwargs):
        before.append((args[0] if args else kwargs["hidden_states"]).clone())

    def leaves(module, args, output):
        after.append(first(output).clone())

    def inside(layer, name):
        def hook(module, args, kwargs, output):
            given = args[0] if args else kwargs.get("hidden_states")
            found, shape = first(output), before[layer].shape
            if found is not None and found.numel() == shape.numel() and found.shape[-1] == shape[-1]:
                outputs[layer][name] = (given if isinstance(given, Tensor) else None, found.reshape(shape).clone())

        return hook

    with ExitStack() as stack:
        for i, layer in enumerate(layers):
            stack.callback(layer.register_forward_pre_hook(enters, with_kwargs=True).remove)
            stack.callback(layer.register_forward_hook(leaves).remove)
            for name, module in layer.named_modules():
                if name:
                    stack.callback(module.register_forward_hook(inside(i, name), with_kwargs=True).remove)
        model(input_ids=short_ids(model), use_cache=False)
    return before, after, outputs


def _passes(attention: str, mlp: str, through: list[list[str]], layers, outputs: list[dict]) -> bool:
    """Is the first of two modules one through which attention passes, in every layer, and the second none?"""

    def of_attention(name: str, layer: int) -> bool:
        holds = name in through[layer] or any(name.startswith(f"{outer}.") for outer in through[layer])
        given = outputs[layer][name][0]
        # a norm behind attention gets its output and nothing else
        behind = given is not None and any(
            outer in outputs[layer] and torch.equal(given, outputs[layer][outer][1]) for outer in through[layer]
        )
        return holds or behind

    every = range(len(layers))
    return all(of_attention(attention, i) and not of_attention(mlp, i) for i in every)


def adds_up(before: Tensor, after: Tensor, attention: Tensor, mlp: Tensor) -> bool:
    """Is what a layer adds to the stream [batch, pos, width] the sum of the two parts, up to rounding, and of no less?

    Each number may be off by a few roundings of the largest number that went into it. Leaving out a part, or both, must
    fail: where a part is lost in the rounding of a large stream, or is zero, nothing would be proven.
    """
    step = ROUNDINGS * torch.finfo(after.dtype).eps
    added, parts = (after.double() - before.double()), (attention.double(), mlp.double())
    largest = torch.stack([after.double().abs(), before.double().abs(), *(part.abs() for part in parts)]).amax(0)

    def fits(sum_of_parts: Tensor | float) -> bool:
        return bool(((added - sum_of_parts).abs() <= step * largest).all())

    return fits(sum(parts)) and not any(fits(less) for less in (*parts, 0.0))
