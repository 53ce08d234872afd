"""The claims on the page: one row each with a forest plot, what unfolds below it, filters, and claims over a series."""

from html import escape

from lib.definitions import OUTCOMES
from lib.reporting import measured, rule
from lib.reporting.page.forest import forest
from lib.reporting.page.strip_plot import strip_plot

COLUMNS = {
    "Claim": "order",
    "Measured": "estimate",
    "Needed": "limit",
    "Distance": "distance",
    "Published": "published",
    "n": "n",
    "Verdict": "rank",
}
"""Column titles, and the number that rows are sorted by."""


def filters(document: dict) -> str:
    """Which claims are shown; for scripts only, so hidden until one runs."""
    shown = [entry for entry in document["claims"] if not entry["label"]]
    verdicts = [name for name in OUTCOMES if any(entry["verdict"] == name for entry in shown)]
    families = list(dict.fromkeys(entry["family"] for entry in shown))
    boxes = "".join(
        f'<label><input type="checkbox" data-filter="verdict" value="{escape(name)}" checked> {escape(name)}</label>'
        for name in verdicts
    )
    choices = "".join(f'<option value="{escape(name)}">{escape(name)}</option>' for name in families)
    family = f'<label>Family <select data-filter="family"><option value="">all</option>{choices}</select></label>'
    count = f'<output id="shown">{len(shown)} of {len(shown)} claims</output>'
    return f'<div class="filters-of-claims scripted" hidden>{boxes}{family}{count}</div>'


def table(document: dict) -> str:
    """Every claim that ran, in the registry's order; a claim's rows are one tbody, so that they move together."""
    shown = [entry for entry in document["claims"] if not entry["label"]]
    ran = {entry["claim"] for entry in document["claims"]}
    missing = [claim for claim in document["registered"] if claim not in ran]
    note = f'<p class="missing">Not run: {escape(", ".join(missing))}.</p>' if missing else ""
    head = "".join(
        f'<th scope="col" data-sort="{key}"><button type="button">{name}</button></th>' for name, key in COLUMNS.items()
    )
    bodies = "".join(row(entry, place, document["settings"]) for place, entry in enumerate(shown))
    return f'<table class="claims" id="claims"><thead><tr>{head}</tr></thead>{bodies}</table>{note}'


def row(entry: dict, place: int, settings: dict) -> str:
    """A claim's row and what unfolds below it."""
    judged = entry["judgement"]
    numbers = {
        "order": place,
        "estimate": judged and judged["estimate"],
        "limit": judged and judged["limits"][0] if judged and judged["limits"] else None,
        "distance": entry["half_widths"],
        "published": entry["published_estimate"],
        "n": judged and judged["n"],
        "rank": OUTCOMES.index(entry["verdict"]),
    }
    data = "".join(f' data-{name}="{number!r}"' for name, number in numbers.items() if number is not None)
    known = f"<small>known: {escape(entry['known'])}</small>" if entry["known"] else ""
    cells = {
        "Claim": f"<b>{escape(entry['id'])}</b> {escape(entry['statement'])}<small>{escape(entry['source'])}</small>",
        "Measured": _measured(entry),
        "Needed": escape(judged["rule"]) if judged else "",
        "Distance": f"{entry['half_widths']:+.2g}" if entry["half_widths"] is not None else "",
        "Published": escape(entry["published"]),
        "n": str(judged["n"]) if judged and judged["n"] else "",
        "Verdict": f'<span class="verdict {_class(entry)}">{escape(entry["verdict"])}</span>{known}',
    }
    line = "".join(f'<td data-label="{name}">{cell}</td>' for name, cell in cells.items())
    verdict, family = escape(entry["verdict"]), escape(entry["family"])
    return (
        f'<tbody id="claim-{escape(entry["id"])}" data-verdict="{verdict}" data-family="{family}"{data}><tr>{line}</tr>'
        f'<tr class="more"><td colspan="{len(COLUMNS)}">{details(entry, settings)}</td></tr></tbody>'
    )


def _class(entry: dict) -> str:
    return escape(entry["verdict"].replace(" ", "-"))


def _measured(entry: dict) -> str:
    """The estimate with its bounds, the forest plot, and the reason where a claim has no verdict or no estimate."""
    judged = entry["judgement"]
    if judged is None:
        return f"<small>{escape(entry['reason'])}</small>"
    figure = measured(judged)
    label = f"{escape(judged['label'])}: " if judged["label"] and figure else ""
    number = f"{label}<b>{escape(figure)}</b> <small>{escape(judged['unit'])}</small>" if figure else ""
    reason = f"<small>{escape(judged['reason'])}</small>" if judged["reason"] else ""
    return number + forest([judged], published=entry["published_estimate"], label=entry["id"]) + reason


def details(entry: dict, settings: dict) -> str:
    """All that is known of a claim, unfolding without a script."""
    judged = entry["judgement"]
    found = {
        "Claim": f"{entry['statement'].capitalize()}. Source: {entry['source']}; published: {entry['published']}.",
        "How it was measured": entry["how"],
        "By how much": entry["by_how_much"] or entry["reason"],
        "What would refute it": entry["refutation"],
        "n and its unit": _unit(entry),
        "Also measured": judged["note"] if judged else "",
        "Seen to fail": _counterexample(entry["counterexample"]),
        "Known": entry["known"],
    }
    items = "".join(f"<dt>{name}</dt><dd>{escape(text)}</dd>" for name, text in found.items() if text)
    shown = f'<p class="figure-of" data-figure="{escape(entry["figure"])}"></p>' if entry["figure"] else ""
    link = f'<a href="#figure-{escape(entry["figure"])}">Figure: {escape(entry["figure"].replace("_", " "))}</a>'
    return (
        f"<details><summary>{escape(entry['id'])}: how, how far, and what would refute it</summary><div>"
        f"<dl>{items}</dl>{_parts(judged)}{_values(entry, settings)}{link if entry['figure'] else ''}{shown}"
        "</div></details>"
    )


def _unit(entry: dict) -> str:
    judged = entry["judgement"]
    if not judged or not judged["n"]:
        return ""
    role = "texts that are scored" if entry["texts"] == "score" else "texts that massive values are counted on"
    least = f"{0.5 ** judged['n']:.1g}"
    level = f" One-sided level {judged['alpha']:.3g}, the claim's share of its family's." if judged["alpha"] else ""
    return (
        f"{judged['n']} {role}, one number each ({judged['unit']}).{level} The smallest p that an exact sign-flip test "
        f"could reach with so many is {least}."
    )


def _counterexample(judged: dict | None) -> str:
    """What the claim's own test said of records on which it must be refuted, in this very run."""
    if judged is None:
        return ""
    return f"On planted records where it does not hold: {measured(judged)} {judged['unit']}, {judged['verdict']}."


def _parts(judged: dict | None) -> str:
    if not judged or not judged["parts"]:
        return ""
    rows = "".join(
        f"<li>{escape(part['label'])}: {escape(measured(part))}, {escape(rule(part))}: {escape(part['verdict'])}</li>"
        for part in judged["parts"]
    )
    return f"<p>Its {len(judged['parts'])} parts:</p><ul>{rows}</ul>"


def _values(entry: dict, settings: dict) -> str:
    """The number of every text, as dots and as a list."""
    judged = entry["judgement"]
    if not judged or not judged["values"]:
        return ""
    values, texts = judged["values"], settings["texts"][entry["texts"]]
    names = [text["name"] for text in texts] if len(texts) == len(values) else [""] * len(values)
    items = ", ".join(
        f"{escape(name)} {value:.4g}" if name else f"{value:.4g}" for name, value in zip(names, values, strict=True)
    )
    return f"<p>Every text ({escape(judged['unit'])}):</p>{strip_plot(values, judged['limits'])}<p>{items}</p>"


def series(document: dict) -> str:
    """Claims that were judged at every checkpoint of a series: verdict and estimate, step by step."""
    steps = document["settings"]["steps"]
    entries = {entry["id"]: entry for entry in document["claims"]}
    rows = []
    for claim in dict.fromkeys(entry["claim"] for entry in document["claims"]):
        ids = [f"{claim}{arm.removeprefix('drope')}" for arm in steps]
        if any(i in entries for i in ids[:-1]):
            chips = "".join(_chip(step, entries.get(i)) for step, i in zip(steps.values(), ids, strict=True))
            rows.append(f"<tr><th>{escape(claim)}</th><td>{chips}</td></tr>")
    if not rows:
        return ""
    what = (
        "Every checkpoint is judged as if it were the only one, at the claim's own level; the last one is what the "
        "table above shows."
    )
    return f'<h2>Over the series</h2><p>{what}</p><table class="series">{"".join(rows)}</table>'


def _chip(step: int, entry: dict | None) -> str:
    if entry is None:
        return f'<span class="chip"><b>{step}</b> not run</span>'
    judged = entry["judgement"]
    why = escape(judged["reason"] if judged else entry["reason"])
    figure = escape(measured(judged, digits=3)) if judged else ""
    known = ", known" if entry["known"] else ""
    return (
        f'<span class="chip verdict {_class(entry)}" title="{why}"><b>{step}</b> {escape(entry["verdict"])}{known}'
        f"<small>{figure}</small></span>"
    )
