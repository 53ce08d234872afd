"""Hashes of files, computed once in a process: a file of weights is asked for its hash at every step of a run."""

import hashlib
import os
from functools import lru_cache
from pathlib import Path


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits. It is computed anew when the file's size, time or inode changes."""
    now = path.stat()
    return _hashed(os.path.abspath(path), now.st_size, now.st_mtime_ns, now.st_ino)


@lru_cache(maxsize=64)
def _hashed(path: str, *_state: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
