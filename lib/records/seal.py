"""The seal of a record: settings and checksums behind the file's content, so that no changed byte is believed.

A sealed file is its content, a line of JSON with the settings and the SHA-256 of the content, and the SHA-256 of that
line. Programs that read NetCDF take no notice of it.
"""

import hashlib
import json
from pathlib import Path
from typing import NamedTuple

from lib.definitions import from_json

LONGEST = 1 << 16
"""Bytes at the end of a file that hold the seal, whatever paths the settings name."""
END_IN_HDF5 = slice(40, 48)
"""Where HDF5 files as h5netcdf writes them say how long they are."""
DAMAGED = "is damaged or cut short"
OLDER = "has no checksum, so it was made by an older version or by another program"
SILENT = "does not say what it was made with"


class Unsealed(ValueError):
    """There is no seal, or it is broken: a phrase."""


class Seal(NamedTuple):
    """The settings of a record, the SHA-256 of its content, and the length of the content in bytes."""

    settings: dict
    sha256: str
    length: int


def with_seal(content: bytes, settings: dict) -> bytes:
    """The content of a file and its seal."""
    line = json.dumps({"settings": settings, "sha256": hashlib.sha256(content).hexdigest()}).encode()
    return b"\n".join([content, line, _hash(line)])


def sealed(path: Path) -> Seal:
    """The seal of a file, read without its content. Raises Unsealed, or OSError."""
    length = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(END_IN_HDF5.stop)
        file.seek(max(0, length - LONGEST))
        end = file.read()
    return _parsed(end, length, head)


def content(path: Path) -> tuple[dict, bytes]:
    """The settings and the content of a sealed file, no byte of which has changed. Raises Unsealed, or OSError."""
    whole = path.read_bytes()
    found = _parsed(whole[-LONGEST:], len(whole), whole[: END_IN_HDF5.stop])
    if hashlib.sha256(memoryview(whole)[: found.length]).hexdigest() != found.sha256:
        raise Unsealed(DAMAGED)
    return found.settings, whole[: found.length]


def _parsed(end: bytes, length: int, head: bytes) -> Seal:
    *_, line, digest = (b"", b"", *end.rsplit(b"\n", 2))
    if _hash(line) != digest:
        complete = head.startswith(b"\x89HDF") and int.from_bytes(head[END_IN_HDF5], "little") == length
        raise Unsealed(OLDER if complete else DAMAGED)
    try:
        told = from_json(line.decode())
        settings, sha256 = told["settings"], told["sha256"]
        named = [settings["experiment"], settings["pretrained"]]
    except (ValueError, KeyError, TypeError) as error:
        raise Unsealed(SILENT) from error
    if not all(isinstance(name, str) for name in named):
        raise Unsealed(SILENT)
    return Seal(settings, sha256, length - len(line) - len(digest) - 2)


def _hash(line: bytes) -> bytes:
    return hashlib.sha256(line).hexdigest().encode()
