"""The files of a tokenizer: whether a folder holds one, and which one it is."""

import hashlib
import re
from pathlib import Path

from lib.checkpoints.arguments import ModelArguments
from lib.checkpoints.provenance import BESIDE, TOKENIZERS, checkpoint_file


def has_tokenizer(folder: Path) -> bool:
    """Does the folder hold a tokenizer?"""
    return any((folder / name).is_file() for name in TOKENIZERS)


def tokenizer_identity(name: str) -> str:
    """`commit:<sha>` of a tokenizer on the hub, or `sha256:<hash>` of the files of a tokenizer in a folder.

    Raises ValueError, one sentence, if there is none or the hub cannot be asked.
    """
    folder = Path(name)
    if not folder.is_dir():
        return "commit:" + _commit(name)
    if not has_tokenizer(folder):
        raise ValueError(f"{name} holds no tokenizer: give tokenizer= a folder with tokenizer.json in it")
    digest = hashlib.sha256()
    for path in (folder / file for file in (*TOKENIZERS, *BESIDE)):
        if path.is_file():
            digest.update(path.name.encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return "sha256:" + digest.hexdigest()


def _commit(name: str) -> str:
    path = checkpoint_file(ModelArguments(name), "tokenizer_config.json")
    snapshot = re.search(r"snapshots/([0-9a-f]{40})/", path.as_posix())
    if not snapshot:
        raise ValueError(f"{name}: the hub's cache does not tell the commit of the tokenizer; give a folder")
    return snapshot.group(1)
