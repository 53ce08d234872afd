"""The input of attention: query, key and value as they are passed to transformers' attention functions."""

import inspect
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import ExitStack, contextmanager

from torch import Tensor, nn

See = Callable[[nn.Module, Tensor, Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]
"""Called with (attention module, query, key, value), each [batch, head, pos, dim]; returns what attention gets."""


@contextmanager
def receiving(model: nn.Module, see: See) -> Iterator[None]:
    """While the block runs, call `see` before the attention function of every attention module of `model`.

    The function that the model's config names is wrapped under its own name. So the model's mask, which depends on that
    name, does not change, and a model without SDPA (soft-capped scores, attention sinks) still uses its own eager
    function. Other models that run meanwhile are not affected. A module that does not take its function from
    transformers' AttentionInterface is never seen.
    """
    own = set(model.modules())
    names = {module.config._attn_implementation for module in own if hasattr(module, "config")}
    with ExitStack() as stack:
        for functions in _interfaces(own):
            for name in names:
                stack.enter_context(_wrapped(functions, name, own, see))
        yield


def _interfaces(modules: set[nn.Module]) -> list[MutableMapping]:
    """The AttentionInterfaces used by these modules: that of transformers, or one in a module's own file."""
    named = (_globals(module).get("ALL_ATTENTION_FUNCTIONS") for module in modules)
    return list({id(functions): functions for functions in named if functions is not None}.values())


@contextmanager
def _wrapped(functions: MutableMapping, name: str, own: set[nn.Module], see: See) -> Iterator[None]:
    before = functions.get(name)

    def attend(module: nn.Module, query: Tensor, key: Tensor, value: Tensor, *args, **kwargs):
        if module in own:
            query, key, value = see(module, query, key, value)
        # without an entry, transformers falls back to the eager function of the module's own file
        function = before or _globals(module)["eager_attention_forward"]
        return function(module, query, key, value, *args, **kwargs)

    functions[name] = attend
    try:
        yield
    finally:
        del functions[name]
        if functions.get(name) is not before:  # another block around this one, or the user's own function
            functions[name] = before


def _globals(module: nn.Module) -> dict:
    """The global names of the file that defines the module's forward pass."""
    return getattr(inspect.unwrap(type(module).forward), "__globals__", {})
