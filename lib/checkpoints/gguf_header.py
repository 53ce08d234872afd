"""The header of a GGUF file: what it tells about the model, and the types of its tensors, without their numbers."""

import mmap
import os
import re
import struct
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import Any

VERSIONS = (2, 3)
_NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_LONGEST = 4096
"""Arrays of more numbers than this are passed over: they belong to the tokenizer."""
SIZES = {
    "num_hidden_layers": "block_count",
    "num_attention_heads": "attention.head_count",
    "num_key_value_heads": "attention.head_count_kv",
    "hidden_size": "embedding_length",
    "head_dim": "attention.key_length",
    "intermediate_size": "feed_forward_length",
    "max_position_embeddings": "context_length",
}
"""Sizes by transformers' names, with those of a GGUF file, which follow the name of its architecture."""
MODEL_TYPES = {
    "qwen2moe": "qwen2_moe",
    "qwen3moe": "qwen3_moe",
    "gpt-oss": "gpt_oss",
    "gemma3": "gemma3_text",
    "gemma4": "gemma4_text",
    "minimax-m2": "minimax_m2",
    "qwen35": "qwen3_5_text",
    "qwen35moe": "qwen3_5_moe_text",
}
"""Architectures that transformers calls by another name."""


@dataclass(frozen=True)
class Header:
    """What a GGUF file tells: `metadata` by key (of an array of strings its length), and types of tensors by name."""

    metadata: dict[str, Any]
    types: dict[str, str]

    @property
    def architecture(self) -> str:
        """The architecture, as llama.cpp calls it."""
        return self.metadata["general.architecture"]

    @property
    def has_tokenizer(self) -> bool:
        """Does the file hold a tokenizer?"""
        return "tokenizer.ggml.tokens" in self.metadata

    def of_model(self, key: str) -> Any:
        """A value about the model, such as `block_count`; None if the file does not tell it."""
        return self.metadata.get(f"{self.architecture}.{key}")

    def config(self) -> dict[str, Any]:
        """Architecture and sizes as a config.json would name them; only those that the file tells."""
        sizes = {name: value for name, key in SIZES.items() if (value := self.of_model(key)) is not None}
        if self.architecture == "llama" and (turning := self.of_model("rope.dimension_count")):
            sizes["head_dim"] = turning  # where transformers reads it
        return {"model_type": MODEL_TYPES.get(self.architecture, self.architecture), **sizes}


def read_header(path: Path) -> Header:
    """The header of a GGUF file, read once in a process.

    Raises ValueError, one sentence, if the package gguf is missing, if the file is no GGUF file, is cut short, is one
    part of a split model, or holds something else than a model.
    """
    now = path.stat()
    return _read(str(path), now.st_size, now.st_mtime_ns)


@lru_cache(maxsize=16)
def _read(name: str, size: int, _time: int) -> Header:
    if size < 24:
        raise ValueError(f"{name} is no GGUF file: it has only {size} bytes")
    with open(name, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        version, tensors, keys = struct.unpack_from("<IQQ", data, 4)
        if data[:4] != b"GGUF":
            raise ValueError(f"{name} is no GGUF file: it does not begin with the letters GGUF")
        if version not in VERSIONS:
            raise ValueError(f"{name} is GGUF of version {version}; {' and '.join(map(str, VERSIONS))} can be read")
        reader = _Reader(data)
        try:
            metadata = {reader.text(): reader.value(reader.number("I")) for _ in range(keys)}
            table = {reader.text(): reader.tensor() for _ in range(tensors)}
        except (struct.error, UnicodeDecodeError, KeyError, OverflowError, MemoryError) as error:
            raise ValueError(f"{name} is cut short or damaged in its header: get the file again") from error
    _refuse_parts(name, metadata)
    if not isinstance(metadata.get("general.architecture"), str):
        raise ValueError(f"{name} names no architecture (general.architecture): it holds no model")
    if (kind := metadata.get("general.type", "model")) != "model":
        raise ValueError(f"{name} holds no model but {kind!r} (general.type)")
    types, needed = _measured(name, table)
    alignment = metadata.get("general.alignment", 32)
    needed += -(-reader.position // alignment) * alignment
    if size < needed:
        raise ValueError(f"{name} is cut short: it has {size} bytes of {needed}, get the file again")
    return Header(metadata, types)


def _refuse_parts(name: str, metadata: dict[str, Any]) -> None:
    named = re.search(r"-\d{5}-of-(\d{5})\.gguf$", name)
    count = metadata.get("split.count") or (int(named.group(1)) if named else 1)
    if count > 1:
        raise ValueError(
            f"{os.path.basename(name)} is one of {count} files of a split model, and transformers reads one file: "
            "join them with llama.cpp's llama-gguf-split --merge"
        )


def _measured(name: str, table: dict[str, tuple[tuple[int, ...], int, int]]) -> tuple[dict[str, str], int]:
    """Types of tensors by name, and the bytes that the file must have after its header."""
    gguf = _library()
    types, needed = {}, 0
    for tensor, (shape, number, offset) in table.items():
        try:
            kind = gguf.GGMLQuantizationType(number)
        except ValueError as error:
            raise ValueError(f"{name}: {tensor} has the type {number}, which gguf does not know: update it") from error
        block, width = gguf.GGML_QUANT_SIZES[kind]
        types[tensor], needed = kind.name, max(needed, offset + prod(shape) // block * width)
    return types, needed


def _library():
    try:
        import gguf  # an optional extra, and only these files need it
    except ImportError as error:
        raise ValueError("GGUF files need the package gguf: pip install -c constraints.txt gguf") from error
    return gguf


class _Reader:
    """Reads the values of a header, one after the other. Raises struct.error at the end of the file."""

    def __init__(self, data: mmap.mmap):
        self.data, self.position = data, 24

    def number(self, kind: str) -> Any:
        (value,) = struct.unpack_from(f"<{kind}", self.data, self.position)
        self.position += struct.calcsize(f"<{kind}")
        return value

    def text(self) -> str:
        start = self.position + 8
        self.position = start + self.number("Q")
        return self.data[start : self.position].decode()

    def value(self, kind: int) -> Any:
        """One value; of an array of strings or of many numbers only the length."""
        if kind == _STRING:
            return self.text()
        if kind != _ARRAY:
            return self.number(_NUMBERS[kind])
        kind, count = self.number("I"), self.number("Q")
        if kind == _STRING:
            for _ in range(count):
                length = self.number("Q")
                self.position += length
            return count
        if count > _LONGEST:
            self.position += count * struct.calcsize(f"<{_NUMBERS[kind]}")
            return count
        return [self.number(_NUMBERS[kind]) for _ in range(count)]

    def tensor(self) -> tuple[tuple[int, ...], int, int]:
        """Shape, number of the type, and offset of a tensor."""
        shape = tuple(self.number("Q") for _ in range(self.number("I")))
        return shape, self.number("I"), self.number("Q")
