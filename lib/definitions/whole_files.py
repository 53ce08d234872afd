"""Files that are written whole or not at all: a reader sees the new one or the old one, whatever ends the program.

A path is one of this machine, or one that `universal_pathlib` makes of an address such as `s3://bucket/folder`.
"""

import os
import time
import uuid
from glob import escape
from pathlib import Path

FORGOTTEN = 6 * 3600
"""Seconds after which a draft belongs to no run any more: writing one takes seconds."""


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file in place of the one that is there. Its folder must be there, too.

    Drafts that killed programs have left of it are deleted.
    """
    clear(path.parent, escape(path.name))
    # processes of several machines may write the same file, and may have the same number
    draft = path.with_name(f".{path.name}.{os.getpid()}-{uuid.uuid4().hex[:8]}.tmp")
    # a name that is no text, such as that of a folder in another encoding, is written as its escapes
    raw = content.encode(errors="backslashreplace") if isinstance(content, str) else content
    try:
        if is_here(path):
            with draft.open("wb") as file:
                file.write(raw)
                file.flush()
                os.fsync(file.fileno())
            os.replace(draft, path)
        else:
            draft.write_bytes(raw)
            draft.fs.mv(draft.path, path.path)  # stores of objects copy one in a single step
    finally:
        draft.unlink(missing_ok=True)


def is_here(path: Path) -> bool:
    """Is this a path of this machine, and no address?"""
    return isinstance(path, Path)


def modified(path: Path) -> float:
    """When a file was written, in seconds since 1970. Raises OSError if it is not there."""
    return path.stat().st_mtime if is_here(path) else path.fs.modified(path.path).timestamp()


def clear(folder: Path, names: str = "*") -> None:
    """Delete what killed programs have left half-written of the files whose names fit a pattern.

    Their age tells, because a process may live on another machine.
    """
    for draft in folder.glob(f".{names}.*.tmp"):
        try:
            if time.time() - modified(draft) > FORGOTTEN:
                draft.unlink()
        except (OSError, NotImplementedError):
            continue  # another run was faster, or it is another user's, or the place does not tell
