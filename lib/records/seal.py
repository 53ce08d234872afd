"""The seal of a record: settings and checksums behind the file's content, so that no changed byte is believed.

A sealed file is its content, a line of JSON with the settings, the SHA-256 of the content and the number of its layout,
and the SHA-256 of that line. Programs that read NetCDF take no notice of it.
"""

import hashlib
import json
from pathlib import Path
from typing import NamedTuple

from lib.definitions import from_json
from lib.records.older import NEWEST, settings_of_today

LONGEST = 1 << 16
"""Bytes at the end of a file that hold the seal, whatever paths the settings name."""
END_IN_HDF5 = slice(40, 48)
"""Where HDF5 files as h5netcdf writes them say how long they are."""
DAMAGED = "is damaged or cut short"
OLDER = "has no checksum, so it was made by an older version or by another program"
SILENT = "does not say what it was made with"


class Unsealed(ValueError):
    """There is no seal, or it is broken: a phrase."""


class Newer(Unsealed):
    """A version that is newer than this one made the file: a phrase."""


class Seal(NamedTuple):
    """The settings of a record, the SHA-256 of its content, the length of the content in bytes, and its layout.

    The settings are as a record of today's layout would have them.
    """

    settings: dict
    sha256: str
    length: int
    layout: int


def with_seal(content: bytes, settings: dict) -> bytes:
    """The content of a file and its seal."""
    told = {"settings": settings, "sha256": hashlib.sha256(content).hexdigest(), "layout": NEWEST}
    line = json.dumps(told).encode()
    return b"\n".join([content, line, _hash(line)])


def sealed(path: Path) -> Seal:
    """The seal of a file, read without its content. Raises Unsealed, or OSError."""
    length = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(END_IN_HDF5.stop)
        file.seek(max(0, length - LONGEST))
        end = file.read()
    return _parsed(end, length, head)


def content(path: Path) -> tuple[Seal, bytes]:
    """The seal and the content of a sealed file, no byte of which has changed. Raises Unsealed, or OSError."""
    whole = path.read_bytes()
    found = _parsed(whole[-LONGEST:], len(whole), whole[: END_IN_HDF5.stop])
    if hashlib.sha256(memoryview(whole)[: found.length]).hexdigest() != found.sha256:
        raise Unsealed(DAMAGED)
    return found, whole[: found.length]


def _parsed(end: bytes, length: int, head: bytes) -> Seal:
    *_, line, digest = (b"", b"", *end.rsplit(b"\n", 2))
    if _hash(line) != digest:
        complete = head.startswith(b"\x89HDF") and int.from_bytes(head[END_IN_HDF5], "little") == length
        raise Unsealed(OLDER if complete else DAMAGED)
    try:
        told = from_json(line.decode())
        settings, sha256, layout = told["settings"], told["sha256"], told.get("layout", 1)  # layout 1 had no number
        named = [settings["experiment"], settings["pretrained"]]
    except (ValueError, KeyError, TypeError) as error:
        raise Unsealed(SILENT) from error
    if not all(isinstance(name, str) for name in named):
        raise Unsealed(SILENT)
    if type(layout) is not int or layout < 1:
        raise Unsealed(SILENT)
    if layout > NEWEST:
        raise Newer(f"has layout {layout}, and this version knows those up to {NEWEST}: a newer version reads it")
    return Seal(settings_of_today(settings, layout), sha256, length - len(line) - len(digest) - 2, layout)


def _hash(line: bytes) -> bytes:
    return hashlib.sha256(line).hexdigest().encode()
