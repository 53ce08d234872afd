"""Reports as JSON documents: written whole or not at all, and read back only if they fit the schema.

The schema is `lib/reporting/report.schema.json`, explained in docs/report.md.
"""

import json
import math
from collections.abc import Callable
from functools import cache
from pathlib import Path

import jsonschema

from lib.definitions import from_json, write_whole

SCHEMA = 5
"""Version of the documents. It goes up with every change of their fields; older ones are brought up to date."""
OLDEST = 2
"""The oldest version that can be read."""
JUDGED = ("judgement", "counterexample")
"""Fields of a claim that hold judgements."""


def write(path: Path, document: dict) -> None:
    """Write a document atomically: a reader sees the whole new file or the old one.

    Raises ValueError if it does not fit the schema or holds a number that is not finite.
    """
    check(document, str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(document, allow_nan=False, ensure_ascii=False, separators=(",", ":")))


def read(path: Path) -> dict:
    """Read a document. Raises ValueError, one sentence, if it is missing, damaged or of another version."""
    try:
        document = from_json(path.read_text(encoding="utf-8"), parse_constant=_not_a_number)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise ValueError(f"{path} is no report: {error}") from error
    schema = document.get("schema") if isinstance(document, dict) else None
    if type(schema) is not int:
        raise ValueError(f"{path} is no report: it does not name its schema")
    if not OLDEST <= schema <= SCHEMA:
        age = "an older" if schema < SCHEMA else "a newer"
        raise ValueError(f"{path} has schema {schema}, {age} one than {SCHEMA}: make it again with this version")
    document = _of_today(document)
    check(document, str(path))
    return document


def _of_today(document: dict) -> dict:
    """A document of an older version with the fields of this one.

    Before version 3 every claim was asked, and none came out as smoke. Before version 4 both bounds were those of the
    claim's level, texts had no kinds, nobody said what a verdict speaks of, and there was no multiverse. Before version
    5 all numbers were of texts.
    """
    if document["schema"] < 3:
        summary = document["summary"] if isinstance(document.get("summary"), dict) else {}
        summary = {**summary, "smoke": 0, "not asked": 0}
        document = {**document, "schema": 3, "command": "", "not_asked": {}, "summary": summary}
    if document["schema"] < 4:
        document = {**document, "schema": 4, "multiverse": None}
        document = _claims(document, {"training": False, "scope": None}, _judgement_of_version_3)
    if document["schema"] < 5:
        document = _claims({**document, "schema": 5}, {}, _judgement_of_version_4)
    return document


def _claims(document: dict, added: dict, change: Callable[[dict], dict]) -> dict:
    """A document with these fields added to every claim, and all judgements changed; what has no such form is left."""
    if not isinstance(document.get("claims"), list):
        return document
    claims = [
        {**claim, **added, **{name: _changed(claim[name], change) for name in JUDGED if name in claim}}
        if isinstance(claim, dict)
        else claim
        for claim in document["claims"]
    ]
    return {**document, "claims": claims}


def _changed(judgement: object, change: Callable[[dict], dict]) -> object:
    """A judgement that is changed, and with it all those inside it."""
    if not isinstance(judgement, dict):
        return judgement
    inside = {"over_kinds": _changed(judgement["over_kinds"], change)} if "over_kinds" in judgement else {}
    if isinstance(judgement.get("parts"), list):
        inside["parts"] = [_changed(part, change) for part in judgement["parts"]]
    return change({**judgement, **inside})


def _judgement_of_version_4(judgement: dict) -> dict:
    over = judgement.get("over_kinds")
    over = {**over, "observations": "kinds"} if isinstance(over, dict) else over
    return {**judgement, "over_kinds": over, "observations": "texts"}


def _judgement_of_version_3(judgement: dict) -> dict:
    level = judgement.get("alpha")
    return {
        **judgement,
        "levels": None if level is None else [level, level],
        "largest": None,
        "over_kinds": None,
    }


def check(document: dict, name: str) -> None:
    """Raise ValueError that names the first place at which a document does not fit the schema or is not finite."""
    error = jsonschema.exceptions.best_match(_validator().iter_errors(document))
    if error is not None:
        where = "/".join(str(step) for step in error.absolute_path) or "its top level"
        raise ValueError(f"{name} is no report of schema {SCHEMA}: at {where}, {_short(error.message)}")
    if (place := _not_finite(document)) is not None:
        raise ValueError(f"{name} holds a number that is not finite at {place}: the measurement failed")


@cache
def _validator() -> jsonschema.Draft202012Validator:
    schema = json.loads(Path(__file__).with_name("report.schema.json").read_text(encoding="utf-8"))
    return jsonschema.Draft202012Validator(schema)


def _not_finite(value, place: str = "") -> str | None:
    """The place of the first number in a document that is not finite; None if all are."""
    if isinstance(value, float):
        return None if math.isfinite(value) else place
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    places = (_not_finite(item, f"{place}/{key}") for key, item in inside)
    return next((first for first in places if first is not None), None)


def _not_a_number(name: str):
    raise ValueError(f"{name} is no number")


def _short(message: str) -> str:
    return message if len(message) <= 200 else f"{message[:90]} .. {message[-90:]}"
