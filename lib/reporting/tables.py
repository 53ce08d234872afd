"""Verdicts as lines and tables of plain text, for the terminal and for Markdown, of a run and of an audit.

`claims` are the ids of all claims, in order; `results` the entries of a document, by id.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from lib.definitions import OUTCOMES, SMOKE
from lib.published import COLUMNS, Published, audit_document
from lib.reporting.assemble import counted
from lib.reporting.sentences import measured, why_open

Results = Mapping[str, dict]


def of_run(
    claims: Sequence[str], results: Results, steps: Mapping[str, int], not_asked: Mapping[str, str] | None = None
) -> Iterator[str]:
    """One line for each claim of a run, one for each claim over a series, and the number of claims by outcome.

    `not_asked` says what would give the arm that a claim needs and the run lacks.
    """
    absent = not_asked or {}
    yield from (_line(results[claim]) for claim in claims if claim in results)
    yield from _over_the_series(claims, results, steps)
    counts = [f"{number} {name}" for name, number in counted(claims, results, absent).items() if number]
    if absent:
        why = ", ".join(dict.fromkeys(absent.values()))
        counts = [f"{count} ({why})" if count.endswith("not asked") else count for count in counts]
    yield f"{', '.join(counts)} of {len(claims)} registered claims"


def _line(entry: dict) -> str:
    judgement = entry["judgement"]
    known = " (known)" if entry["known"] else ""
    text = f"{entry['id']:<17} {entry['verdict'] + known:<21} {measured(judgement):<30} {rule(judgement):<18}"
    why = entry["reason"] or (why_open(judgement) if judgement and _needs_reason(entry["verdict"], judgement) else "")
    return f"{text} {entry['statement']}" + (f" ({why})" if why else "")


def _needs_reason(verdict: str, judgement: dict) -> bool:
    """Whether the figures do not show how a verdict came about: there is no estimate, or no spread over texts."""
    return judgement["estimate"] is None or (verdict != SMOKE and judgement["low"] == judgement["high"])


def rule(judgement: dict | None) -> str:
    """`needs <= -30`: the rule that the estimate had to meet."""
    return f"needs {judgement['rule']}" if judgement and judgement["rule"] else ""


def _over_the_series(claims: Sequence[str], results: Results, steps: Mapping[str, int]) -> Iterator[str]:
    """One line for each claim that was judged at several checkpoints: its verdicts in the order of the steps."""
    if not any(entry["label"] for entry in results.values()):
        return
    yield from ("", f"over the steps {', '.join(str(step) for step in steps.values())}:")
    for claim in claims:
        ids = [f"{claim}{arm.removeprefix('drope')}" for arm in steps]
        verdicts = [results[i]["verdict"] for i in ids if i in results]
        if len(verdicts) > 1:
            yield f"{claim:<17} {', '.join(verdicts)}"


def markdown(claims: Sequence[str], results: Results) -> str:
    """The verdicts of a run as a Markdown table."""
    lines = ["| id | claim | published | measured | needed | verdict |", "|---|---|---|---|---|---|"]
    for entry in (results[claim] for claim in claims if claim in results):
        judgement = entry["judgement"] or {"rule": "", "estimate": None}
        cells = [entry["id"], entry["statement"], entry["published"], measured(judgement, digits=2), judgement["rule"]]
        lines.append(f"| {' | '.join([*cells, entry['verdict']])} |")
    return "\n".join(lines) + "\n"


def audit_header(figures: Published) -> list[str]:
    """The audited study, and its columns."""
    about = [str(figures.study[key]) for key in ("author", "year") if key in figures.study]
    columns = [f"{name}: {COLUMNS[name]}" for name in figures.columns]
    return [f"published figures: {', '.join([str(figures.study['title']), *about])}", *columns]


def of_audit(claims: Sequence[str], results: Results, figures: Published) -> Iterator[tuple[str, list[str]]]:
    """The sections of an audit by title: verdicts in each column with their reasons, and findings."""
    columns, audit = list(figures.columns), audit_document(figures)
    lines = [_row("", columns, "")]
    for claim, entries in by_claim(claims, results, columns).items():
        statement = next(entry["statement"] for entry in entries if entry)
        lines.append(_row(claim, [_cell(entry) for entry in entries], statement))
    lines += [f"{reason}: {', '.join(ids)}" for reason, ids in _reasons(results).items()]
    lines += [f"{column}: {counted_in(claims, results, column)}" for column in columns]
    yield "verdicts on the published figures", lines
    agree = sum(row["agrees"] for row in audit["compared"])
    findings = [f"{finding['kind']}: {finding['sentence']}" for finding in audit["findings"]]
    yield "findings", [*findings, f"{agree} of {len(audit['compared'])} compared figures agree"]


def by_claim(claims: Sequence[str], results: Results, columns: Sequence[str]) -> dict[str, list[dict | None]]:
    """The entries of every claim that ran, one for each column, None for a column in which it did not."""
    table = {claim: [results.get(f"{claim}@{column}") for column in columns] for claim in claims}
    return {claim: entries for claim, entries in table.items() if any(entries)}


def counted_in(claims: Sequence[str], results: Results, column: str) -> str:
    """`3 supported, 2 refuted, .. of 32 registered claims` in one column."""
    verdicts = Counter(results.get(f"{claim}@{column}", {"verdict": "not run"})["verdict"] for claim in claims)
    return f"{', '.join(f'{verdicts[n]} {n}' for n in OUTCOMES if verdicts[n])} of {len(claims)} registered claims"


def figure(entry: dict | None) -> str:
    """`-38.91 [-43.2, -34.6]`, or the figure alone if it has no interval."""
    return measured(entry["judgement"] if entry else None)


def reason_of(entry: dict) -> str:
    """The reason of an entry, or of its judgement; "" if the figure speaks for itself."""
    return entry["reason"] or (entry["judgement"] or {}).get("reason", "")


def audit_markdown(claims: Sequence[str], results: Results) -> str:
    """An audit as a Markdown table: every claim that ran, its verdict and figure in both columns."""
    columns = [column for column in COLUMNS if any(claim.endswith(f"@{column}") for claim in results)]
    lines = [f"| {' | '.join(['id', 'claim', 'needed', *columns])} |", "|---" * (3 + len(columns)) + "|"]
    for claim, entries in by_claim(claims, results, columns).items():
        judged = next((e["judgement"] for e in entries if e and e["judgement"]), {"rule": ""})
        statement = next(entry["statement"] for entry in entries if entry)
        lines.append(f"| {' | '.join([claim, statement, judged['rule'], *map(_cell, entries)])} |")
    return "\n".join(lines) + "\n"


def _reasons(results: Results) -> dict[str, list[str]]:
    """Ids of claims by verdict and reason."""
    ids: dict[str, list[str]] = {}
    for claim, entry in results.items():
        if reason := reason_of(entry):
            ids.setdefault(f"{entry['verdict']} ({reason})", []).append(claim)
    return ids


def _cell(entry: dict | None) -> str:
    return f"{entry['verdict']} {figure(entry)}".rstrip() if entry else "not run"


def _row(claim: str, cells: Sequence[str], statement: str) -> str:
    return f"{claim:<17} {''.join(f'{cell:<38} ' for cell in cells)}{statement}".rstrip()
