"""Rotary positions: taking them out of a model, and whether a model sees positions at all."""

import inspect

import torch
from torch import Tensor, nn

NORMED = {"nope": "", "qk_norm_nope": "qk", "q_norm_nope": "q", "k_norm_nope": "k"}
"""DroPE's attention types, and which of query and key each puts through an RMSNorm."""


class CannotChange(ValueError):
    """The architecture does not allow to change its rotation; nothing is broken."""


class CannotDrop(CannotChange):
    """The architecture keeps its rotation where it cannot be taken out."""


class NoRotation(nn.Module):
    """Stands in for a rotary embedding and rotates by nothing: every token stands at position 0.

    There cos = 1 and sin = 0, in whatever form the architecture asks for them (a part of each head, one set for each
    type of layer, complex numbers). A factor that YaRN and its like put on both, which is no rotation, is 1.
    """

    def __init__(self, rotary: nn.Module):
        super().__init__()
        self.rotary = rotary
        for name in [name for name in vars(rotary) if name.endswith("attention_scaling")]:
            setattr(rotary, name, 1.0)

    def forward(self, x: Tensor, position_ids: Tensor, *args, **kwargs) -> tuple[Tensor, Tensor] | Tensor:
        return self.rotary(x, torch.zeros_like(position_ids), *args, **kwargs)


def drop_rope(model: nn.Module) -> nn.Module:
    """Take the rotation out of a causal LM, in place, and return it.

    Multiplying by cos = 1 and adding 0 x sin leaves every query and key as it was, so the logits equal those of
    SakanaAI's NoPE wrapper exactly, under any attention implementation, KV cache or quantization.
    The config is marked (`attention_type`), so that a saved copy is recognised as DroPE when loaded again.
    Raises CannotDrop for a model whose layers do not all get their rotation from one module beside them.
    """
    modules = list(model.get_decoder().modules())
    cores = [module for module in modules if hasattr(module, "layers") and hasattr(module, "rotary_emb")]
    rotary = cores[0].rotary_emb if len(cores) == 1 else None
    if isinstance(rotary, NoRotation):
        return model
    elsewhere = [m for m in modules if "rotary" in type(m).__name__.lower() and m is not rotary]
    if elsewhere or not _turns_by_positions(rotary):
        raise CannotDrop(
            f"cannot drop the rotation of {type(model).__name__}: it has no single rotary embedding beside its layers; "
            "architectures built like Llama are supported"
        )
    cores[0].rotary_emb = NoRotation(rotary)
    if getattr(model.config, "attention_type", None) not in NORMED:
        model.config.attention_type = "nope"
    return model


def _turns_by_positions(rotary: nn.Module | None) -> bool:
    """Does this module take the positions that it turns by?"""
    return rotary is not None and list(inspect.signature(rotary.forward).parameters)[:2] == ["x", "position_ids"]


def add_norms(model: nn.Module) -> None:
    """Give every attention layer the RMSNorms of DroPE's `*_norm_nope` variants, named as in its checkpoints.

    Both are made for every variant, because checkpoints store both; `apply_norms` puts to work those in use.
    """
    for attention in attention_layers(model):
        eps = model.config.rms_norm_eps
        attention.q_norm = nn.RMSNorm(attention.q_proj.out_features, eps)
        attention.k_norm = nn.RMSNorm(attention.k_proj.out_features, eps)


def apply_norms(model: nn.Module) -> None:
    """Let the RMSNorms of `add_norms` act on the projections' outputs, and `softmax_scale` on the attention scores.

    Done after loading: quantization replaces the projections, and hooks would be lost with them.
    """
    used = NORMED[model.config.attention_type]
    scale = getattr(model.config, "softmax_scale", None)
    for attention in attention_layers(model):
        if scale is not None:
            attention.scaling = scale
        for letter in used:
            norm = getattr(attention, f"{letter}_norm")
            getattr(attention, f"{letter}_proj").register_forward_hook(lambda _, __, out, norm=norm: norm(out))


def attention_layers(model: nn.Module) -> list[nn.Module]:
    """The attention module of every layer, in order; only for architectures with `self_attn` in `layers`."""
    return [layer.self_attn for layer in getattr(model, model.base_model_prefix).layers]


@torch.inference_mode()
def position_response(model: nn.Module, ids: Tensor, *, stretch: int = 3) -> dict[str, float]:
    """How much the logits of `ids` [batch, pos] move when position ids are stretched: does the model see positions?

    Returns `change` and `noise` (the same pass repeated), both the largest absolute difference of logits divided by
    the standard deviation of the logits. A position-blind model has change <= noise, 0 on deterministic kernels.
    """
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
