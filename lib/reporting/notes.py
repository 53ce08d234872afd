"""Notes on a run, to be read beside its verdicts: how arms differ, what tokenizers do, which texts were taken."""

from collections.abc import Callable, Mapping

import xarray as xr

from lib import records
from lib.checkpoints import versions
from lib.definitions import MADE
from lib.reporting.sentences import differences
from lib.settings import Settings

WORTH = 0.5
"""Nats per token that a BOS token must save for its absence to be warned of, whatever the model says of it."""
COMPUTING = ("torch", "transformers")
"""Libraries that compute every measurement."""


def notes(settings: Settings, recorded: Callable[[str], Mapping[str, xr.Dataset]]) -> list[str]:
    """All of them, as sentences, from the records by arm that each experiment has."""
    norms = recorded("norms")
    texts = _of_texts(settings) if norms and not settings.published else ""
    tasks = _of_tasks(settings) if norms and not settings.published else []
    made = [*libraries(norms), *other_code({name: recorded(name) for name in records.LAYOUT})]
    return [*differences(norms), *tokenizers(norms), *made, *([texts] if texts else []), *tasks]


def _of_texts(settings: Settings) -> str:
    try:
        return settings.selected().note
    except ValueError:
        return ""  # the texts are listed elsewhere in the report, and the fault is said there


def _of_tasks(settings: Settings) -> list[str]:
    try:
        return [f"Task {task.name}: {task.note}" for task in settings.asked if task.note]
    except ValueError:
        return []  # as with the texts


def tokenizers(norms: Mapping[str, xr.Dataset]) -> list[str]:
    """One sentence for each tokenizer that does something else than put BOS before a text, with the arms that have it.

    Earlier checkpoints of a series have the tokenizer of the last one, and are not named beside it. Records that are
    older than these facts say nothing.
    """
    arms: dict[str, list[str]] = {}
    for arm, record in norms.items():
        origin = records.provenance_of(record) if "provenance" in record.attrs else {}
        if oddities := _oddities(origin):
            arms.setdefault("; it ".join(oddities), []).append(arm)
    return [f"The tokenizer of {_named(names)} {what}." for what, names in arms.items()]


def without_bos(facts: Mapping[str, Mapping | None]) -> list[str]:
    """Warnings of arms that differ in BOS, and of models that read texts without the BOS token that they expect.

    `facts` are those of the tokenizers by arm. A model expects BOS by its files, or because it predicts texts much
    better after it. An arm whose arguments say whether BOS is added is not told what it lacks.
    """
    lacking: dict[tuple, dict[str, float]] = {}
    adding: dict[bool, list[str]] = {True: [], False: []}
    for arm, found in facts.items():
        if arm in MADE or not found:
            continue
        adding[found["adds_bos"]].append(arm)
        gain = found.get("gain_of_bos") or 0.0
        if "gain_of_bos" in found and (found["expects_bos"] or gain >= WORTH):
            lacking.setdefault((found["expects_bos"], found["bos_token"]), {})[arm] = gain
    apart = "{} read every text after BOS and {} without it: give both the same add_bos_token."
    return [
        *([apart.format(*map(_named, adding.values()))] if all(adding.values()) else []),
        *(_lacking(*tokens, gains) for tokens, gains in lacking.items()),
    ]


def _lacking(expected: str | None, named: str | None, gains: Mapping[str, float]) -> str:
    token = f"the BOS token {expected or named}" if expected or named else "the BOS token of its config"
    how = "add_bos_token=True adds it" if named else "tokenizer=ID_OR_FOLDER gives a tokenizer that adds it"
    most = max(gains.values())
    worth = f", and with it their beginnings lose {most:.2g} nats per token less" if most > 0.005 else ""
    return (
        f"{_named(list(gains))}: texts are read without {token} that the model expects{worth}. {how}, and "
        "add_bos_token=False says that none is meant."
    )


def libraries(norms: Mapping[str, xr.Dataset]) -> list[str]:
    """A sentence for each library that did not compute all arms in the version that is installed here.

    Only records that are replayed, or that were carried from elsewhere, can have been computed by another.
    """
    made: dict[str, dict[str, list[str]]] = {}
    here = versions()
    for arm, record in norms.items():
        origin = records.provenance_of(record) if "provenance" in record.attrs else {}
        for library in (name for name in COMPUTING if name in origin.get("versions", {})):
            made.setdefault(library, {}).setdefault(origin["versions"][library], []).append(arm)
    return [
        f"{library} computed {'; '.join(f'{_named(arms)} in version {one}' for one, arms in by_version.items())}, "
        f"and is installed here in version {here[library]}: last digits may differ."
        for library, by_version in made.items()
        if set(by_version) != {here[library]}
    ]


def other_code(recorded: Mapping[str, Mapping[str, xr.Dataset]]) -> list[str]:
    """A sentence for each other version of the code that measured records of a run, by experiment and arm.

    Only a replay judges such records: it takes any of a known layout.
    """
    made: dict[str, dict[str, list[str]]] = {}
    for experiment, of_arms in recorded.items():
        for arm, record in of_arms.items():
            code = records.settings_of(record).get("code") if "settings" in record.attrs else None
            if code not in (None, records.code_version()):
                made.setdefault(code, {}).setdefault(experiment, []).append(arm)
    return [
        f"Code {code} measured {'; '.join(f'{name} of {_named(arms)}' for name, arms in found.items())}, and is "
        f"{records.code_version()} here: what was measured is judged as it is, and may come out otherwise today."
        for code, found in made.items()
    ]


def tokenizer_in_short(facts: Mapping | None) -> str:
    """A tokenizer in a few words, from the facts in a document; a record that is older than these has none."""
    if not facts:
        return "not recorded"
    bos = "adds BOS" if facts["adds_bos"] else "adds no BOS"
    eos = ", adds EOS" if facts["adds_eos"] else ""
    return f"{bos}{eos}, {facts['vocabulary']} ids for {facts['embedding']} rows"


def _oddities(origin: Mapping) -> list[str]:
    facts, found = origin.get("tokenizer_facts"), []
    if not facts:
        return []
    if not facts["adds_bos"]:
        found.append(_without_bos(facts["bos_token"], origin["arguments"].get("add_bos_token")))
    if facts["adds_eos"]:
        found.append("adds EOS after a text, which is read only in a text that ends with it after --max-tokens")
    known, rows = facts["vocabulary"], facts["embedding"]
    if known > rows:
        found.append(f"has {known} token ids and the embedding {rows} rows: a text with one of the others is refused")
    if known < rows:
        found.append(f"has {known} token ids and the embedding {rows} rows: no text reads the others")
    return found


def _without_bos(token: str | None, asked: bool | None) -> str:
    first = "so every text begins with a token of its own"
    if token is None:
        return f"has no BOS token, {first}"
    how = ", as add_bos_token=False asks" if asked is False else " (add_bos_token=True adds it)"
    return f"adds no BOS token, {first}{how}"


def _named(arms: list[str]) -> str:
    main = [arm for arm in arms if "@" not in arm] or arms
    return main[0] if len(main) == 1 else f"{', '.join(main[:-1])} and {main[-1]}"
