"""The multiverse on the page: a grid of verdicts for each claim of counts, and a table of all of them."""

from collections.abc import Callable, Iterator
from html import escape
from itertools import groupby

from lib.reporting.page.letters import LETTERS, letters_of

THRESHOLD, SCOPE, SITE, FIRST, VERDICT, ESTIMATE = range(6)
"""Places in a cell of the document."""
TITLES = {"threshold": "Threshold", "scope": "Mean over", "site": "Site", "first": "First position"}
PLACES = {"threshold": THRESHOLD, "scope": SCOPE, "site": SITE, "first": FIRST}


def grids(document: dict) -> dict[str, str]:
    """For each claim of counts the line `Holds in k of N cells` and the grid of its cells, by id."""
    found = document.get("multiverse")
    return {claim: _grid(claim, cells) for claim, cells in found["claims"].items()} if found else {}


def _grid(claim: str, found: dict) -> str:
    """Thresholds across; scope, site and first position down. The run's own cell is framed and has an asterisk.

    No table element: it would stand within the table of claims, whose rows are sorted, filtered and folded.
    """
    rows = [list(row) for _, row in groupby(enumerate(found["cells"]), lambda placed: placed[1][SCOPE : FIRST + 1])]
    head = "".join(f'<span role="columnheader">{cell[THRESHOLD]:g}</span>' for _, cell in rows[0])
    body = "".join(
        f'<div role="row"><span role="rowheader">{escape(_named(row[0][1]))}</span>'
        + "".join(_cell(cell, own=place == found["own"]) for place, cell in row)
        + "</div>"
        for row in rows
    )
    key = letters_of({cell[VERDICT] for cell in found["cells"]})
    own = "; * this run" if found["own"] is not None else ""
    return (
        f'<p>{_line(found)} ({key}{own}):</p><div class="wide">'
        f'<div class="cells" role="table" style="--across:{len(rows[0])}" '
        f'aria-label="Verdicts of {escape(claim)} by threshold, site, scope and first position"><div role="row">'
        f'<span role="columnheader">threshold</span>{head}</div>{body}</div></div>'
    )


def _line(found: dict) -> str:
    """In how many cells a claim holds, and what it does in the others."""
    cells = found["cells"]
    verdicts = [cell[VERDICT] for cell in cells]
    unjudged = sum(map(_unjudged, cells))
    others = {
        "refuted": verdicts.count("refuted"),
        "open": verdicts.count("inconclusive") - unjudged,
        "broken": verdicts.count("error"),
        "with nothing to judge": unjudged,
    }
    said = "".join(f", {word} in {number}" for word, number in others.items() if number)
    return f"Holds in {found['holds']} of {found['of']} cells{said}"


def _unjudged(cell: list) -> bool:
    """Whether there was nothing to judge: too few massive values, for the most part."""
    return cell[VERDICT] == "inconclusive" and cell[ESTIMATE] is None


def _named(cell: list) -> str:
    first = "" if cell[FIRST] else "first left out"
    return ", ".join(filter(None, (cell[SITE], cell[SCOPE], first)))


def _cell(cell: list, *, own: bool) -> str:
    verdict, estimate = cell[VERDICT], cell[ESTIMATE]
    said = ", nothing to judge" if _unjudged(cell) else "" if estimate is None else f", {estimate:.3g}"
    kinds = (" unjudged" if _unjudged(cell) else "") + (" own" if own else "")
    return (
        f'<span role="cell" class="verdict {escape(verdict)}{kinds}">'
        f'<abbr title="{escape(verdict)}{said}{", this run" if own else ""}">'
        f"{LETTERS[verdict]}{'*' if own else ''}</abbr></span>"
    )


def section(document: dict) -> str:
    """In how many cells each claim holds: of all, and of those with each choice, tinted by their share."""
    found = document.get("multiverse")
    if not found:
        return ""
    axes, claims = found["axes"], found["claims"]
    groups = "".join(f'<th scope="colgroup" colspan="{len(axes[axis])}">{TITLES[axis]}</th>' for axis in TITLES)
    heads = "".join(f'<th scope="col">{escape(_choice(axis, value))}</th>' for axis, value in _choices(axes))
    rows = "".join(
        f'<tr><th scope="row"><a href="#claim-{escape(claim)}">{escape(claim)}</a></th>{_share(of["cells"])}'
        + "".join(_share([c for c in of["cells"] if c[PLACES[axis]] == value]) for axis, value in _choices(axes))
        + "</tr>"
        for claim, of in claims.items()
    )
    always, never = (
        _number(claims, holds) for holds in (lambda of: of["holds"] == of["of"], lambda of: not of["holds"])
    )
    what = (
        "Every claim of counts is judged again with each choice made otherwise: the threshold, the channels whose mean "
        "it multiplies, the site at which states are read, and whether the first position of a text counts. Of "
        f"{len(claims)} claims {always} hold in all of their cells, {never} in none. A number says in how many cells a "
        "claim holds, of those with that choice. The details of a claim show its cells."
    )
    return (
        f'<h2>Multiverse: other thresholds, scopes and sites</h2><p>{what}</p><div class="wide">'
        f'<table class="grid shares"><thead><tr><td></td><td></td>{groups}</tr><tr><th scope="col">claim</th>'
        f'<th scope="col">all</th>{heads}</tr></thead><tbody>{rows}</tbody></table></div>'
    )


def _number(claims: dict, fits: Callable[[dict], bool]) -> int:
    return sum(fits(of) for of in claims.values())


def _choices(axes: dict) -> Iterator[tuple[str, object]]:
    return ((axis, value) for axis in TITLES for value in axes[axis])


def _choice(axis: str, value: object) -> str:
    if axis == "first":
        return "counted" if value else "left out"
    return f"{value:g}" if axis == "threshold" else str(value)


def _share(cells: list[list]) -> str:
    """In how many of these cells a claim holds; empty where it has none of them."""
    if not cells:
        return "<td></td>"
    holds = sum(cell[VERDICT] == "supported" for cell in cells)
    return f'<td style="--share:{100 * holds / len(cells):.0f}%">{holds} of {len(cells)}</td>'
