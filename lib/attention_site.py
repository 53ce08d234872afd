"""What attention receives: query, key and value as they are handed to transformers' attention functions."""

import inspect
from collections.abc import Callable, Iterator
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
    names = {module.config._attn_implementation for module in own if hasattr(module, "config")} - {None}
    with ExitStack() as stack:
        for name in names:
            stack.enter_context(_wrapped(name, own, see))
        yield


@contextmanager
def _wrapped(name: str, own: set[nn.Module], see: See) -> Iterator[None]:
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS as functions  # takes seconds, replaying needs none

    before = functions.get(name)

    def attend(module: nn.Module, query: Tensor, key: Tensor, value: Tensor, *args, **kwargs):
        if module in own:
            query, key, value = see(module, query, key, value)
        function = before or _eager(module)
        return function(module, query, key, value, *args, **kwargs)

    functions[name] = attend
    try:
        yield
    finally:
        del functions[name]
        if functions.get(name) is not before:  # another block around this one, or the user's own function
            functions[name] = before


def _eager(module: nn.Module) -> Callable:
    """The eager function of the file that the module's forward pass is written in: what transformers falls back to."""
    return inspect.unwrap(type(module).forward).__globals__["eager_attention_forward"]
