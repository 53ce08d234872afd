"""Load one arm with its revision, dtype and quantization; DroPE checkpoints load without their remote code."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import transformers  # classes by their full names: importing model classes takes seconds, and a replay needs none
from torch import nn, uint8

from lib.checkpoints import ModelArguments, first_sentence, identity, parse, read_config, versions
from lib.models.drope import apply_norms, drop_rope, drope_class, drope_config, is_drope
from lib.models.rescaling import forget_lengths, rescale
from lib.models.tokens import load_tokenizer


@dataclass(frozen=True)
class Arm:
    """A loaded model with its tokenizer and its provenance: everything that identifies the measured model."""

    model: transformers.PreTrainedModel
    tokenizer: transformers.PreTrainedTokenizerBase
    provenance: dict[str, Any]


def load(args: str | Mapping | ModelArguments, *, device: str | None = None) -> Arm:
    """Load a causal LM and its tokenizer for measuring: eval mode, no gradients, safetensors only.

    `args` is a string in lm-eval's syntax, a mapping or parsed arguments. `device` defaults to CUDA if available. The
    default dtype is bfloat16 on a GPU and float32 on a CPU.
    Raises ValueError, one sentence, if the checkpoint is not found or gated, if its weights are pickled, incomplete or
    unexpected, if it has no tokenizer, or if it needs remote code that was not asked for.
    """
    args = args if isinstance(args, ModelArguments) else parse(args)
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    raw = read_config(args)
    _refuse_pickles(args)
    model = _load_model(args, raw, device)
    tokenizer = load_tokenizer(args)
    return Arm(model, tokenizer, describe(args, model, device))


def default_dtype(device: str) -> str:
    """float32 on a CPU; bfloat16 on a GPU, because massive values overflow float16."""
    return "float32" if device == "cpu" else "bfloat16"


def describe(args: ModelArguments, model: transformers.PreTrainedModel, device: str) -> dict[str, Any]:
    """The provenance of a loaded model, as plain JSON values."""
    return {
        "arguments": asdict(args),
        "pretrained": args.pretrained,
        "identity": identity(args),
        "class": type(model).__name__,
        "config": model.config.to_dict(),
        "dtype": str(model.dtype).removeprefix("torch."),
        "quantization": args.quantization,
        "attn_implementation": model.config._attn_implementation,
        "device": torch.cuda.get_device_name(device) if device.startswith("cuda") else device,
        "parameters": model.num_parameters(),
        "versions": versions(),
    }


def _load_model(args: ModelArguments, raw: Mapping, device: str) -> transformers.PreTrainedModel:
    dtype = args.dtype or default_dtype(device)
    options = {
        "revision": args.revision,
        "dtype": dtype,
        "device_map": args.device_map or {"": device},
        "attn_implementation": args.attn_implementation,
        "quantization_config": _quantization(args, dtype),
        "use_safetensors": True,
        "ignore_mismatched_sizes": True,  # so that `_refuse_incomplete` names them
        "output_loading_info": True,
    }
    options = {key: value for key, value in options.items() if value is not None}
    if is_drope(raw):
        config = drope_config(args, raw)
        loader = drope_class(config).from_pretrained
        options["config"] = config
    else:
        _refuse_remote_code(args, raw)
        loader = transformers.AutoModelForCausalLM.from_pretrained
        options["trust_remote_code"] = args.trust_remote_code
        if args.rescaled:
            options["config"] = _plain_config(args)
    if args.rescaled:
        rescale(options["config"], args.rope)
    try:
        model, info = loader(args.pretrained, **options)
    except Exception as error:  # transformers raises nearly any exception for a broken checkpoint
        raise ValueError(f"{args.pretrained} cannot be loaded: {first_sentence(error)}") from error
    _refuse_incomplete(args, info)
    if is_drope(raw):
        apply_norms(model)
    if args.rope == "off":
        drop_rope(model)
    if args.rescaled:
        forget_lengths(model)
    _keep_four_bits_as_loaded(model)
    return model.eval().requires_grad_(False)


def _keep_four_bits_as_loaded(model: transformers.PreTrainedModel) -> None:
    """Prevent bitsandbytes from repacking 4-bit weights.

    On some CPUs it does so at the first pass, with rounded scales and only if the number of rows is a multiple of 32:
    the weights would change while they are measured, and results would depend on the machine.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False


def _plain_config(args: ModelArguments) -> transformers.PreTrainedConfig:
    """The config of a checkpoint other than DroPE. Raises ValueError, one sentence, when it cannot be read."""
    try:
        return transformers.AutoConfig.from_pretrained(
            args.pretrained, revision=args.revision, trust_remote_code=args.trust_remote_code
        )
    except Exception as error:  # transformers raises nearly any exception for a broken config
        raise ValueError(f"{args.pretrained} has a broken config.json: {first_sentence(error)}") from error


def _quantization(args: ModelArguments, dtype: str) -> transformers.BitsAndBytesConfig | None:
    # on some CPUs it warns that a kernel for 4-bit products is missing, which is not used here in any case (see above)
    logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
    if args.load_in_4bit:
        return transformers.BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type=args.bnb_4bit_quant_type,
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=None if dtype == "auto" else dtype,
        )
    return transformers.BitsAndBytesConfig(load_in_8bit=True) if args.load_in_8bit else None


def _refuse_pickles(args: ModelArguments) -> None:
    folder = Path(args.pretrained)
    if folder.is_dir() and not list(folder.glob("*.safetensors")):
        pickles = sorted(p.name for pattern in ("*.bin", "*.pt", "*.pth") for p in folder.glob(pattern))
        content = f"only {pickles[0]}, and pickles can run code" if pickles else "no weights"
        raise ValueError(f"{folder} holds {content}: save the model with save_pretrained, which writes safetensors")


def _refuse_remote_code(args: ModelArguments, raw: Mapping) -> None:
    if raw["model_type"] not in transformers.CONFIG_MAPPING and not args.trust_remote_code:
        raise ValueError(
            f"{args.pretrained} has model_type {raw['model_type']!r}, which transformers does not know: "
            "add trust_remote_code=True to run the code that comes with it"
        )


def _refuse_incomplete(args: ModelArguments, info: Mapping) -> None:
    """Raise ValueError if weights were initialised at random or left unused: another model would be measured."""
    unexpected = [key for key in info["unexpected_keys"] if not key.endswith("rotary_emb.inv_freq")]
    for fault, keys in (
        ("lacks", info["missing_keys"]),
        ("has unexpected", unexpected),
        ("has wrongly shaped", info["mismatched_keys"]),
    ):
        if keys:
            names = sorted(str(key[0] if isinstance(key, tuple) else key) for key in keys)
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            raise ValueError(f"{args.pretrained} {fault} weights for its config: {', '.join(names[:3])}{more}")


def fingerprint(model: nn.Module) -> str:
    """SHA-256 of all parameters and buffers that a model would save, as they are in memory (quantized or not).

    Equal fingerprints before and after a measurement show that it changed no weight.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        if hasattr(tensor, "numel"):  # a quantized layer also saves names
            digest.update(tensor.detach().contiguous().cpu().reshape(-1).view(uint8).numpy())
    return digest.hexdigest()
