"""Tasks that somebody brings: `FILE.jsonl`, `FILE.csv,fields=cities`, `hf:DATASET:CONFIG,split=test,items=200`."""

import csv
import gzip
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

from lib.definitions import from_json, meant, printable
from lib.tasks import registry
from lib.tasks.drawing import one_of, shuffled
from lib.tasks.items import KNOWLEDGE, Item, Task, check

HUB = "hf:"
ITEMS = 100
"""Items that are taken of a dataset with a mapping or on the hub, unless `items` says otherwise."""
ROWS = 30_000
"""Rows of a dataset that are looked at: it may be sorted by label, or be without end."""
NEAR = 3
"""Wrong numbers that are offered beside a right one, where a dataset has none."""
ARGUMENTS = ("fields", "knowledge", "split", "items")
OURS = ("prompt", "question", "choices", "answer", "opening", "template", "name", "length", "depth", "example")
"""The fields of a line of our own; `question` is another name of `prompt`."""
PLAIN = {
    "example": ((bool,), 1, "true or false"),
    "length": ((int,), 10**9, "a whole number from 0 to a billion"),
    "depth": ((int, float), 1, "a number from 0 to 1"),
}
"""The types of those of them that are no texts, the largest value, and what they are called."""
SURROGATES = re.compile("[\ud800-\udfff]")
HALF = "half of a character (a surrogate alone, such as \\ud83d)"


@dataclass(frozen=True)
class Fields:
    """Where a public dataset keeps what an item needs: field names of its rows.

    `dataset` is its id on the hub, where it is known by it, with the `config` and the `split` that are read.
    `choices` is the field of the choices, or the labels themselves in the order of their numbers; empty if the answer
    is a number and nothing else is offered. Of a choice and of an answer only the group of the pattern is kept, if
    there is one. An answer is a number of a label, one of the `letters`, or else the answer itself.
    """

    dataset: str
    knowledge: str
    prompt: str
    answer: str
    choices: str | tuple[str, ...] = ()
    opening: str = "Answer:"
    config: str | None = None
    split: str = "test"
    letters: str = ""
    choice_pattern: str = ""
    answer_pattern: str = ""


FIELDS = {
    "gsm8k": Fields("openai/gsm8k", "contextual", "question", "answer", config="main", answer_pattern=r"####\s*(\S+)"),
    "aqua": Fields(
        "deepmind/aqua_rat",
        "contextual",
        "question",
        "correct",
        "options",
        config="raw",
        letters="ABCDE",
        choice_pattern=r"[A-E]\)\s*(.*)",
    ),
    "imdb": Fields("stanfordnlp/imdb", "contextual", "text", "label", ("negative", "positive"), "Sentiment:"),
    "cities": Fields("", "parametric", "statement", "label", ("False", "True"), "True or false:"),
}
"""How the rows of known datasets become items, by the name that `fields=` takes and `hf:` finds by the dataset's id."""


@dataclass(frozen=True)
class Origin:
    """A parsed `FILE` or `hf:DATASET`, and what was given with it."""

    written: str
    where: str
    on_hub: bool
    config: str | None = None
    fields: str | None = None
    knowledge: str | None = None
    split: str | None = None
    items: int | None = None


class BadRow(ValueError):
    """A row from which no item can be made."""


def read(name: str, spec: str) -> Task:
    """The task of a file or of a dataset on the hub, under a name; see docs/tasks.md for their fields.

    `spec` is FILE or hf:DATASET[:CONFIG], then arguments: `fields` names a row of FIELDS, `knowledge` is one of
    KNOWLEDGE (by default that of the fields, or of the built-in task with this name), `split` is that of the dataset,
    and `items` the most that are taken, as many as possible of each answer. Faults of a file are errors; rows of a
    dataset on the hub that make no item, or repeat one, are left out, and the task's note says how many.
    Raises ValueError, one sentence with file and line, for whatever is wrong.
    """
    origin = parse(spec)
    mapping = FIELDS[origin.fields] if origin.fields else None
    knowledge = origin.knowledge or (mapping.knowledge if mapping else _known(name))
    if not knowledge:
        raise ValueError(f"{spec}: say where the answers are, by knowledge={' or knowledge='.join(KNOWLEDGE)}")
    items, examples, lines, note = _items(origin, mapping)
    try:
        check(items, examples, lambda item: lines[id(item)])
    except ValueError as error:
        raise ValueError(f"{origin.where}: {error}") from error
    return Task(name, knowledge, name, origin.written, tuple(items), tuple(examples), note=note, asked=len(items))


def parse(spec: str) -> Origin:
    """Read what `--task-data` has behind the sign of equality. Raises ValueError, one sentence, if it is wrong."""
    if Path(spec).is_file():
        return Origin(spec, spec, False)  # whatever signs its name holds
    start, *given = [part.strip() for part in spec.split(",")]
    arguments: dict[str, Any] = {}
    for part in given:
        key, _, value = part.partition("=")
        if key not in ARGUMENTS:
            raise ValueError(f"{spec}: unknown argument {key!r}, {meant(key, ARGUMENTS)}")
        if not value or key in arguments:
            raise ValueError(f"{spec}: the argument {key!r} is {'given twice' if value else 'empty'}")
        arguments[key] = value
    for key, known in (("fields", FIELDS), ("knowledge", KNOWLEDGE)):
        if key in arguments and arguments[key] not in known:
            raise ValueError(f"{spec}: {key} {arguments[key]!r} is not known, {meant(arguments[key], known)}")
    if "items" in arguments:
        if not arguments["items"].isdecimal() or int(arguments["items"]) < 1:
            raise ValueError(f"{spec}: items must be a whole number of 1 or more, not {arguments['items']!r}")
        arguments["items"] = int(arguments["items"])
    if not start.startswith(HUB):
        if "split" in arguments:
            raise ValueError(f"{spec}: a file has no split, only a dataset has: leave it out")
        return Origin(spec, start, False, **arguments)
    where, colon, config = start.removeprefix(HUB).partition(":")
    if not where or (colon and not config):
        raise ValueError(f"{spec}: a dataset is written {HUB}NAME or {HUB}NAME:CONFIG")
    arguments.setdefault("fields", next((key for key, value in FIELDS.items() if value.dataset == where), None))
    return Origin(spec, where, True, config or None, **arguments)


def _known(name: str) -> str:
    """The knowledge of the built-in task with this name; empty if there is none."""
    return registry.load(name).knowledge if name in registry.names() else ""


def _items(origin: Origin, mapping: Fields | None) -> tuple[list[Item], list[Item], dict[int, str], str]:
    """Items, examples, what each is called by its `id`, and the sentence on rows that were left out."""
    items, examples, lines, left_out, texts = [], [], {}, [], set()
    wanted = origin.items or (ITEMS if mapping or origin.on_hub else None)
    right_at: Counter[int] = Counter()
    for place, row in _rows(origin, mapping):
        try:
            item = _mapped(row, mapping, place) if mapping else _own(row, place)
        except BadRow as error:
            if not origin.on_hub:
                raise ValueError(f"{origin.where}, {place}: {error}") from error
            left_out.append(f"{place}: {error}")
            continue
        if origin.on_hub and item.text in texts:
            left_out.append(f"{place} repeats another one")
            continue
        texts.add(item.text)
        lines[id(item)] = place
        if not mapping and row.get("example") is True:
            examples.append(item)
            continue
        items.append(item)
        right_at[item.answer] += 1
        right_at.update(dict.fromkeys(range(len(item.choices)), 0))
        if wanted and len(items) >= wanted and min(right_at.values()) >= -(-wanted // len(right_at)):
            break  # each place of the right choice can have its share
    if left_out and not items:
        raise ValueError(f"no row of {origin.written} makes an item: {left_out[0]}")
    chosen = _in_turn(items, wanted) if wanted else items
    number, rows = len(left_out), f"rows of {origin.written} that make no item, or repeat one, are left out"
    note = f"{number} {rows}: {left_out[0]}." if left_out else ""
    return chosen, examples, lines, note


def _in_turn(items: list[Item], wanted: int) -> list[Item]:
    """So many items, one of each place of the right choice in turn, in their order."""
    turns: dict[int, int] = {}
    ranked = []
    for number, item in enumerate(items):
        ranked.append((turns.get(item.answer, 0), item.answer, number))
        turns[item.answer] = turns.get(item.answer, 0) + 1
    return [items[number] for number in sorted(number for *_, number in sorted(ranked)[:wanted])]


def _own(row: Mapping[str, Any], place: str) -> Item:
    """The item of a row with our own fields. Raises BadRow."""
    if wrong := next((key for key in row if key not in OURS), None):
        raise BadRow(f"unknown field {wrong!r}, {meant(wrong, OURS)}")
    if "prompt" in row and "question" in row:
        raise BadRow("'prompt' and 'question' are two names of one field: leave one out")
    prompt = _text(row, "question" if "question" in row else "prompt")
    choices = row.get("choices")
    if not isinstance(choices, list) or not all(isinstance(choice, str) for choice in choices):
        raise BadRow("'choices' must be a list of texts")
    for key, (types, most, what) in PLAIN.items():
        value = row.get(key)
        if value is not None and not (type(value) in types and 0 <= value <= most):
            raise BadRow(f"{key!r} must be {what}, not {value!r:.40}")
    optional = {key: _text(row, key) for key in ("opening", "template") if row.get(key)}
    if "answer" not in row:
        raise BadRow("'answer' is missing or empty")
    item = _item(_text(row, "name") if row.get("name") else place, prompt, choices, row["answer"], **optional)
    return replace(item, length=row.get("length"), depth=row.get("depth"))


def _mapped(row: Mapping[str, Any], mapping: Fields, place: str) -> Item:
    """The item of a row of a known dataset. Raises BadRow."""
    answer = row.get(mapping.answer)
    if mapping.answer_pattern:
        answer = _group(mapping.answer_pattern, _text(row, mapping.answer), mapping.answer)
    if mapping.letters:
        if str(answer) not in tuple(mapping.letters):
            raise BadRow(f"{mapping.answer!r} must be one of {', '.join(mapping.letters)}, not {answer!r}")
        answer = mapping.letters.index(answer)
    if isinstance(mapping.choices, tuple) and mapping.choices:
        choices, answer = list(mapping.choices), int(answer) if str(answer).isdecimal() else answer
    elif mapping.choices:
        found = row.get(mapping.choices)
        if not isinstance(found, (list, tuple)):
            raise BadRow(f"{mapping.choices!r} must be a list of texts")
        choices = [_group(mapping.choice_pattern, str(choice), mapping.choices) for choice in found]
    else:
        answer = str(answer).replace(",", "").rstrip(".")
        choices = _near(answer)
    return _item(place, _text(row, mapping.prompt), choices, answer, opening=mapping.opening)


def _near(number: str) -> list[str]:
    """A whole number among three others that are near, the same ones for the same number; it stands at any place.

    All are written alike, without the commas that only the right one has in a dataset.
    """
    if not re.fullmatch(r"-?[0-9]{1,15}", number):
        raise BadRow(f"the answer {number!r} is no whole number of 15 digits at most")
    rng, right = Random(number), int(number)
    reach = max(5, abs(right) // 5)
    steps = shuffled(rng, [step for step in range(-reach, reach + 1) if step and (right + step >= 0 or right < 0)])
    wrong = [str(right + step) for step in steps[:NEAR]]
    place = one_of(rng, range(NEAR + 1))
    return [*wrong[:place], str(right), *wrong[place:]]


def _item(name: str, prompt: str, choices: list[str], answer: Any, **more: Any) -> Item:
    """An item of texts that somebody wrote: blanks are put where they belong. Raises BadRow."""
    parted = tuple(choice if choice[:1] == "\n" else f" {choice.strip()}" for choice in choices)
    if half := next((choice for choice in choices if SURROGATES.search(choice)), None):
        raise BadRow(f"the choice {half!r} holds {HALF}")
    try:
        return Item(printable(name), prompt.rstrip(), parted, _index(answer, parted), **more)
    except ValueError as error:
        raise BadRow(str(error).partition(": ")[2] or str(error)) from error


def _index(answer: Any, choices: tuple[str, ...]) -> int:
    """The index that an answer is, or that of the choice whose text it is. Raises BadRow."""
    if isinstance(answer, int) and not isinstance(answer, bool):
        return answer
    stripped = [choice.strip() for choice in choices]
    if not isinstance(answer, str) or answer.strip() not in stripped:
        raise BadRow(f"the answer {answer!r} is not among the choices {', '.join(map(repr, stripped))}")
    return stripped.index(answer.strip())


def _text(row: Mapping[str, Any], key: str) -> str:
    value = row.get(key)
    if not isinstance(value, str) or not value.strip():
        raise BadRow(f"{key!r} is missing or empty")
    if SURROGATES.search(value):
        raise BadRow(f"{key!r} holds {HALF}")
    return value


def _group(pattern: str, text: str, key: str) -> str:
    if not pattern:
        return text
    found = re.search(pattern, text)
    if not found:
        raise BadRow(f"{key!r} does not match {pattern}: {text[:40]!r}")
    return found[1]


def _rows(origin: Origin, mapping: Fields | None) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """What each row is called, and its fields."""
    if origin.on_hub:
        yield from _hub_rows(origin, mapping)
    elif Path(origin.where).suffix == ".csv":
        yield from _csv_rows(origin.where)
    else:
        yield from _json_rows(origin.where)


def _json_rows(path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for number, line in enumerate(_content(path).split("\n"), 1):  # not splitlines: U+2028 may stand in a text
        if line.strip():
            try:
                row = from_json(line)
            except ValueError as error:
                raise ValueError(f"{path}, line {number}: not JSON ({getattr(error, 'msg', error)})") from error
            if not isinstance(row, dict):
                raise ValueError(f"{path}, line {number}: expected an object with prompt, choices and answer")
            yield f"line {number}", row


def _csv_rows(path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    reader = csv.DictReader(_content(path).splitlines(keepends=True))
    try:
        for row in reader:
            yield f"line {reader.line_num}", row
    except csv.Error as error:
        raise ValueError(f"{path}, line {reader.line_num}: no table ({error}); a quote may be left open") from error


def _content(path: str) -> str:
    try:
        with (gzip.open if path.endswith(".gz") else open)(path, "rt", encoding="utf-8-sig") as file:
            return file.read()
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        hint = "" if Path(path).exists() else f"; a dataset of the hub is written {HUB}NAME"
        raise ValueError(f"the items in {path} cannot be read: {error}{hint}") from error


def _hub_rows(origin: Origin, mapping: Fields | None) -> Iterator[tuple[str, Mapping[str, Any]]]:
    try:
        import datasets  # it takes seconds to import, and most tasks do without it
    except ImportError as error:
        raise ValueError(f"{origin.written} needs the package datasets: pip install datasets") from error
    config = origin.config or (mapping.config if mapping and mapping.dataset == origin.where else None)
    split = origin.split or (mapping.split if mapping else "test")
    try:
        rows = datasets.load_dataset(origin.where, config, split=split, streaming=True)
        for number, row in enumerate(islice(rows, ROWS)):
            if number == 0:
                _refuse_missing(origin, mapping, row)
            yield f"row {number}", row
    except _Missing as error:
        raise ValueError(str(error)) from error
    except Exception as error:  # the library raises nearly any exception for a broken file or a missing split
        reason = (str(error.__cause__ or error).strip().splitlines() or [type(error).__name__])[0]
        raise ValueError(f"the items in {origin.written} cannot be read: {reason[:200]}") from error


class _Missing(Exception):
    """A dataset lacks a field, so that none of its rows makes an item."""


def _refuse_missing(origin: Origin, mapping: Fields | None, row: Mapping[str, Any]) -> None:
    if mapping:
        needed = [mapping.prompt, mapping.answer, *([mapping.choices] if isinstance(mapping.choices, str) else [])]
    else:
        needed = ["question" if "question" in row else "prompt", "choices", "answer"]
    if missing := [key for key in needed if key not in row]:
        has = ", ".join(map(str, row))
        raise _Missing(f"{origin.written} has no field {missing[0]!r}, only {has}: name a mapping by fields=NAME")
