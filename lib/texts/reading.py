"""Read texts: those that choose the massive channels and those that are scored."""

import gzip
import hashlib
import re
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lib.definitions import ROLES, from_json, printable
from lib.texts.repetitive import repetitive_texts

BUNDLED = Path(__file__).with_name("texts.jsonl")
SURROGATES = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Text:
    """One text. `name` is unique; `kind` groups texts (literary, technical, ..); `role` is one of ROLES."""

    name: str
    kind: str
    role: str
    text: str

    @property
    def hash(self) -> str:
        """SHA-256 of the content."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def read(path: str | Path) -> list[Text]:
    """The texts of a JSON-lines file, plain or as `.gz`; each line has `text`, `kind`, `role` and optionally `name`.

    Other fields are passed over. Raises ValueError with file and line for invalid JSON, a missing or empty field, an
    unknown role, or a repeated text or name. A repeated text is refused even under another role: no text may both
    choose channels and be scored.
    """
    path = Path(path)
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8-sig") as file:
            lines = file.read().split("\n")  # splitlines would split within a JSON string, at U+2028 for example
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        hint = "" if path.exists() else "; a dataset of the hub is written hf:NAME"
        raise ValueError(f"the texts in {path} cannot be read: {error}{hint}") from error
    texts: list[Text] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        text = _parse(line, where=f"{path}, line {number}", number=number)
        for other in texts:
            if text.name == other.name or text.text == other.text:
                repeated = "name" if text.name == other.name else "text"
                raise ValueError(f"{path}, line {number}: the {repeated} is the same as that of {other.name!r}")
        texts.append(text)
    for role in ROLES:
        if not any(text.role == role for text in texts):
            raise ValueError(f"{path} holds no text with role {role!r}")
    return texts


def bundled() -> list[Text]:
    """The bundled texts: 20 that choose and count channels, and 36 held-out ones that are scored, 12 of a kind."""
    return [*read_written(), *(Text(n, "repetitive", "score", t) for n, t in repetitive_texts())]


def read_written() -> list[Text]:
    """The written texts, without the generated repetitive ones."""
    return read(BUNDLED)


def limit(texts: Sequence[Text], count: int) -> list[Text]:
    """The first `count` texts of every role and kind, for a quick look."""
    seen: Counter = Counter()
    kept = []
    for text in texts:
        seen[text.role, text.kind] += 1
        if seen[text.role, text.kind] <= count:
            kept.append(text)
    return kept


def _parse(line: str, *, where: str, number: int) -> Text:
    try:
        fields = from_json(line)
    except ValueError as error:
        raise ValueError(f"{where}: not JSON ({getattr(error, 'msg', error)})") from error
    if not isinstance(fields, dict):
        raise ValueError(f"{where}: expected an object with text, kind and role")
    for key in ("text", "kind", "role"):
        if not isinstance(fields.get(key), str) or not fields[key].strip():
            raise ValueError(f"{where}: {key!r} is missing or empty")
    if fields["role"] not in ROLES:
        raise ValueError(f"{where}: role must be 'count' or 'score', not {fields['role']!r}")
    name = str(fields.get("name") or f"line {number}")
    for key, value in (("text", fields["text"]), ("kind", fields["kind"]), ("name", name)):
        if SURROGATES.search(value):
            raise ValueError(f"{where}: {key!r} holds half of a character (a surrogate alone, such as \\ud83d)")
    return Text(printable(name), printable(fields["kind"]), fields["role"], fields["text"])
