"""What attention receives: query, key and value as they are handed to transformers' attention functions."""

import inspect
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import ExitStack, contextmanager

from torch import Tensor, nn

See = Callable[[nn.Module, Tensor, Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]
"""Called with (attention module, query, key, value), each [batch, head, pos, dim]; returns what attention shall get."""


@contextmanager
def receiving(model: nn.Module, see: See) -> Iterator[None]:
    """While the block runs, `see` stands in front of the attention function of every attention module of `model`.

    The function that the model's config names is wrapped under its own name. So the mask that the model makes, which
    depends on that name, stays what it was, and a model without SDPA (soft-capped scores, attention sinks) goes on to
    its own eager function. Other models that run meanwhile pass through. A module that does not ask transformers'
    AttentionInterface for its function is never seen.
    """
    own = set(model.modules())
    names = {module.config._attn_implementation for module in own if hasattr(module, "config")}
    with ExitStack() as stack:
        for functions in _interfaces(own):
            for name in names:
                stack.enter_context(_wrapped(functions, name, own, see))
        yield


def _interfaces(modules: set[nn.Module]) -> list[MutableMapping]:
    """The AttentionInterfaces that the code of these modules asks: transformers' one, or that of its own file."""
    named = (_globals(module).get("ALL_ATTENTION_FUNCTIONS") for module in modules)
    return list({id(found): found for found in named if found is not None}.values())


@contextmanager
def _wrapped(functions: MutableMapping, name: str, own: set[nn.Module], see: See) -> Iterator[None]:
    before = functions.get(name)

    def attend(module: nn.Module, query: Tensor, key: Tensor, value: Tensor, *args, **kwargs):
        if module in own:
            query, key, value = see(module, query, key, value)
        # without an entry, transformers falls back to the eager function of the file that the module is written in
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
    """The names of the file that the module's forward pass is written in."""
    return getattr(inspect.unwrap(type(module).forward), "__globals__", {})
