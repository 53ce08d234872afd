"""The texts of a dataset on the hub, kept beside the records that are made of them: read once, also without network."""

import hashlib
import json
import re
from dataclasses import asdict
from pathlib import Path

from lib.definitions import ROLES, from_json, write_whole
from lib.texts.reading import Text
from lib.texts.rows import Selection
from lib.texts.sources import Source


def path_of(folder: Path, source: Source, tokens: int) -> Path:
    """The file that keeps the texts of a source for so many tokens: a readable name and a hash of both."""
    name = re.sub(r"[^A-Za-z0-9]+", "-", source.where).strip("-")
    digest = hashlib.sha256(json.dumps([str(source), tokens]).encode()).hexdigest()[:16]
    return folder / f"texts.{name}.{digest}.json"


def load(path: Path) -> Selection:
    """Read a copy. Raises ValueError, one sentence, if it is damaged."""
    try:
        kept = from_json(path.read_text(encoding="utf-8"))
        selection = Selection(tuple(Text(**text) for text in kept["texts"]), kept["note"])
        words = [selection.note, *(word for text in selection.texts for word in asdict(text).values())]
        if not all(isinstance(word, str) for word in words) or {text.role for text in selection.texts} != set(ROLES):
            raise ValueError("it holds something else than texts of both roles")
        return selection
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}, the copy of the texts, is damaged: delete it to read them from the hub") from error


def save(path: Path, selection: Selection) -> None:
    """Write a copy, whole or not at all. Raises ValueError, one sentence, if the folder cannot be written."""
    content = {"note": selection.note, "texts": [asdict(text) for text in selection.texts]}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps(content, ensure_ascii=False))
    except OSError as error:
        raise ValueError(f"the texts cannot be kept in {path.parent}: {error.strerror or error}") from error
