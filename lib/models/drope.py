"""DroPE: remove the rotation from a model, and read and write checkpoints in the published DroPE format."""

import inspect
import json
from collections.abc import Mapping
from pathlib import Path

import torch
import transformers
from torch import Tensor, nn

from lib.checkpoints import ModelArguments, first_sentence
from lib.definitions import write_whole

NORMED = {"nope": "", "qk_norm_nope": "qk", "q_norm_nope": "q", "k_norm_nope": "k"}
"""DroPE's attention types, each with the initials of the states (query, key) that pass through an RMSNorm."""


class CannotChange(ValueError):
    """The rotation of this architecture cannot be changed; nothing is broken."""


class CannotDrop(CannotChange):
    """The rotation of this architecture cannot be removed."""


class NoRotation(nn.Module):
    """Replaces a rotary embedding and does not rotate: every token is put at position 0.

    There cos = 1 and sin = 0, in the form in which the architecture uses them (for a part of each head, one set per
    type of layer, as complex numbers). YaRN and others multiply both by a factor, which is no rotation: it is set to 1.
    """

    def __init__(self, rotary: nn.Module):
        super().__init__()
        self.rotary = rotary
        for name in [name for name in vars(rotary) if name.endswith("attention_scaling")]:
            setattr(rotary, name, 1.0)

    def forward(self, x: Tensor, position_ids: Tensor, *args, **kwargs) -> tuple[Tensor, Tensor] | Tensor:
        return self.rotary(x, torch.zeros_like(position_ids), *args, **kwargs)


def drop_rope(model: nn.Module) -> nn.Module:
    """Remove the rotation from a causal LM, in place, and return the model.

    Multiplying by cos = 1 and adding 0 x sin leaves every query and key as it was, so the logits equal those of
    SakanaAI's NoPE wrapper exactly, under any attention implementation, KV cache or quantization.
    The config is marked (`attention_type`), so that a saved copy is loaded as DroPE again.
    Raises CannotDrop unless all layers get their rotation from one module beside them.
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
    """Does this module receive the positions by which it rotates?"""
    return rotary is not None and list(inspect.signature(rotary.forward).parameters)[:2] == ["x", "position_ids"]


def add_norms(model: nn.Module) -> None:
    """Add the RMSNorms of DroPE's `*_norm_nope` variants to every attention layer, named as in its checkpoints.

    Every variant gets both norms, because its checkpoints store both; `apply_norms` applies those in use.
    """
    for attention in attention_layers(model):
        eps = model.config.rms_norm_eps
        attention.q_norm = nn.RMSNorm(attention.q_proj.out_features, eps)
        attention.k_norm = nn.RMSNorm(attention.k_proj.out_features, eps)


def apply_norms(model: nn.Module) -> None:
    """Apply the RMSNorms of `add_norms` to the projections' outputs, and `softmax_scale` to the attention scores.

    Call it after loading: quantization replaces the projections and would lose the hooks.
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
    """The attention module of every layer, in order, of an architecture with `self_attn` in its `layers`."""
    return [layer.self_attn for layer in getattr(model, model.base_model_prefix).layers]


DROPE_BASES = {"llama": "Llama", "qwen2": "Qwen2"}
"""Architectures of DroPE checkpoints: model_type (without the `_drope` that DroPE adds) and name of the classes."""


def is_drope(raw: Mapping) -> bool:
    """Does this config.json belong to a DroPE checkpoint? It has SakanaAI's model type or the mark of `drop_rope`."""
    return raw["model_type"].endswith("_drope") or str(raw.get("attention_type")) in NORMED


def drope_config(args: ModelArguments, raw: Mapping) -> transformers.PreTrainedConfig:
    """The base architecture's config of a DroPE checkpoint, with `attention_type` (and `softmax_scale`) kept."""
    base = raw["model_type"].removesuffix("_drope")
    kind = str(raw.get("attention_type", "nope"))
    if base not in DROPE_BASES:
        raise ValueError(f"{args.source} is DroPE on {base!r}; only {' and '.join(DROPE_BASES)} are supported")
    if kind not in NORMED:
        raise ValueError(f"{args.source} has attention_type {kind!r}; known are {', '.join(NORMED)}")
    dropped = ("model_type", "auto_map", "architectures", "quantization_config")
    kept = {key: value for key, value in raw.items() if key not in dropped}
    try:
        config = transformers.CONFIG_MAPPING[base].from_dict(kept)
    except Exception as error:
        raise ValueError(f"{args.source} has a broken config.json: {first_sentence(error)}") from error
    config.attention_type = kind
    return config


def drope_class(config: transformers.PreTrainedConfig) -> type[transformers.PreTrainedModel]:
    """A subclass of the base's class without rotation; it has the extra norms before the weights are read into it."""
    base = transformers.MODEL_FOR_CAUSAL_LM_MAPPING[type(config)]

    class DroPE(base):
        def __init__(self, config: transformers.PreTrainedConfig):
            super().__init__(config)
            drop_rope(self)
            if NORMED[config.attention_type]:
                add_norms(self)

    DroPE.__name__ = f"DroPE{base.__name__}"
    return DroPE


PUBLISHED_CODE = "SakanaAI/Llama-2-7b-hf-DroPE--drope"
"""The repository that DroPE configs name for the wrapper's code. It runs only for users who ask for remote code."""


def mark_as_drope(folder: Path) -> None:
    """Turn a saved model's config.json into that of a DroPE checkpoint, in the published form."""
    path = folder / "config.json"
    config = json.loads(path.read_text())
    base = config["model_type"].removesuffix("_drope")
    name = f"DroPE{DROPE_BASES[base]}"
    config |= {
        "model_type": f"{base}_drope",
        "architectures": [f"{name}ForCausalLM"],
        "attention_type": config.get("attention_type", "nope"),
        "auto_map": {
            "AutoConfig": f"{PUBLISHED_CODE}.{name}Config",
            "AutoModelForCausalLM": f"{PUBLISHED_CODE}.{name}ForCausalLM",
        },
    }
    write_whole(path, json.dumps(config, indent=2, sort_keys=True) + "\n")
