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
    """Thresholds across; scope, site and first position down. The run's own cell is framed and has an asterisk."""
    rows = [list(row) for _, row in groupby(enumerate(found["cells"]), lambda placed: placed[1][SCOPE : FIRST + 1])]
    head = "".join(f'<th scope="col">{cell[THRESHOLD]:g}</th>' for _, cell in rows[0])
    body = "".join(
        f'<tr><th scope="row">{escape(_named(row[0][1]))}</th>'
        + "".join(_cell(cell, own=place == found["own"]) for place, cell in row)
        + "</tr>"
        for row in rows
    )
    key = letters_of({cell[VERDICT] for cell in found["cells"]})
    own = "; * this run" if found["own"] is not None else ""
    return (
        f'<p>{escape(_line(found))} ({key}{own}):</p><div class="wide"><table class="grid cells" '
        f'aria-label="Verdicts of {escape(claim)} by threshold, scope, site and first position"><thead><tr>'
        f'<th scope="col">threshold</th>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def _line(found: dict) -> str:
    verdicts = [cell[VERDICT] for cell in found["cells"]]
    holds, refuted, broken = (verdicts.count(name) for name in ("supported", "refuted", "error"))
    unjudged = sum(cell[ESTIMATE] is None for cell in found["cells"]) - broken
    without = f", {unjudged} of them with nothing to judge" if unjudged else ""
    more = f", broken in {broken}" if broken else ""
    left = found["of"] - holds - refuted - broken
    return f"Holds in {holds} of {found['of']} cells, refuted in {refuted}, open in {left}{without}{more}"


def _named(cell: list) -> str:
    first = "" if cell[FIRST] else "without first position"
    return ", ".join(filter(None, (cell[SITE], f"mean over {cell[SCOPE]}", first)))


def _cell(cell: list, *, own: bool) -> str:
    verdict, estimate = cell[VERDICT], cell[ESTIMATE]
    title = f"{verdict}, {'nothing to judge' if estimate is None else f'{estimate:.3g}'}{', this run' if own else ''}"
    return (
        f'<td class="verdict {escape(verdict)}{" own" if own else ""}"><abbr title="{escape(title)}">'
        f"{LETTERS[verdict]}{'*' if own else ''}</abbr></td>"
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
