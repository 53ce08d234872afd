"""Adapters in PEFT's format: their config, and the identity of their files. Loads no weights."""

import hashlib
from pathlib import Path

from lib.checkpoints.hashes import sha256_of
from lib.definitions import from_json

ADAPTER_CONFIG, ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


def read_adapter(folder: Path) -> dict:
    """The adapter_config.json of an adapter that can be loaded.

    Raises ValueError, one sentence, if the folder holds no adapter, or if its weights are no safetensors.
    """
    if not folder.is_dir():
        raise ValueError(f"there is no folder {folder} for peft=FOLDER")
    if not (folder / ADAPTER_CONFIG).is_file():
        raise ValueError(f"{folder} holds no adapter: it has no {ADAPTER_CONFIG}")
    if not (folder / ADAPTER_WEIGHTS).is_file():
        raise ValueError(f"{folder} holds no {ADAPTER_WEIGHTS}: save_pretrained writes it, other formats are refused")
    try:
        config = from_json((folder / ADAPTER_CONFIG).read_text(encoding="utf-8"))
        config["peft_type"].upper()
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{folder}: {ADAPTER_CONFIG} cannot be read, or names no peft_type") from error
    return config


def adapter_identity(folder: Path) -> str:
    """A SHA-256 of the adapter's config and weights, whatever the folder is called."""
    read_adapter(folder)
    both = "".join(sha256_of(folder / name) for name in (ADAPTER_CONFIG, ADAPTER_WEIGHTS))
    return hashlib.sha256(both.encode()).hexdigest()
