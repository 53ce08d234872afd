"""Files that are written whole or not at all: a reader sees the new one or the old one, whatever ends the program."""

import os
import time
from glob import escape
from pathlib import Path

FORGOTTEN = 6 * 3600
"""Seconds after which a draft belongs to no run any more: writing one takes seconds."""


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file in place of the one that is there. Its folder must be there, too.

    Drafts that killed programs have left of it are deleted.
    """
    clear(path.parent, escape(path.name))
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with draft.open("wb") as file:
            # a name that is no text, such as that of a folder in another encoding, is written as its escapes
            file.write(content.encode(errors="backslashreplace") if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def clear(folder: Path, names: str = "*") -> None:
    """Delete what killed programs have left half-written of the files whose names fit a pattern.

    Their age tells, because a process may live on another machine.
    """
    for draft in folder.glob(f".{names}.*.tmp"):
        try:
            if time.time() - draft.stat().st_mtime > FORGOTTEN:
                draft.unlink()
        except OSError:
            continue  # another run was faster, or it is another user's
