"""Models and tokenizers from GGUF files: read and dequantized by transformers, and refused unless all of it is read."""

import copy
import io
from collections import Counter
from contextlib import redirect_stderr
from functools import lru_cache
from pathlib import Path
from typing import Any

import transformers

from lib.checkpoints import Header, first_sentence, read_header, sha256_of

UNREAD_ROTATIONS = ("none", "")
"""Kinds of a rescaled rotation in a header that change nothing."""


def gguf_config(path: Path) -> transformers.PreTrainedConfig:
    """The config that transformers makes of a GGUF file's header; a copy that may be changed.

    Raises ValueError, one sentence, if transformers does not know the architecture, or if it would pass over a rescaled
    rotation that the header asks for.
    """
    header = read_header(path)
    _refuse_unread_rotation(path, header)
    try:
        return copy.deepcopy(_config(path, path.stat().st_mtime_ns))
    except Exception as error:  # transformers raises nearly any exception for a header that it does not expect
        raise ValueError(f"{path} cannot be loaded: {first_sentence(error)}") from error


@lru_cache(maxsize=8)
def _config(path: Path, _time: int) -> transformers.PreTrainedConfig:
    """Kept, because transformers reads the whole vocabulary for it, which takes seconds."""
    return transformers.AutoConfig.from_pretrained(str(path.parent), gguf_file=path.name)


def load_from_gguf(path: Path, config: transformers.PreTrainedConfig, **options) -> tuple[Any, dict]:
    """A causal LM with the dequantized weights of a GGUF file, and transformers' report on what was loaded.

    `options` are those of from_pretrained. Afterwards nothing of the model says that it was quantized: it is trained
    and saved like any other. Raises ValueError, one sentence, if the file holds tensors that transformers leaves out.
    """
    with redirect_stderr(io.StringIO()):  # its progress bar cannot be turned off
        model, info = transformers.AutoModelForCausalLM.from_pretrained(
            str(path.parent),
            gguf_file=path.name,
            config=config,
            quantization_config=transformers.GgufConfig(dequantize=True),
            **options,
        )
    if unread := _unread_tensors(path, path.stat().st_mtime_ns, model):
        more = f" and {len(unread) - 3} more" if len(unread) > 3 else ""
        raise ValueError(
            f"{path} holds {', '.join(unread[:3])}{more}, which transformers does not read from GGUF: "
            "give the checkpoint as safetensors"
        )
    return model, info


def _refuse_unread_rotation(path: Path, header: Header) -> None:
    kind = header.of_model("rope.scaling.type")
    if kind is not None and kind not in UNREAD_ROTATIONS:
        raise ValueError(
            f"{path} has a rotation rescaled by {kind}, which transformers does not read from GGUF: "
            "give the checkpoint as safetensors"
        )


def _unread_tensors(path: Path, time: int, model: transformers.PreTrainedModel) -> list[str]:
    """Tensors that transformers passed over, since its model has no place for them: biases, factors of the rotation.

    Asked once for each file and class: making the map of names takes seconds.
    """
    key = (path, time, type(model))
    if key not in _UNREAD:
        _UNREAD[key] = _find_unread(read_header(path), model)
    return _UNREAD[key]


_UNREAD: dict[tuple[Path, int, type], list[str]] = {}


def _find_unread(header: Header, model: transformers.PreTrainedModel) -> list[str]:
    # here, because importing it takes time that no other checkpoint needs
    from transformers import modeling_gguf_pytorch_utils as legacy
    from transformers.integrations.gguf import is_gguf_arch_supported  # as above

    if is_gguf_arch_supported(header.architecture):
        return []  # this newer code of transformers reports such tensors itself
    processor = legacy.TENSOR_PROCESSORS.get(header.architecture, legacy.TensorProcessor)(config=model.config.to_dict())
    read = legacy.get_gguf_hf_weights_map(model, processor)
    return [name for name in header.types if not {name, name.removesuffix(".weight")} & read.keys()]


def gguf_tokenizer(path: Path) -> transformers.PreTrainedTokenizerBase:
    """The tokenizer in a GGUF file, whatever else lies beside it; a copy that may be changed.

    Raises ValueError, one sentence, if there is none.
    """
    return copy.deepcopy(_tokenizer(path, path.stat().st_mtime_ns))


@lru_cache(maxsize=2)
def _tokenizer(path: Path, _time: int) -> transformers.PreTrainedTokenizerBase:
    """Kept, because making it takes seconds for a large vocabulary."""
    # here, because importing it takes time that no other checkpoint needs
    from transformers.integrations.gguf import convert_gguf_tokenizer, get_gguf_tokenizer

    if not read_header(path).has_tokenizer:
        raise ValueError(f"{path} has no tokenizer inside: convert the model again, with its tokenizer")
    try:
        architecture, content, options = get_gguf_tokenizer(str(path))
        core, more = convert_gguf_tokenizer(architecture, content)
        return transformers.PreTrainedTokenizerFast(tokenizer_object=core, **options, **more)
    except Exception as error:  # transformers raises nearly any exception for a broken tokenizer
        raise ValueError(f"{path} has no usable tokenizer ({first_sentence(error)})") from error


def gguf_provenance(path: Path) -> dict[str, Any]:
    """A GGUF file's name and hash, how many tensors have which type, and the type of each, as plain JSON values."""
    types = read_header(path).types
    return {
        "file": path.name,
        "sha256": sha256_of(path),
        "types": dict(Counter(types.values()).most_common()),
        "tensors": types,
    }
