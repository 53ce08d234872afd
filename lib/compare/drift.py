"""Changes from one run to another: verdicts that flipped, effects that drifted. Pure functions on documents."""

from collections.abc import Iterator, Mapping, Sequence
from math import hypot, inf, isclose

from lib.compare.compatible import check_numbers, finite, plain
from lib.definitions import ABSENT
from lib.reporting import measured

ROUNDING = 1e-9
"""The largest relative difference between two sums of the same numbers, added up in different orders."""
ASKED = ("rule", "unit", "alpha", "n")


def compare(baseline: Mapping, claims: Sequence[Mapping], tolerance: Mapping[str, float]) -> dict:
    """The differences between the claims of a run and those of a baseline, as plain JSON values.

    Claims in `flips` changed their verdict, or broke; those in `drifts` kept it and moved; those in `one_sided` were
    judged in one of the two runs only; those in `asked_otherwise` have another rule, unit, level or number of texts.
    Each of these is a list of {"id", "statement", "part", "unit", "old", "new", "sentence"}, with {"verdict",
    "estimate", "low", "high"} of both runs, None for a run without a verdict. `same` is the number of all other claims.
    `sentences` are those of all lists: a run without sentences passes.

    An effect drifted when its estimates are further apart than the half-widths of both intervals, on the sides that
    face each other, as the root of the sum of their squares, plus the claim's `tolerance` in its own unit. A claim of
    several rules is compared part by part if another part decides it now. An earlier checkpoint of a series that only
    one run has is left out, since a new checkpoint turns the last one into an earlier one.
    Raises ValueError for a number that is not finite.
    """
    if broken := [claim for claim, number in tolerance.items() if not finite(number) or number < 0]:
        raise ValueError(f"the tolerance of {broken[0]} must be a finite number, 0 or more")
    old, new = ({e["id"]: e for e in entries if e["verdict"] not in ABSENT} for entries in (baseline["claims"], claims))
    skipped = {entry["id"]: entry for entry in (*baseline["claims"], *claims) if entry["verdict"] in ABSENT}
    differences: dict = {"flips": [], "drifts": [], "one_sided": [], "asked_otherwise": [], "same": 0}
    for claim in {**old, **new}:
        a, b = old.get(claim), new.get(claim)
        for entry in (a, b):
            check_numbers(entry or {})
        if a and b:
            kind, item = _differences(a, b, tolerance.get(a["claim"], 0.0))
        elif (a or b)["label"] is None:
            kind, item = "one_sided", _one_sided(a, b, skipped.get(claim))
        else:
            continue
        if item is None:
            differences["same"] += 1
        else:
            differences[kind].append(item)
    lists = (differences[kind] for kind in ("flips", "drifts", "one_sided", "asked_otherwise"))
    return {**differences, "sentences": [item["sentence"] for items in lists for item in items]}


def _differences(a: Mapping, b: Mapping, tolerance: float) -> tuple[str, dict | None]:
    """The list to which a claim that both runs judged belongs, and its item; None if it is the same in both."""
    pairs = list(_alike(a["judgement"] or {}, b["judgement"] or {}))
    for one, other in pairs:
        if otherwise := _asked(one, other):
            text = f"{otherwise}, so its estimates do not compare (was {_result(a)}; now {_result(b)})"
            return "asked_otherwise", _item(a, b, text)
    if a["verdict"] != b["verdict"] or b["verdict"] == "error":
        reason = f" ({b['reason']})" if b["verdict"] == "error" and b["reason"] else ""
        return "flips", _item(a, b, f"was {_result(a)}; now {_result(b)}{reason}")
    moved = [(excess, one, other) for one, other in pairs if (excess := _excess(one, other, tolerance)) > 0]
    if not moved:
        return "same", None
    _, one, other = max(moved, key=lambda item: item[0])
    others = len(moved) - 1
    more = f", and {others} other part{'s' * (others > 1)} moved as well" if others else ""
    text = f"{b['verdict']} as before, but {_course(one, other, tolerance)}{more}"
    return "drifts", _item(a, b, text, one, other)


def _alike(a: Mapping, b: Mapping) -> Iterator[tuple[Mapping, Mapping]]:
    """Pairs of judgements to compare: the two themselves, or their parts if another part decides the claim now."""
    if not (a.get("parts") and b.get("parts")) or a["label"] == b["label"]:
        yield a, b
        return
    parts = {part["label"]: part for part in b["parts"]}
    yield from ((part, parts[part["label"]]) for part in a["parts"] if part["label"] in parts)


def _asked(a: Mapping, b: Mapping) -> str:
    """The first difference in the question, as a clause; "" if none, or if a run has no estimate."""
    if a.get("estimate") is None or b.get("estimate") is None:
        return ""
    for key in (*ASKED, "label"):
        both_numbers = isinstance(a[key], float) and isinstance(b[key], float)
        if not (isclose(a[key], b[key], rel_tol=ROUNDING) if both_numbers else a[key] == b[key]):
            return f"it was asked otherwise, with {key} {plain(a[key])!r} in the baseline and {plain(b[key])!r} now"
    return ""


def _excess(a: Mapping, b: Mapping, tolerance: float) -> float:
    """The distance of two estimates beyond the one allowed; infinite if only one run has an estimate."""
    old, new = a.get("estimate"), b.get("estimate")
    if old is None or new is None:
        return 0.0 if old is new else inf
    return abs(new - old) - _reach(a, b) - tolerance - ROUNDING * max(abs(old), abs(new))


def _reach(a: Mapping, b: Mapping) -> float:
    """The half-widths of both intervals on the sides that face each other, combined."""
    lower, upper = sorted((a, b), key=lambda judged: judged["estimate"])
    return hypot(
        inf if lower["high"] is None else max(0.0, lower["high"] - lower["estimate"]),
        inf if upper["low"] is None else max(0.0, upper["estimate"] - upper["low"]),
    )


def _course(a: Mapping, b: Mapping, tolerance: float) -> str:
    """A clause on an effect that drifted: from, to, and the distance allowed."""
    if a.get("estimate") is None:
        return f"it had no estimate and has {interval(b)}"
    if b.get("estimate") is None:
        return f"it had {interval(a)} and has no estimate" + (f" ({b['reason']})" if b.get("reason") else "")
    allowed = f"{_reach(a, b):.3g}" + (f" and the tolerance {tolerance:g}" if tolerance else "")
    digits = next((d for d in range(4, 17) if f"{a['estimate']:.{d}g}" != f"{b['estimate']:.{d}g}"), 17)
    return f"it drifted from {interval(a, digits)} to {interval(b, digits)}, further than both intervals, {allowed}"


def _one_sided(a: Mapping | None, b: Mapping | None, absent: Mapping | None) -> dict:
    reason = f" ({absent['verdict']}: {absent['reason']})" if absent and absent["reason"] else ""
    if b is None:
        return _item(a, b, f"was {_result(a)}; it is not judged in this run{reason}")
    return _item(a, b, f"is {_result(b)}; it is not judged in the baseline{reason}")


def _item(a: Mapping | None, b: Mapping | None, text: str, one: Mapping | None = None, other: Mapping | None = None):
    """An item of a list; `one` and `other` are the parts that the entries `a` and `b` were compared in."""
    entry, judgements = b or a, [judged or (e and e["judgement"]) or {} for e, judged in ((a, one), (b, other))]
    values = [{key: judged.get(key) for key in ("estimate", "low", "high")} for judged in judgements]
    old, new = (e and {"verdict": e["verdict"], **value} for e, value in zip((a, b), values, strict=True))
    unit, part = (next((j[key] for j in judgements if j.get(key)), "") for key in ("unit", "label"))
    named = {"id": entry["id"], "statement": entry["statement"], "part": part, "unit": unit}
    return {**named, "old": old, "new": new, "sentence": f"{entry['id']} ({entry['statement']}): {text}"}


def _result(entry: Mapping) -> str:
    """`refuted, 11 [5.8, 16] % per text`: the verdict, and the interval if there is an estimate."""
    judged = entry["judgement"] or {}
    return entry["verdict"] if judged.get("estimate") is None else f"{entry['verdict']}, {interval(judged)}"


def interval(judged: Mapping, digits: int = 4) -> str:
    """`key: 11 [5.8, 16] % per text`: the part that decides, the estimate, its bounds, its unit."""
    label = f"{judged['label']}: " if judged.get("label") else ""
    return f"{label}{measured(judged, digits)} {judged['unit']}".rstrip()
