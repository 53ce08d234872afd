"""Locate a model's query, key and value states in a short pass, and prove the locations before any state is read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from lib.checkpoints import first_sentence
from lib.definitions import NAMES, SITES, Name, Site
from lib.models import input_device
from lib.probing import taps
from lib.probing.attention import receiving
from lib.probing.taps import Geometry, Tap

SEPARATE = ("q_proj", "k_proj", "v_proj")
NORMS = (("q_norm", "k_norm"), ("q_layernorm", "k_layernorm"), ("query_layernorm", "key_layernorm"))
"""Names that architectures give to the norms of query and key."""
AGREE = 0.999
"""Least cosine at which two readings of a head's states count as the same. Rounding to bfloat16 costs 1e-5."""
Outputs = dict[nn.Module, tuple[Tensor, Tensor]]
"""Input and output of every part of the attention modules in one pass."""
OFF_INTERFACE = {"falcon": ("FalconAttention", "query_key_value"), "gptj": ("GPTJAttention", *SEPARATE)}
"""Architectures whose attention does not use transformers' interface, by model_type: class and names of projections.
Their projections cannot be compared with the input of attention, so only transformers' own classes are trusted.
"""


class CannotRead(ValueError):
    """What an experiment reads cannot be read in this model, or on texts so short; others may be made all the same."""


@dataclass(frozen=True)
class Anatomy:
    """Sizes, attention modules in order (empty off the interface), taps by site, and reasons for the missing sites.

    `late` holds the norms of query and key that follow the rotation, by attention module.
    """

    sizes: Geometry
    modules: tuple[nn.Module, ...]
    taps: dict[Site, list[dict[Name, Tap]]] = field(default_factory=dict)
    missing: dict[Site, str] = field(default_factory=dict)
    late: dict[nn.Module, dict[Name, Tap]] = field(default_factory=dict)

    @property
    def sites(self) -> tuple[Site, ...]:
        """The sites at which states can be read."""
        return (*self.taps, *(("attention",) if self.modules else ()))

    def need(self, site: Site) -> None:
        """Raise ValueError, one sentence, if states cannot be read at this site."""
        if site not in SITES:
            raise ValueError(f"states cannot be read at {site!r}, only at {' or '.join(SITES)}")
        if site in self.missing:
            raise ValueError(self.missing[site])


_KNOWN: WeakKeyDictionary[nn.Module, Anatomy] = WeakKeyDictionary()


def survey(model: nn.Module) -> Anatomy:
    """Examine a model once, in two passes over a dozen tokens. Raises ValueError if it cannot be measured.

    The architecture's name is not trusted. Attention modules are the modules that call transformers' attention
    interface, each once in a pass, and there must be as many as the config has layers. A projection or norm inside
    them counts as one only if its output equals, head by head, the input of attention: value at all positions, query
    and key at the first position, where the rotation does nothing but multiply the dims that turn by the factor that
    the model's rotary embedding declares.
    """
    if model not in _KNOWN:
        _KNOWN[model] = _survey(model)
    return _KNOWN[model]


def short_ids(model: nn.Module) -> Tensor:
    """A dozen token ids [1, pos], none of them a token with an embedding of zeros, whose states would prove nothing.

    Raises ValueError if the embeddings of the first thousand tokens are all zero.
    """
    embeddings = model.get_input_embeddings().weight[1:1001]
    if embeddings.is_meta:  # weights that wait on a disk are read when they are used
        usable = torch.arange(len(embeddings))
    else:
        usable = embeddings.detach().ne(0).any(-1).nonzero()[:, 0].cpu()
    if not len(usable):
        raise ValueError(f"{type(model).__name__} cannot be measured: the embeddings of its first tokens are all zero")
    return (usable[torch.arange(12) % len(usable)] + 1)[None].to(input_device(model))


def _survey(model: nn.Module) -> Anatomy:
    kind, layers = type(model).__name__, model.config.get_text_config().num_hidden_layers
    try:
        received = _received(model, short_ids(model))
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # a model may raise anything when its config does not fit its code
        raise ValueError(f"{kind} cannot be measured: its forward pass fails: {first_sentence(error)}") from error
    if not all(torch.isfinite(states).all() for calls in received.values() for states in sum(calls, ())):
        raise ValueError(f"{kind}: states are not finite: the forward pass overflowed; try dtype=bfloat16 or float32")
    if not received:
        return _off_interface(model, kind, layers)
    calls = [len(states) for states in received.values()]
    if len(received) != layers or set(calls) != {1}:
        raise ValueError(
            f"{kind} cannot be measured: its {layers} layers called transformers' attention interface {sum(calls)} "
            "times in one pass, and every layer must call it once"
        )
    modules = tuple(received)
    shapes = {tuple((s.shape[1], s.shape[3]) for s in states) for (states,) in received.values()}
    (heads, dim), (kv_heads, key_dim), (value_heads, value_dim) = min(shapes)
    if len(shapes) > 1 or key_dim != dim or value_heads != kv_heads or heads % kv_heads:
        raise ValueError(f"{kind} cannot be measured: its layers, or their query, key and value, differ in shape")
    return _with_taps(model, Anatomy(Geometry(layers, heads, kv_heads, dim, value_dim), modules))


@torch.inference_mode()
def _received(model: nn.Module, ids: Tensor) -> dict[nn.Module, list[tuple[Tensor, Tensor, Tensor]]]:
    """The states that every attention module received in one pass, in the order of the calls."""
    received: dict[nn.Module, list[tuple[Tensor, Tensor, Tensor]]] = {}

    def see(module: nn.Module, *states: Tensor) -> tuple[Tensor, ...]:
        received.setdefault(module, []).append(states)
        return states

    with receiving(model, see):
        model(input_ids=ids, use_cache=False)
    return received


def _with_taps(model: nn.Module, anatomy: Anatomy) -> Anatomy:
    """Find projections and norms, and prove them in a second pass."""
    sizes, kind = anatomy.sizes, type(model).__name__
    outputs: dict[nn.Module, tuple[Tensor, Tensor]] = {}
    with ExitStack() as stack:
        for module in (child for attention in anatomy.modules for child in attention.modules() if child != attention):
            stack.enter_context(watching(module, outputs))
        received = [states for (states,) in _received(model, short_ids(model)).values()]
    missing, by_site, late, scales = {}, {"projection": [], "normed": []}, {}, list(_scales(model, sizes.dim))
    for layer, (module, states) in enumerate(zip(anatomy.modules, received, strict=True)):
        attention = dict(zip(NAMES, (s.transpose(1, 2) for s in states), strict=True))
        found = _located(module, outputs, attention, sizes, scales)
        if found is None:
            missing["projection"] = (
                f"{kind} cannot be measured at the site projection: no projection of layer {layer} gives the states "
                "that attention receives; try --site attention"
            )
            break
        projected, normed, late[module] = found
        by_site["projection"].append(projected)
        by_site["normed"].append({**projected, **normed})
    if missing:
        missing["normed"], late = missing["projection"].replace("projection:", "normed:"), {}
    elif by_site["normed"] == by_site["projection"] or any(late.values()):
        missing["normed"] = f"{kind} has no norms of query and key before the rotation: use --site projection"
    return Anatomy(sizes, anatomy.modules, {s: t for s, t in by_site.items() if s not in missing}, missing, late)


def _located(
    attention: nn.Module, outputs: Outputs, received: dict[Name, Tensor], sizes: Geometry, scales: list[Tensor]
) -> tuple[dict[Name, Tap], dict[Name, Tap], dict[Name, Tap]] | None:
    """Projections, norms before the rotation and norms after it; None if no projections can be proven."""
    for scale in scales:
        before = {
            name: states if name == "value" else states / scale.to(states.device) for name, states in received.items()
        }
        early = norm_taps(attention, outputs, before, sizes, slice(1))
        if projected := projection_taps(attention, outputs, _inputs(early, outputs), before, sizes):
            return projected, early, {}
        if late := norm_taps(attention, outputs, received, sizes, slice(None)):
            # between the projection and such a norm lies the rotation, which does nothing at the first position
            before |= {name: states[:, :1] / scale.to(states.device) for name, states in _inputs(late, outputs).items()}
            if projected := projection_taps(attention, outputs, {}, before, sizes):
                return projected, {}, late
    return None


def _inputs(norms: dict[Name, Tap], outputs: Outputs) -> dict[Name, Tensor]:
    """What the norms get [batch, pos, head, dim]."""
    return {name: tap.read(outputs[tap.module][0]) for name, tap in norms.items()}


def _scales(model: nn.Module, dim: int) -> Iterator[Tensor]:
    """What a rotation may multiply the dims of a head by [dim] at the first position.

    1, or on the dims of a partial rotation (the first or the last) a factor that the rotary embedding itself declares,
    as those of YaRN and LongRoPE do. A factor on all dims is no other state and needs no entry.
    """
    yield torch.ones(dim)
    for module in model.modules():
        for name in [name for name in vars(module) if name.endswith("attention_scaling")]:
            speeds = getattr(module, f"{name.removesuffix('attention_scaling')}inv_freq", None)
            width = 2 * len(speeds) if isinstance(speeds, Tensor) and speeds.ndim == 1 else dim
            for start in (0, dim - width) if width < dim else ():
                scale = torch.ones(dim)
                scale[start : start + width] = getattr(module, name)
                yield scale


@contextmanager
def watching(module: nn.Module, outputs: dict[nn.Module, tuple[Tensor, Tensor]]) -> Iterator[None]:
    """Note the input and output of a module in `outputs`, before other hooks change the output."""

    def hook(_, inputs: tuple, output) -> None:
        if inputs and isinstance(inputs[0], Tensor) and isinstance(output, Tensor):
            outputs[module] = (inputs[0], output)

    handle = module.register_forward_hook(hook, prepend=True)
    try:
        yield
    finally:
        handle.remove()


def _off_interface(model: nn.Module, kind: str, layers: int) -> Anatomy:
    """The projections of an architecture off the attention interface."""
    config = model.config.get_text_config()
    name, *attributes = OFF_INTERFACE.get(config.model_type, ("", ""))
    own = f"transformers.models.{config.model_type}."
    modules = [m for m in model.modules() if type(m).__name__ == name and type(m).__module__.startswith(own)]
    if len(modules) != layers:
        raise ValueError(
            f"{kind} cannot be measured: its attention does not use transformers' attention interface, so that what is "
            "read could not be compared with what attention receives"
        )
    heads = config.num_attention_heads
    dim = config.hidden_size // heads
    sizes = Geometry(layers, heads, getattr(modules[0], "num_kv_heads", heads), dim, dim)
    if len(attributes) == 1:
        index = taps.grouped(sizes)
        projections = [{n: taps.part(getattr(m, attributes[0]), i) for n, i in index.items()} for m in modules]
    else:
        by_name = dict(zip(NAMES, attributes, strict=True))
        projections = [{n: taps.whole(getattr(m, a), sizes.shape(n)) for n, a in by_name.items()} for m in modules]
    reason = f"{kind} does not use transformers' attention interface: only the site projection can be read"
    return Anatomy(sizes, (), {"projection": projections}, {"normed": reason, "attention": reason})


def norm_taps(
    attention: nn.Module, outputs: Outputs, received: dict[Name, Tensor], sizes: Geometry, positions: slice
) -> dict[Name, Tap]:
    """The norms of query and key whose outputs equal the input of attention at these positions."""
    norms: dict[Name, Tap] = {}
    for names in NORMS:
        for name, attribute in zip(NAMES, names, strict=False):
            module = getattr(attention, attribute, None)
            if module not in outputs or name in norms:
                continue
            forms = (taps.headwise(module, heads_first=True), taps.headwise(module, heads_first=False))
            for tap in (*forms, taps.whole(module, sizes.shape(name))):
                states = _read(tap, outputs[module][1], received[name].shape)
                if states is not None and _agree(states[:, positions], received[name][:, positions]):
                    norms[name] = tap
                    break
    return norms


def projection_taps(
    attention: nn.Module,
    outputs: Outputs,
    normed: dict[Name, Tensor],
    received: dict[Name, Tensor],
    sizes: Geometry,
) -> dict[Name, Tap] | None:
    """The projections whose outputs equal `normed`, the input of the norms, else that of attention; else None.

    Between a projection and attention lies the rotation: query and key are compared at the first position there.
    """

    def proven(candidate: dict[Name, Tap]) -> bool:
        for name, tap in candidate.items():
            states = _read(tap, outputs[tap.module][1], (*outputs[tap.module][1].shape[:2], *sizes.shape(name)))
            if states is None:
                return False
            positions = slice(None) if name in normed or name == "value" else slice(1)
            if not _agree(states[:, positions], normed.get(name, received[name])[:, positions]):
                return False
        return True

    separate = [getattr(attention, attribute, None) for attribute in SEPARATE]
    if all(module in outputs for module in separate):
        candidates = [{n: taps.whole(m, sizes.shape(n)) for n, m in zip(NAMES, separate, strict=True)}]
    else:
        width = sum(heads * dim for heads, dim in map(sizes.shape, NAMES))
        inside = set(attention.modules())
        fused = [module for module, (_, out) in outputs.items() if module in inside and out.shape[-1] == width]
        candidates = [
            {name: taps.part(module, index) for name, index in layout.items()}
            for module in fused
            for layout in taps.layouts(sizes)
        ]
    return next((candidate for candidate in candidates if proven(candidate)), None)


def _read(tap: Tap, output: Tensor, shape: torch.Size) -> Tensor | None:
    """The states in the output; None unless they have this shape [batch, pos, head, dim]."""
    try:
        states = tap.read(output)
    except (RuntimeError, IndexError):
        return None
    return states if states.shape == shape else None


def _agree(a: Tensor, b: Tensor) -> bool:
    """Are these the same states, head by head, up to a factor? Two zeros agree, and where all are zero nothing does."""
    a, b = a.float(), b.float()
    lengths = a.norm(dim=-1) * b.norm(dim=-1)
    both_zero = (a.norm(dim=-1) == 0) & (b.norm(dim=-1) == 0)
    return bool((((a * b).sum(-1) > AGREE * lengths) | both_zero).all() and not both_zero.all())
