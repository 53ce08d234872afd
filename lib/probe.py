"""Read or edit query, key and value states while a model runs. Hooks never outlive the `with` block."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, get_args

from torch import Tensor, nn

Name = Literal["query", "key", "value"]
NAMES: tuple[Name, ...] = get_args(Name)
SITES = ("projection",)
"""Where states can be read: `projection` is the output of the q/k/v projections, before norms and rotation."""

Visit = Callable[[Name, int, Tensor], Tensor | None]
"""Called with (name, layer, states [batch, pos, head, dim]); returns edited states, or None to leave them alone."""


@dataclass(frozen=True)
class Geometry:
    """Sizes of the states: layers, heads of the query, heads of key and value, dims of a head."""

    layers: int
    heads: int
    kv_heads: int
    dim: int

    def shape(self, name: Name) -> tuple[int, int]:
        """[head, dim] of query, or [kv_head, dim] of key and value."""
        return (self.heads if name == "query" else self.kv_heads, self.dim)


def geometry(model: nn.Module) -> Geometry:
    """Sizes of the model's states. Raises ValueError for an architecture the probe cannot read (see `projections`)."""
    config = model.config.get_text_config()
    heads = config.num_attention_heads
    dim = getattr(config, "head_dim", None) or config.hidden_size // heads
    kv_heads = getattr(config, "num_key_value_heads", None) or heads
    found = Geometry(config.num_hidden_layers, heads, kv_heads, dim)
    projections(model, found)
    return found


def projections(model: nn.Module, sizes: Geometry) -> list[dict[Name, nn.Module]]:
    """The q, k and v projection of every layer, in order.

    Raises ValueError unless every layer has three separate linear projections with outputs of the configured sizes:
    guessing how a fused projection is laid out would measure the wrong states.
    """
    kind = type(model).__name__
    found = []
    for path, module in model.named_modules():
        parts = {name: getattr(module, f"{name[0]}_proj", None) for name in NAMES}
        if any(part is None for part in parts.values()):
            continue
        for name, part in parts.items():
            heads, dim = sizes.shape(name)
            if not isinstance(part, nn.Linear) or part.out_features != heads * dim:
                raise ValueError(f"{kind}: {path}.{name[0]}_proj is no linear layer of {heads} heads x {dim} dims")
        found.append(parts)
    if len(found) != sizes.layers:
        raise ValueError(
            f"{kind} cannot be measured: {len(found)} of its {sizes.layers} layers have separate q_proj, k_proj and "
            "v_proj; fused projections and other attention are not supported"
        )
    return found


@contextmanager
def visiting(model: nn.Module, visit: Visit) -> Iterator[None]:
    """While the block runs, show every query, key and value state to `visit`, which may replace it.

    The hooks come first (`prepend`), so what they see is the raw projection even where a model norms it afterwards.
    They are removed whatever happens in the block. Raises RuntimeError when the block ran no pass through every
    layer: a probe that was never called must not look like one that found nothing.
    """
    sizes = geometry(model)
    calls = dict.fromkeys(((name, layer) for layer in range(sizes.layers) for name in NAMES), 0)
    handles = []
    try:
        for layer, parts in enumerate(projections(model, sizes)):
            for name, part in parts.items():
                hook = _hook(visit, name, layer, sizes, calls)
                handles.append(part.register_forward_hook(hook, prepend=True))
        yield
        if missed := [f"{name} of layer {layer}" for (name, layer), n in calls.items() if n == 0]:
            raise RuntimeError(f"the probe never saw {len(missed)} states, the first is {missed[0]}")
    finally:
        for handle in handles:
            handle.remove()


def _hook(visit: Visit, name: Name, layer: int, sizes: Geometry, calls: dict) -> Callable:
    heads, dim = sizes.shape(name)

    def hook(module: nn.Module, inputs: tuple, output: Tensor) -> Tensor | None:
        calls[name, layer] += 1
        edited = visit(name, layer, output.unflatten(-1, (heads, dim)))
        return None if edited is None else edited.flatten(-2)

    return hook
