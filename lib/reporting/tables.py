"""What an audit says on the terminal: claims by columns, why they came out so, findings, and what disagrees."""

from collections import Counter

from fixtures.plugin.registry import registered
from lib.definitions.words import OUTCOMES
from lib.published.figures import COLUMNS, Published
from lib.published.findings import audit_document
from lib.reporting.sentences import measured

Results = dict[str, dict]


def header(figures: Published) -> list[str]:
    """What is audited."""
    about = [str(figures.study[key]) for key in ("author", "year") if key in figures.study]
    columns = [f"{name}: {COLUMNS[name]}" for name in figures.columns]
    return [f"published figures: {', '.join([str(figures.study['title']), *about])}", *columns]


def summary(reporter, results: Results, figures: Published) -> None:
    """All of it, in sections."""
    if not results:
        return
    columns, audit = list(figures.columns), audit_document(figures)
    reporter.section("verdicts on the published figures")
    reporter.line(_line("", columns, ""))
    for claim, entries in by_claim(results, columns).items():
        statement = next(entry["statement"] for entry in entries if entry)
        reporter.line(_line(claim, [_cell(entry) for entry in entries], statement))
    for reason, claims in _reasons(results).items():
        reporter.line(f"{reason}: {', '.join(claims)}")
    for column in columns:
        reporter.line(f"{column}: {counted(results, column)}")
    reporter.section("findings")
    for finding in audit["findings"]:
        reporter.line(f"{finding['kind']}: {finding['sentence']}")
    agree = sum(row["agrees"] for row in audit["compared"])
    reporter.line(f"{agree} of {len(audit['compared'])} compared figures agree")


def by_claim(results: Results, columns: list[str]) -> dict[str, list[dict | None]]:
    """The entries of every claim that ran, one for each column, in the registry's order."""
    table = {claim: [results.get(f"{claim}@{column}") for column in columns] for claim in registered()}
    return {claim: entries for claim, entries in table.items() if any(entries)}


def counted(results: Results, column: str) -> str:
    """`3 supported, 2 refuted, .. of 32 registered claims` in one column."""
    verdicts = Counter(results.get(f"{claim}@{column}", {"verdict": "not run"})["verdict"] for claim in registered())
    return (
        f"{', '.join(f'{verdicts[n]} {n}' for n in OUTCOMES if verdicts[n])} of {len(registered())} registered claims"
    )


def figure(entry: dict | None) -> str:
    """`-38.91 [-43.2, -34.6]`, or the figure alone where it has no interval."""
    return measured(entry["judgement"] if entry else None)


def reason_of(entry: dict) -> str:
    """Why a claim came out as it did, where its figure does not say so."""
    return entry["reason"] or (entry["judgement"] or {}).get("reason", "")


def markdown(results: Results) -> str:
    """The table for a README: every claim that ran, its verdict and figure in both columns."""
    columns = [column for column in COLUMNS if any(claim.endswith(f"@{column}") for claim in results)]
    lines = [f"| {' | '.join(['id', 'claim', 'needed', *columns])} |", "|---" * (3 + len(columns)) + "|"]
    for claim, entries in by_claim(results, columns).items():
        judged = next((e["judgement"] for e in entries if e and e["judgement"]), {"rule": ""})
        statement = next(entry["statement"] for entry in entries if entry)
        lines.append(f"| {' | '.join([claim, statement, judged['rule'], *map(_cell, entries)])} |")
    return "\n".join(lines) + "\n"


def _reasons(results: Results) -> dict[str, list[str]]:
    """The claims that came out for each reason."""
    found: dict[str, list[str]] = {}
    for claim, entry in results.items():
        if reason := reason_of(entry):
            found.setdefault(f"{entry['verdict']} ({reason})", []).append(claim)
    return found


def _cell(entry: dict | None) -> str:
    return f"{entry['verdict']} {figure(entry)}".rstrip() if entry else "not run"


def _line(claim: str, cells: list[str], statement: str) -> str:
    return f"{claim:<17} {''.join(f'{cell:<38} ' for cell in cells)}{statement}".rstrip()
