"""Notes on what a run or a file was begun with: it is gone on with only if the same is asked for again."""

import json
from collections.abc import Mapping
from pathlib import Path

from lib.definitions import from_json, write_whole


def write(note: Path, begun: Mapping) -> None:
    """Write a note, whole or not at all."""
    write_whole(note, json.dumps(begun, indent=2) + "\n")


def difference(note: Path, asked: Mapping) -> str:
    """`seed 0, now it is 1`: the first value that a note has otherwise, or "". What only the note has does not count.

    Raises ValueError, one sentence, if the note cannot be read.
    """
    try:
        begun = from_json(note.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{note} cannot be read ({error}): put it right, or begin in another folder") from error
    if not isinstance(begun, dict):
        raise ValueError(f"{note} is no note of what was begun: put it right, or begin in another folder")
    other = (key for key, value in asked.items() if begun.get(key) != value)
    return next((f"{key} {begun.get(key)!r}, now it is {asked[key]!r}" for key in other), "")
