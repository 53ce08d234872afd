"""Rotary positions: taking them out of a model, and whether a model sees positions at all."""

import torch
from torch import Tensor, nn

NORMED = {"nope": "", "qk_norm_nope": "qk", "q_norm_nope": "q", "k_norm_nope": "k"}
"""DroPE's attention types, and which of query and key each puts through an RMSNorm."""


class CannotDrop(ValueError):
    """The architecture keeps its rotation where it cannot be taken out."""


class NoRotation(nn.Module):
    """Stands in for a rotary embedding and rotates by nothing: cos = 1, sin = 0."""

    def __init__(self, dim: int):
        super().__init__()
        self.dim = dim

    def forward(self, x: Tensor, position_ids: Tensor, **_) -> tuple[Tensor, Tensor]:
        shape = (*position_ids.shape, self.dim)
        return x.new_ones(shape), x.new_zeros(shape)


def drop_rope(model: nn.Module) -> nn.Module:
    """Take the rotation out of a causal LM, in place, and return it.

    Multiplying by cos = 1 and adding 0 x sin leaves every query and key as it was, so the logits equal those of
    SakanaAI's NoPE wrapper exactly, under any attention implementation, KV cache or quantization.
    The config is marked (`attention_type`), so that a saved copy is recognised as DroPE when loaded again.
    Raises CannotDrop for a model whose rotary embedding is not where Llama and Qwen2 keep it.
    """
    core = getattr(model, getattr(model, "base_model_prefix", ""), None)
    rotary = getattr(core, "rotary_emb", None)
    if isinstance(rotary, NoRotation):
        return model
    elsewhere = [n for n, m in model.named_modules() if "rotary" in type(m).__name__.lower() and m is not rotary]
    if not isinstance(getattr(rotary, "inv_freq", None), Tensor) or elsewhere:
        raise CannotDrop(
            f"cannot drop the rotation of {type(model).__name__}: it has no single rotary embedding beside its layers; "
            "Llama and Qwen2 architectures are supported"
        )
    core.rotary_emb = NoRotation(2 * rotary.inv_freq.numel())
    if getattr(model.config, "attention_type", None) not in NORMED:
        model.config.attention_type = "nope"
    return model


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
