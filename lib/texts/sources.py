"""Where texts come from: `FILE.jsonl`, `FILE.parquet,text=FIELD`, `hf:DATASET:CONFIG,split=test,kind=FIELD`."""

import os
from dataclasses import dataclass, fields, replace
from pathlib import Path

from lib.definitions import meant

HUB = "hf:"
FORMATS = {".parquet": "parquet", **dict.fromkeys((".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz"), "json")}
"""Files whose rows have fields, with the name that `datasets` has for their format."""
NUMBERS = ("count", "score", "characters")


@dataclass(frozen=True)
class Source:
    """A file or a dataset, and which of its rows become texts.

    `text`, `kind` and `role` name fields; without a `kind` all rows are of one kind, and without a `role` the rows of
    each kind are counted and scored in turn. At most `count` and `score` texts are taken. A row is long enough with
    one word for each token that is used, or with so many `characters`.
    """

    where: str
    on_hub: bool = False
    config: str | None = None
    split: str = "train"
    revision: str | None = None
    text: str = "text"
    kind: str | None = None
    role: str | None = None
    count: int = 20
    score: int = 36
    characters: int | None = None

    @property
    def has_rows(self) -> bool:
        """Are texts chosen among its rows? Not so in a file that gives kind and role on each line, which is all read.

        Such a file is every one that is named without arguments, unless it is a parquet file.
        """
        return self.on_hub or Path(self.where).suffix == ".parquet" or self != Source(self.where)

    @property
    def name(self) -> str:
        """The name that a report shows."""
        return str(self) if self.on_hub else str(replace(self, where=Path(self.where).name))

    def beside(self, folder: Path) -> "Source":
        """The same, with a file's path relative to a folder."""
        return self if self.on_hub else replace(self, where=str(folder / self.where))

    def __str__(self) -> str:
        start = f"{HUB if self.on_hub else ''}{self.where}{f':{self.config}' if self.config else ''}"
        default = Source(self.where)
        names = [field.name for field in fields(self) if field.name not in ("where", "on_hub", "config")]
        given = [f"{name}={getattr(self, name)}" for name in names if getattr(self, name) != getattr(default, name)]
        return ",".join([start, *given])


def ending(file: str | os.PathLike) -> str:
    """How a file's name ends: `.parquet`, `.jsonl.gz`."""
    path = Path(file)
    return Path(path.stem).suffix + path.suffix if path.suffix == ".gz" else path.suffix


def parse(text: str | os.PathLike) -> Source:
    """Read a source as --texts takes it. Raises ValueError, one sentence, for an argument that is wrong."""
    text = os.fspath(text)
    if Path(text).is_file():
        return Source(text)  # whatever signs its name holds
    start, *items = text.split(",")
    given: dict[str, str | int | None] = {}
    known = [field.name for field in fields(Source) if field.name not in ("where", "on_hub", "config")]
    for item in items:
        key, _, value = (part.strip() for part in item.partition("="))
        if key not in known:
            raise ValueError(f"--texts {text}: unknown argument {key!r}, {meant(key, known)}")
        if not value or key in given:
            raise ValueError(f"--texts {text}: the argument {key!r} is {'given twice' if value else 'empty'}")
        given[key] = _whole(text, key, value) if key in NUMBERS else value
    if not start.startswith(HUB):
        return _file(text, start, given)
    where, colon, config = start.removeprefix(HUB).partition(":")
    if not where or (colon and not config):
        raise ValueError(f"--texts {text}: a dataset is written {HUB}NAME or {HUB}NAME:CONFIG")
    return Source(where, on_hub=True, config=config or None, **given)


def _file(text: str, path: str, given: dict) -> Source:
    if given and ending(path) not in FORMATS:
        files = ", ".join(FORMATS)
        raise ValueError(
            f"--texts {text}: {path!r} is no {files} file; a dataset is written {HUB}NAME, as in {HUB}{text}"
        )
    if wrong := next((key for key in ("split", "revision") if key in given), None):
        raise ValueError(f"--texts {text}: a file has no {wrong}, only a dataset has: leave it out")
    return Source(path, **given)


def _whole(text: str, key: str, value: str) -> int:
    if not value.isdecimal() or int(value) < 1:
        raise ValueError(f"--texts {text}: {key} must be a whole number of 1 or more, not {value!r}")
    return int(value)
