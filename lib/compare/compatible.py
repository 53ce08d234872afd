"""Whether two runs can be compared at all. Pure functions on documents and their settings."""

from collections.abc import Mapping
from math import isfinite

from lib.settings import COMPARED


def incompatible(baseline: Mapping, settings: Mapping) -> str:
    """The reason why a run with these settings cannot be compared with the baseline; "" if it can.

    `baseline` is a document, `settings` have the shape of a document's `settings`.
    """
    return _no_baseline(baseline) or other_settings(baseline["settings"], settings)


def _no_baseline(document: Mapping) -> str:
    """The reason why a document can never be a baseline; "" if it can."""
    if document["kind"] != "measured":
        return "it holds published figures, which are no baseline for a measurement"
    if document["stopped"]:
        return f"the run it comes from was stopped ({document['stopped']}), so it is no baseline"
    for entry in document["claims"]:
        if entry["verdict"] == "error":
            return f"{entry['id']} broke in the run it comes from, so it is no baseline"
        try:
            check_numbers(entry)
        except ValueError as error:
            return f"{error}, so it is no baseline"
    if document["settings"]["limit"] is not None:
        return f"it is a smoke run (--limit {document['settings']['limit']}), which is no baseline"
    return ""


def other_settings(old: Mapping, new: Mapping, names: tuple[str, str] = ("the baseline", "this run")) -> str:
    """The first setting that keeps estimates of two runs from comparing, as a clause; "" if they compare."""
    one, other = names
    for option in COMPARED:
        before, after = (settings.get(option.name, option.before) for settings in (old, new))
        if before != after:
            return f"{one} was measured with {option.name} {plain(before)} and {other} with {plain(after)}"
    if old["limit"] != new["limit"]:
        smoke, limit = (one, old["limit"]) if old["limit"] is not None else (other, new["limit"])
        return f"{smoke} is a smoke run (--limit {limit})"
    return _other_texts(old["texts"], new["texts"], one, other) or _other_tasks(old, new, one, other)


def _other_texts(old: Mapping, new: Mapping, one: str, other: str) -> str:
    """The first text that differs, as a clause. A file that was moved or renamed holds the same texts."""
    sources = (
        f" (texts of {one}: {old['source']}, of {other}: {new['source']})" if old["source"] != new["source"] else ""
    )
    for role in ("count", "score"):
        for i in range(max(len(old[role]), len(new[role]))):
            a, b = (texts[role][i] if i < len(texts[role]) else None for texts in (old, new))
            if a is None or b is None:
                return f"{one if a is None else other} lacks the {role} text {(a or b)['name']!r}{sources}"
            if (a["hash"], a["kind"]) != (b["hash"], b["kind"]):
                return f"the {role} text {b['name']!r} is another one in {one} and in {other}{sources}"
    return ""


def _other_tasks(old: Mapping, new: Mapping, one: str, other: str) -> str:
    """The first task that differs, as a clause. Documents that were made before there were tasks name none."""
    if not old.get("tasks") or not new.get("tasks"):
        return ""
    before, after = ({task["name"]: task for task in of["tasks"]} for of in (old, new))
    for name in dict.fromkeys((*before, *after)):
        if name not in before or name not in after:
            return f"{one if name not in before else other} was not asked the task {name!r}"
        if before[name] != after[name]:
            return f"the items of the task {name!r} are others in {one} and in {other}"
    return ""


def plain(value) -> object:
    """A setting as on a command line: `5` for 5.0."""
    return f"{value:g}" if isinstance(value, float) else value


def check_numbers(entry: Mapping) -> None:
    """Raise ValueError for an estimate, bound or level of a claim that is neither None nor a finite number."""
    judged = entry.get("judgement") or {}
    for one in (judged, *judged.get("parts", ())):
        for key in ("estimate", "low", "high", "alpha"):
            if one.get(key) is not None and not finite(one[key]):
                raise ValueError(f"{entry['id']} has a value that is not a finite number ({key})")


def finite(number) -> bool:
    """Whether a value is a number, and neither NaN nor infinite."""
    return isinstance(number, (int, float)) and not isinstance(number, bool) and isfinite(number)
