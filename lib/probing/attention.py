"""What transformers' attention functions get and give: query, key and value, how these are combined, and the result."""

import inspect
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import ExitStack, contextmanager

from torch import Tensor, nn

See = Callable[[nn.Module, Tensor, Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]
"""Called with (attention module, query, key, value), each [batch, head, pos, dim]; returns what attention gets."""
Hear = Callable[[nn.Module, tuple[Tensor, Tensor, Tensor], dict, Tensor], None]
"""Called with (attention module, (query, key, value), all else that it gets, its result [batch, pos, head, dim])."""
BY_PLACE = ("attention_mask",)
"""What attention functions get by place behind query, key and value; all else has a name."""


@contextmanager
def receiving(model: nn.Module, see: See) -> Iterator[None]:
    """While the block runs, call `see` before the attention function of every attention module of `model`.

    The function that the model's config names is wrapped under its own name. So the model's mask, which depends on that
    name, does not change, and a model without SDPA (soft-capped scores, attention sinks) still uses its own eager
    function. Other models that run meanwhile are not affected. A module that does not take its function from
    transformers' AttentionInterface is never seen.
    """

    def attend(function: Callable, module: nn.Module, query: Tensor, key: Tensor, value: Tensor, *args, **kwargs):
        return function(module, *see(module, query, key, value), *args, **kwargs)

    with _calling(model, attend):
        yield


@contextmanager
def overhearing(model: nn.Module, hear: Hear) -> Iterator[None]:
    """While the block runs, call `hear` after the attention function of every attention module of `model`."""

    def attend(function: Callable, module: nn.Module, query: Tensor, key: Tensor, value: Tensor, *args, **kwargs):
        found = function(module, query, key, value, *args, **kwargs)
        given = {**dict(zip(BY_PLACE, args, strict=False)), **kwargs}
        hear(module, (query, key, value), given, found[0])
        return found

    with _calling(model, attend):
        yield


@contextmanager
def _calling(model: nn.Module, attend: Callable) -> Iterator[None]:
    """Call `attend` with the attention function, and what it would get, in its stead."""
    own = set(model.modules())
    names = {module.config._attn_implementation for module in own if hasattr(module, "config")}
    with ExitStack() as stack:
        for functions in _interfaces(own):
            for name in names:
                stack.enter_context(_wrapped(functions, name, own, attend))
        yield


def _interfaces(modules: set[nn.Module]) -> list[MutableMapping]:
    """The AttentionInterfaces used by these modules: that of transformers, or one in a module's own file."""
    named = (_globals(module).get("ALL_ATTENTION_FUNCTIONS") for module in modules)
    return list({id(functions): functions for functions in named if functions is not None}.values())


@contextmanager
def _wrapped(functions: MutableMapping, name: str, own: set[nn.Module], attend: Callable) -> Iterator[None]:
    before = functions.get(name)

    def instead(module: nn.Module, *args, **kwargs):
        # without an entry, transformers falls back to the eager function of the module's own file
        function = before or _globals(module)["eager_attention_forward"]
        return attend(function, module, *args, **kwargs) if module in own else function(module, *args, **kwargs)

    functions[name] = instead
    try:
        yield
    finally:
        del functions[name]
        if functions.get(name) is not before:  # another block around this one, or the user's own function
            functions[name] = before


def _globals(module: nn.Module) -> dict:
    """The global names of the file that defines the module's forward pass."""
    return getattr(inspect.unwrap(type(module).forward), "__globals__", {})
