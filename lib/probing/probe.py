"""Read or edit query, key and value states while a model runs. Hooks never outlive the `with` block."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

from lib.definitions import NAMES, Name, Site
from lib.probing.anatomy import Anatomy, survey
from lib.probing.attention import receiving
from lib.probing.taps import Geometry, Tap

Visit = Callable[[Name, int, Tensor], Tensor | None]
"""Called with (name, layer, states [batch, pos, head, dim]); returns edited states, or None to keep them."""


def geometry(model: nn.Module) -> Geometry:
    """Sizes of the model's states. Raises ValueError if its states cannot be read (see `survey`)."""
    return survey(model).sizes


@contextmanager
def visiting(model: nn.Module, visit: Visit, site: Site = "projection") -> Iterator[None]:
    """While the block runs, call `visit` with every query, key and value state at `site`; it may replace them.

    At the site `attention`, key and value include the cached positions, as attention receives them; at the other sites
    they hold the positions of the pass alone. States that are not replaced stay bit-identical.
    Raises ValueError if the model has no such site, RuntimeError if the block ran no pass through every layer: a probe
    that was never called must not look like one that saw no effect.
    """
    anatomy = survey(model)
    anatomy.need(site)
    calls = dict.fromkeys(((name, layer) for layer in range(anatomy.sizes.layers) for name in NAMES), 0)

    def show(name: Name, layer: int, states: Tensor) -> Tensor | None:
        calls[name, layer] += 1
        return visit(name, layer, states)

    with _received(model, anatomy, show) if site == "attention" else _hooked(anatomy.taps[site], show):
        yield
        if missed := [f"{name} of layer {layer}" for (name, layer), n in calls.items() if n == 0]:
            raise RuntimeError(f"the probe never saw {len(missed)} states, the first is {missed[0]}")


def _received(model: nn.Module, anatomy: Anatomy, show: Visit):
    layers = {module: layer for layer, module in enumerate(anatomy.modules)}

    def see(module: nn.Module, *received: Tensor) -> list[Tensor]:
        return [_edited(name, layers[module], states, show) for name, states in zip(NAMES, received, strict=True)]

    return receiving(model, see)


def _edited(name: Name, layer: int, states: Tensor, show: Visit) -> Tensor:
    """States [batch, head, pos, dim] after the visit, in the same memory layout: kernels may depend on it."""
    edited = show(name, layer, states.transpose(1, 2))
    if edited is None:
        return states
    edited = edited.transpose(1, 2)
    return edited if edited.stride() == states.stride() else torch.empty_like(states).copy_(edited)


@contextmanager
def _hooked(taps: list[dict[Name, Tap]], show: Visit) -> Iterator[None]:
    """Hook every tap, before its other hooks (`prepend`): a projection is seen before a norm that is hooked onto it."""
    with ExitStack() as stack:
        for layer, tapped in enumerate(taps):
            for name, tap in tapped.items():
                handle = tap.module.register_forward_hook(_hook(tap, name, layer, show), prepend=True)
                stack.callback(handle.remove)
        yield


def _hook(tap: Tap, name: Name, layer: int, show: Visit) -> Callable:
    def hook(module: nn.Module, inputs: tuple, output: Tensor) -> Tensor | None:
        edited = show(name, layer, tap.read(output))
        return None if edited is None else tap.write(output, edited)

    return hook
