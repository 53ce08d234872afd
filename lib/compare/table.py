"""Claims by runs as a Markdown table: the verdict of each run, with its estimate and interval."""

from collections.abc import Iterable, Mapping, Sequence

from lib.compare.drift import interval
from lib.compare.over_runs import OverRuns
from lib.definitions import ABSENT
from lib.judging import Judgement

Runs = Mapping[str, dict]


def table(runs: Runs, over: Sequence[OverRuns] = ()) -> str:
    """One row for each claim that any of the runs was asked, one column for each run, and one for all runs together.

    The last one is there if claims were judged over runs.
    """
    of_all = {of.claim: of.judgement for of in over}
    entries = {name: {entry["id"]: entry for entry in document["claims"]} for name, document in runs.items()}
    claims = dict.fromkeys(i for found in entries.values() for i, entry in found.items() if entry["label"] is None)
    rows = []
    for claim in claims:
        asked = [found[claim] for found in entries.values() if claim in found]
        rule = next((e["judgement"]["rule"] for e in asked if e["judgement"] and e["judgement"]["rule"]), "")
        cells = [_cell(found.get(claim), claim, runs[name]) for name, found in entries.items()]
        row = [claim, asked[0]["statement"], asked[0]["published"], rule, *cells]
        row += [_over(of_all.get(claim))] if over else []
        rows.append([_escaped(cell) for cell in row])
    return markdown(["", "claim", "published", "needed", *runs, *(["over runs"] if over else [])], rows)


def _over(judged: Judgement | None) -> str:
    if judged is None:
        return ""
    shown = interval(judged.as_dict(), 3) if judged.estimate is not None else f": {judged.reason}"
    return f"**{judged.verdict}** {shown}".replace(" :", ":")


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *(f"| {' | '.join(row)} |" for row in rows)]
    return "\n".join(lines) + "\n"


def _cell(entry: dict | None, claim: str, document: dict) -> str:
    """`**refuted** 11 [5.8, 16] % per text`, or why there is no estimate."""
    if entry is None:
        return "not asked" if claim in document["not_asked"] else "not run"
    judged, verdict = entry["judgement"], entry["verdict"]
    bold = verdict if verdict in ABSENT else f"**{verdict}**"
    if judged is None or judged["estimate"] is None:
        reason = judged["reason"] if judged else entry["reason"]
        return f"{bold}: {reason}" if reason else bold
    return f"{bold} {interval(judged, 3)}"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
