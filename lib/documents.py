"""Read and write the document of a run."""

import json
import os
from pathlib import Path

SCHEMA = 1
_FIELDS = {"schema", "kind", "finished", "stopped", "faults", "settings", "summary", "claims", "arms"}


def read(path: Path) -> dict:
    """The document in a file. Raises ValueError, one sentence: missing, not JSON, another schema, not valid."""
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ValueError(f"{path} is damaged: it is no JSON") from error
    if not isinstance(document, dict) or "schema" not in document:
        raise ValueError(f"{path} is no report.json of a run")
    if document["schema"] != SCHEMA:
        raise ValueError(f"{path} has schema {document['schema']}, this version reads {SCHEMA}: make it again")
    if missing := _FIELDS - set(document):
        raise ValueError(f"{path} is not valid: {min(missing)!r} is missing")
    return document


def write(path: Path, document: dict) -> None:
    """Write a document atomically: a reader sees the whole file or none."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        draft.write_text(json.dumps(document, indent=1, allow_nan=False), encoding="utf-8")
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
