"""Load one arm with its revision, dtype and quantization; DroPE checkpoints load without their remote code."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import transformers  # classes by their full names: importing model classes takes seconds, and a replay needs none

from lib.checkpoints import (
    ModelArguments,
    adapter_identity,
    first_sentence,
    gguf_of,
    identity,
    parse,
    portable,
    read_adapter,
    read_config,
    sizes,
    versions,
)
from lib.models import adapters
from lib.models.drope import apply_norms, drop_rope, drope_class, drope_config, is_drope
from lib.models.from_gguf import gguf_config, gguf_provenance, load_from_gguf
from lib.models.rescaling import forget_lengths, rescale
from lib.models.tokens import load_tokenizer, rows_in_config


@dataclass(frozen=True)
class Arm:
    """A loaded model with its tokenizer and its provenance: everything that identifies the measured model."""

    model: transformers.PreTrainedModel
    tokenizer: transformers.PreTrainedTokenizerBase
    provenance: dict[str, Any]


def load(args: str | Mapping | ModelArguments, *, device: str | None = None) -> Arm:
    """Load a causal LM and its tokenizer for measuring: eval mode, no gradients, safetensors or GGUF only.

    `args` is a string in lm-eval's syntax, a mapping or parsed arguments. `device` defaults to CUDA if available. The
    default dtype is bfloat16 on a GPU and float32 on a CPU. GGUF is dequantized to that dtype. An adapter is merged
    before the rotation is changed and before anything is quantized.
    Raises ValueError, one sentence, if the checkpoint is not found or gated, if its weights are pickled, incomplete or
    unexpected, if it is quantized otherwise than asked for, if it has no tokenizer, if it needs remote code that nobody
    asked for, or if an adapter does not fit.
    """
    args = args if isinstance(args, ModelArguments) else parse(args)
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    raw = read_config(args)
    _refuse_pickles(args)
    _refuse_second_quantization(args, raw)
    _refuse_more_than_is_held(args, raw)
    if args.peft:
        adapters.check(Path(args.peft))
    model = _load_model(args, raw, device)
    tokenizer = load_tokenizer(args)
    return Arm(model, tokenizer, describe(args, model, device))


def default_dtype(device: str) -> str:
    """float32 on a CPU; bfloat16 on a GPU, because massive values overflow float16."""
    return "float32" if device == "cpu" else "bfloat16"


def describe(args: ModelArguments, model: transformers.PreTrainedModel, device: str) -> dict[str, Any]:
    """The provenance of a loaded model, as plain JSON values."""
    gguf = gguf_of(args)
    return {
        "arguments": asdict(args.portable),
        "pretrained": args.portable.name,
        "identity": identity(args),
        "class": type(model).__name__,
        "config": _without_paths(model.config.to_dict()),
        "dtype": str(model.dtype).removeprefix("torch."),
        "quantization": _quantization_shown(model, gguf),
        "attn_implementation": model.config._attn_implementation,
        "device": torch.cuda.get_device_name(device) if device.startswith("cuda") else device,
        "parameters": model.num_parameters(),
        "versions": versions(),
        **({"gguf": gguf_provenance(gguf)} if gguf else {}),
        **({"adapter": _adapter_provenance(Path(args.peft))} if args.peft else {}),
    }


def _without_paths(config: dict) -> dict:
    """A config without the place that it was read from, which is no fact about the model."""
    return {
        name: _without_paths(value) if isinstance(value, dict) else value
        for name, value in config.items()
        if name != "_name_or_path"
    }


def _quantization_shown(model: transformers.PreTrainedModel, gguf: Path | None) -> str:
    """The format in which the weights are held, and the types that a GGUF file held them in before."""
    held = _held_as(model.config.to_dict())
    if not gguf:
        return held
    types = f"GGUF {', '.join(gguf_provenance(gguf)['types'])}"
    return types if held == "none" else f"{held} after {types}"


def _held_as(config: Mapping) -> str:
    """How a config says that its weights are quantized: `nf4`, `fp4`, `int8`, the name of another method, or `none`."""
    found = config.get("quantization_config")
    if not isinstance(found, Mapping):
        return "none"
    if found.get("load_in_4bit"):
        return str(found.get("bnb_4bit_quant_type", "fp4"))
    return "int8" if found.get("load_in_8bit") else str(found.get("quant_method", "unknown"))


def _refuse_second_quantization(args: ModelArguments, raw: Mapping) -> None:
    """transformers would keep the checkpoint's own format, whatever the arguments ask for."""
    held = _held_as(raw)
    if "none" not in (held, args.quantization) and args.quantization != held:
        raise ValueError(f"{args.source} is quantized already, as {held}: it cannot be loaded as {args.quantization}")


def _adapter_provenance(folder: Path) -> dict[str, Any]:
    config = read_adapter(folder)
    return {
        "folder": portable(str(folder)),
        "identity": "sha256:" + adapter_identity(folder),
        "kind": config["peft_type"],
        "made_for": portable(str(config.get("base_model_name_or_path") or "")) or None,
    }


def _load_model(args: ModelArguments, raw: Mapping, device: str) -> transformers.PreTrainedModel:
    dtype = args.dtype or default_dtype(device)
    quantization = _quantization(args, dtype) if _held_as(raw) == "none" else None
    gguf = gguf_of(args)
    # GGUF is dequantized and adapters are merged in full precision: such weights are quantized afterwards
    later = quantization is not None and bool(gguf or args.peft)
    options = {
        "dtype": dtype,
        "device_map": args.device_map or {"": device},
        "attn_implementation": args.attn_implementation,
        "ignore_mismatched_sizes": True,  # so that `_refuse_incomplete` names them
        "output_loading_info": True,
    }
    options = {key: value for key, value in options.items() if value is not None}
    first = {**options, "device_map": {"": "cpu"}} if later else options
    model, info = _read_gguf(args, gguf, first) if gguf else _read(args, raw, first, None if later else quantization)
    _refuse_incomplete(args, info)
    if args.peft:
        model = adapters.merge(model, Path(args.peft))
    if later:
        model = _quantized(args, model, {**options, "quantization_config": quantization})
    if is_drope(raw):
        apply_norms(model)
    if args.rope == "off":
        drop_rope(model)
    if args.rescaled:
        forget_lengths(model)
    _keep_four_bits_as_loaded(model)
    return model.eval().requires_grad_(False)


def _read(args: ModelArguments, raw: Mapping, options: Mapping, quantization) -> tuple[Any, dict]:
    """A model from safetensors, and transformers' report on what was loaded."""
    options = {**options, **args.on_hub, "use_safetensors": True}
    if quantization:
        options["quantization_config"] = quantization
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
    return _attempt(args, lambda: loader(str(args.folder or args.pretrained), **options))


def _read_gguf(args: ModelArguments, path: Path, options: Mapping) -> tuple[Any, dict]:
    """A model from a GGUF file, dequantized, and transformers' report on what was loaded."""
    config = gguf_config(path)
    if args.rescaled:
        rescale(config, args.rope)
    return _attempt(args, lambda: load_from_gguf(path, config, **options))


def _quantized(args: ModelArguments, model: transformers.PreTrainedModel, options: Mapping):
    """A quantized copy of a model, as if the model had been saved and loaded."""
    weights, config = model.state_dict(), model.config
    copied, info = _attempt(
        args, lambda: type(model).from_pretrained(None, config=config, state_dict=weights, **options)
    )
    _refuse_incomplete(args, info)
    return copied


def _attempt(args: ModelArguments, loads: Callable[[], Any]) -> Any:
    """What `loads` loads. Raises ValueError, one sentence, for any fault of the checkpoint."""
    try:
        model, info = loads()
    except Exception as error:  # transformers raises nearly any exception for a broken checkpoint
        raise ValueError(f"{args.source} cannot be loaded: {first_sentence(error)}") from error
    if getattr(model, "_hf_peft_config_loaded", False):
        raise ValueError(f"{args.source} holds an adapter beside the model: give it as peft=FOLDER, in its own folder")
    return model, info


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
            str(args.folder or args.pretrained), **args.on_hub, trust_remote_code=args.trust_remote_code
        )
    except Exception as error:  # transformers raises nearly any exception for a broken config
        raise ValueError(f"{args.source} has a broken config.json: {first_sentence(error)}") from error


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
    folder = args.folder
    if folder and not args.gguf_file and not list(folder.glob("*.safetensors")):
        if files := sorted(path.name for path in folder.glob("*.gguf")):
            raise ValueError(f"{folder} holds no safetensors but {', '.join(files)}: add gguf_file={files[0]}")
        pickles = sorted(p.name for pattern in ("*.bin", "*.pt", "*.pth") for p in folder.glob(pattern))
        content = f"only {pickles[0]}, and pickles can run code" if pickles else "no weights"
        raise ValueError(f"{folder} holds {content}: save the model with save_pretrained, which writes safetensors")


def _refuse_more_than_is_held(args: ModelArguments, raw: Mapping) -> None:
    """Raise ValueError if a single matrix of the config could not be in the weights: it would be allocated first."""
    if args.is_gguf or not args.folder or list(args.folder.glob("*.safetensors.index.json")):
        return
    held = sum(path.stat().st_size for path in args.folder.glob("*.safetensors"))
    hidden, rows = sizes(raw)["hidden_size"], rows_in_config(raw)
    if hidden and rows and hidden * rows > max(10**9, 8 * held):  # not even one bit for each number
        raise ValueError(
            f"{args.source}: config.json asks for an embedding of {rows:,} x {hidden:,} numbers, and all weights have "
            f"{held:,} bytes"
        )


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
            raise ValueError(f"{args.source} {fault} weights for its config: {', '.join(names[:3])}{more}")
