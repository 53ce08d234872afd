"""The page of an audit, from its document. Everything is escaped: titles and kinds of text come from outside."""

from collections.abc import Sequence
from html import escape

from lib.published import ERRORS, TOLERANCE
from lib.reporting import tables

ABOUT = ("author", "year", "rope", "drope", "quantization", "hardware", "threshold", "site", "max_tokens")


def page(document: dict) -> str:
    """A whole audit: what is audited, the claims in every column, and the section about the figures."""
    audit, results = document["audit"], {entry["id"]: entry for entry in document["claims"]}
    return (
        _study(audit)
        + findings(audit)
        + claims_table(document["registered"], results, list(audit["columns"]))
        + compared(audit)
    )


def findings(audit: dict) -> str:
    """What is found in the figures, from `lib.findings.audit_document`."""
    items = "".join(f"<li><b>{_text(f['kind'])}</b> {_text(f['sentence'])}</li>" for f in audit["findings"])
    return f"<h2>Findings</h2>{f'<ul>{items}</ul>' if items else '<p>Nothing was found.</p>'}"


def compared(audit: dict) -> str:
    """Every figure that was compared with another, disagreements marked."""
    if not audit["compared"]:
        return ""
    how = (
        f"Text and store agree within {100 * TOLERANCE:g} percent of the larger figure, or within {ERRORS} standard "
        "errors of their difference where a standard deviation is published. A bound agrees with what keeps it. "
        "A figure of a layer or of zeroed modules agrees as well if it is a rounding of the stored one. "
        "Arithmetic must be met within the rounding of the figures that take part. Two tables of one source agree "
        f"within {100 * TOLERANCE:g} percent, or within {ERRORS} standard errors of so many items or heads."
    )
    table = _table(("Figure", "Compared", "Said or given", "Held or follows", "Ratio", "Outcome"), _compared(audit))
    return f"<h2>Figures compared</h2><p>{how}</p>{table}"


def claims_table(claims: Sequence[str], results: dict[str, dict], columns: list[str]) -> str:
    """Claims x columns: verdict, figure and reason."""
    rows = []
    for claim, entries in tables.by_claim(claims, results, columns).items():
        entry = next(entry for entry in entries if entry)
        judged = next((e["judgement"] for e in entries if e and e["judgement"]), {"rule": ""})
        about = f"<b>{_text(claim)}</b> {_text(entry['statement'])}<small>{_text(entry['source'])}</small>"
        rows.append([about, _text(entry["published"]), _text(judged["rule"]), *map(_verdict, entries)])
    counted = "".join(f"<p>{name}: {_text(tables.counted_in(claims, results, name))}</p>" for name in columns)
    return f"<h2>Claims</h2>{counted}{_table(('Claim', 'Published', 'Needed', *columns), rows)}"


def _study(audit: dict) -> str:
    study = audit["study"]
    about = "; ".join(f"{key} {_text(study[key])}" for key in ABOUT if key in study)
    columns = "; ".join(f"<b>{_text(name)}</b>: {_text(what)}" for name, what in audit["columns"].items())
    intro = "Published figures, judged by the rules of every claim. Nothing was measured."
    return f"<p><b>{_text(study['title'])}</b> ({about})</p><p>{intro} {columns}.</p>"


def _compared(audit: dict) -> list[list[str]]:
    return [
        [
            _text(row["what"]),
            _text(row["how"]),
            _number(row["said"]),
            _number(row["held"]) + _error(row["error"]),
            _number(row["ratio"], 3),
            _badge("agrees", "") if row["agrees"] else _badge("disagrees", "refuted"),
        ]
        for row in audit["compared"]
    ]


def _error(error: float | None) -> str:
    return "" if error is None else f"<small>standard error {_number(error, 3)}</small>"


def _verdict(entry: dict | None) -> str:
    if entry is None:
        return "not run"
    small = f"<small>{_text(reason)}</small>" if (reason := tables.reason_of(entry)) else ""
    badge = _badge(entry["verdict"], entry["verdict"].replace(" ", "-"))
    return f"{badge} {_text(tables.figure(entry))}{small}"


def _badge(word: str, kind: str) -> str:
    return f'<span class="verdict{" " * bool(kind)}{kind}">{word}</span>'


def _table(names: Sequence[str], rows: list[list[str]]) -> str:
    """Every cell says which column it is of, so that a narrow page can show the cells under each other."""
    head = "".join(f"<th>{_text(name)}</th>" for name in names)
    starts = [f'<td data-label="{_text(name)}">' for name in names]
    lines = ["".join(f"{start}{cell}</td>" for start, cell in zip(starts, row, strict=True)) for row in rows]
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f'<table class="claims cards"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def _number(value: float | None, digits: int = 6) -> str:
    return "" if value is None else f"{value:.{digits}g}"


def _text(value: object) -> str:
    return escape(str(value))
