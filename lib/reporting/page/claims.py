"""The claims on the page: one row each with a forest plot, what unfolds below it, filters, and claims over a series."""

from html import escape

from lib.definitions import OUTCOMES
from lib.judging import one
from lib.reporting import measured, sentences
from lib.reporting.page.forest import forest
from lib.reporting.page.letters import LETTERS, letters_of
from lib.reporting.page.multiverse import grids
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
FAR = 10
"""Half-widths beyond which a distance is not said more exactly."""


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


ABSENT = {
    "no --drope": "one that was trained from it",
    "no --continued": "a control that was trained on with its rotation",
}
"""What a claim that was not asked compares the model with, by what the run lacks."""


def table(document: dict) -> str:
    """Every claim that ran, family by family; a claim's rows are one tbody, so that they move together."""
    shown = [entry for entry in document["claims"] if not entry["label"]]
    ran = {entry["claim"] for entry in document["claims"]}
    absent = [claim for claim in document["registered"] if claim in document["not_asked"]]
    missing = [claim for claim in document["registered"] if claim not in ran and claim not in absent]
    note = f'<p class="missing">Not run: {escape(", ".join(missing))}.</p>' if missing else ""
    for why, compared in ABSENT.items():  # by number: their names are those of an arm that is not there
        if number := sum(document["not_asked"][claim] == why for claim in absent):
            more = "1 more claim compares" if number == 1 else f"{number} more claims compare"
            note += f'<p class="missing">Not asked: {more} the model with {compared}, and none was given.</p>'
    head = "".join(
        f'<th scope="col" data-sort="{key}"><button type="button">{name}</button></th>' for name, key in COLUMNS.items()
    )
    places = {entry["id"]: place for place, entry in enumerate(shown)}
    settings, cells = document["settings"], grids(document)
    bodies = ""
    for family in dict.fromkeys(entry["family"] for entry in shown):
        own = [entry for entry in shown if entry["family"] == family]
        bodies += _family(family, own)
        for e in sorted(own, key=without_subject):
            more = cells.get(e["id"], "")
            bodies += folded(e, settings, more) if without_subject(e) else row(e, places[e["id"]], settings, more)
    return f'<table class="claims" id="claims"><thead><tr>{head}</tr></thead>{bodies}</table>{note}'


def _family(family: str, entries: list[dict]) -> str:
    """The heading of a family: how its claims came out, and the level of each: its share of the family's."""
    verdicts = [entry["verdict"] for entry in entries]
    counts = ", ".join(f"{verdicts.count(name)} {name}" for name in OUTCOMES if name in verdicts)
    alpha = next((entry["alpha"] for entry in entries if entry["alpha"]), None)
    level = f"; level {alpha:.3g} for each" if alpha else ""
    return (
        f'<tbody class="family"><tr><td colspan="{len(COLUMNS)}"><h3>{escape(family.capitalize())}</h3> '
        f"<small>{escape(counts)}{level}</small></td></tr></tbody>"
    )


def without_subject(entry: dict) -> bool:
    """Whether a claim could not be judged for want of a subject; one that broke is no such claim."""
    judged = entry["judgement"]
    return entry["verdict"] != "error" and (judged is None or judged["estimate"] is None)


def folded(entry: dict, settings: dict, more: str = "") -> str:
    """A claim without a subject: one line, with the reason. It has no numbers, so sorting leaves it where it is."""
    reason = entry["reason"] or (entry["judgement"] or {}).get("reason", "")
    summary = (
        f"<b>{escape(entry['id'])}</b> <span>{escape(entry['statement'])}</span> {_badge(entry)} "
        f'<small class="reason">{escape(reason)}</small>'
    )
    return (
        f'{_body(entry, "folded")}<tr><td colspan="{len(COLUMNS)}"><details><summary>{summary}</summary>'
        f"<div>{details(entry, settings, more)}</div></details></td></tr></tbody>"
    )


def row(entry: dict, place: int, settings: dict, more: str = "") -> str:
    """A claim's row and what unfolds below it; `more` are further details, as HTML."""
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
    cells = {
        "Claim": f"<b>{escape(entry['id'])}</b> {escape(entry['statement'])}<small>{escape(entry['source'])}</small>",
        "Measured": _measured(entry),
        "Needed": escape(judged["rule"]) if judged else "",
        "Distance": escape(_distance(entry["half_widths"])),
        "Published": escape(entry["published"]),
        "n": str(judged["n"]) if judged and judged["n"] else "",
        "Verdict": _badge(entry),
    }
    line = "".join(f'<td data-label="{name}">{cell}</td>' for name, cell in cells.items())
    return (
        f"{_body(entry, '', data)}<tr>{line}</tr>"
        f'<tr class="more"><td colspan="{len(COLUMNS)}"><details><summary>{escape(entry["id"])}: how, how far, and '
        f"what would refute it</summary><div>{details(entry, settings, more)}</div></details></td></tr></tbody>"
    )


def _body(entry: dict, kind: str, data: str = "") -> str:
    """The start of a claim's tbody."""
    verdict, family = escape(entry["verdict"]), escape(entry["family"])
    style = f' class="{kind}"' if kind else ""
    return f'<tbody id="claim-{escape(entry["id"])}"{style} data-verdict="{verdict}" data-family="{family}"{data}>'


def _badge(entry: dict) -> str:
    """The verdict, and a chip where it was expected; why it was stands among the details.

    No claim is expected to be supported: one that is known to be something else and is supported now fails its run.
    """
    word = "holds now" if entry["verdict"] == "supported" else "known"
    chip = f' <span class="chip" title="{escape(entry["known"])}">{word}</span>' if entry["known"] else ""
    return f'<span class="verdict {_class(entry)}">{escape(entry["verdict"])}</span>{chip}'


def _distance(half_widths: float | None) -> str:
    """Half-widths with their sign; how much further than FAR says nothing more."""
    if half_widths is None:
        return ""
    if abs(half_widths) > FAR:
        return f"> {FAR}" if half_widths > 0 else f"< -{FAR}"
    return f"{half_widths:+.2g}"


def _class(entry: dict) -> str:
    return escape(entry["verdict"].replace(" ", "-"))


def _measured(entry: dict) -> str:
    """The estimate with its bounds, the forest plot, and the reason where a claim has no verdict or no estimate."""
    judged = entry["judgement"]
    if judged is None:
        return f"<small>{escape(entry['reason'])}</small>"
    figure = measured(judged)
    label = f"{escape(judged['label'])}: " if judged["label"] and figure else ""
    number = f"{label}<b>{escape(figure)}</b> <i>{escape(judged['unit'])}</i>" if figure else ""
    reason = f"<small>{escape(sentences.why_open(judged))}</small>" if judged["reason"] else ""
    return number + forest([judged], published=entry["published_estimate"], label=entry["id"]) + reason


def details(entry: dict, settings: dict, more: str = "") -> str:
    """All that is known of a claim."""
    judged = entry["judgement"]
    found = {
        "Claim": f"{entry['statement'].capitalize()}. Source: {entry['source']}; published: {entry['published']}.",
        "How it was measured": entry["how"],
        "By how much": entry["by_how_much"] or entry["reason"],
        "What would refute it": entry["refutation"],
        "Scope": entry["scope"]["sentence"] if entry["scope"] else "",
        "n and its unit": _unit(entry),
        "Kinds of text": sentences.over_kinds(judged) if judged else "",
        "Carried by": sentences.largest(judged) if judged else "",
        "Also measured": judged["note"] if judged else "",
        "Seen to fail": _counterexample(entry["counterexample"]),
        "Known": entry["known"],
    }
    items = "".join(f"<dt>{name}</dt><dd>{escape(text)}</dd>" for name, text in found.items() if text)
    shown = f'<p class="figure-of" data-figure="{escape(entry["figure"])}"></p>' if entry["figure"] else ""
    link = f'<a href="#figure-{escape(entry["figure"])}">Figure: {escape(entry["figure"].replace("_", " "))}</a>'
    return f"<dl>{items}</dl>{_parts(entry)}{_values(entry, settings)}{more}{link if entry['figure'] else ''}{shown}"


def _unit(entry: dict) -> str:
    judged = entry["judgement"]
    if not judged or not judged["n"]:
        return ""
    level = _level(judged)
    if entry["texts"] == "items":
        return f"{judged['n']} items of tasks, each asked once in every condition ({judged['unit']}).{level}"
    if not judged["values"]:
        return f"{judged['n']} points of a series, each the mean over all texts ({judged['unit']}).{level}"
    role = "texts that are scored" if entry["texts"] == "score" else "texts that massive values are counted on"
    least = f"{0.5 ** judged['n']:.1g}"
    return (
        f"{judged['n']} {role}, one number each ({judged['unit']}).{level} The smallest p that an exact sign-flip test "
        f"could reach with so many is {least}."
    )


def _level(judged: dict) -> str:
    """The level of the verdict, and the smaller one at which one part of several refutes a claim."""
    if not judged["alpha"]:
        return ""
    parts = len(judged["parts"])
    refuted = f", and {judged['alpha'] / parts:.3g} for one of {parts} parts to refute it" if parts > 1 else ""
    return f" One-sided level {judged['alpha']:.3g}, the claim's share of its family's{refuted}."


def _counterexample(judged: dict | None) -> str:
    """What the claim's own test said of records on which it must be refuted, in this very run."""
    if judged is None:
        return ""
    return f"On planted records where it does not hold: {measured(judged)} {judged['unit']}, {judged['verdict']}."


def _parts(entry: dict) -> str:
    """All parts of a claim: a forest plot for those of one rule and unit, and in words those without an estimate."""
    parts = (entry["judgement"] or {}).get("parts") or []
    if not parts:
        return ""
    groups: dict[tuple[str, str], list[dict]] = {}
    for part in parts:
        if part["estimate"] is not None:
            groups.setdefault((part["rule"], part["unit"]), []).append(part)
    plots = "".join(_plot(entry["id"], rule, unit, found) for (rule, unit), found in groups.items())
    unjudged = "".join(
        f"<li>{escape(part['label'])}: {escape(part['verdict'])}, {escape(part['reason'])}</li>"
        for part in parts
        if part["estimate"] is None
    )
    return f"<p>Its {len(parts)} parts:</p>{plots}{f'<ul>{unjudged}</ul>' if unjudged else ''}"


def _plot(claim: str, rule: str, unit: str, parts: list[dict]) -> str:
    drawn = forest(parts, label=f"Parts of {claim}", rows=[part["label"] for part in parts])
    return f'<p class="needs">needed {escape(rule)} ({escape(unit)})</p><div class="wide">{drawn}</div>'


def _values(entry: dict, settings: dict) -> str:
    """The number of every text, as dots and as a list; of items, whose names fill pages, as dots alone."""
    judged = entry["judgement"]
    if not judged or not judged["values"]:
        return ""
    values, of = judged["values"], judged["observations"]
    dots = f"<p>Every {one(of)} ({escape(judged['unit'])}):</p>{strip_plot(values, judged['limits'], of)}"
    if entry["texts"] == "items":
        return dots
    texts = settings["texts"][entry["texts"]]
    names = [text["name"] for text in texts] if len(texts) == len(values) else [""] * len(values)
    items = ", ".join(
        f"{escape(name)} {value:.4g}" if name else f"{value:.4g}" for name, value in zip(names, values, strict=True)
    )
    return f"{dots}<p>{items}</p>"


def series(document: dict) -> str:
    """Claims that were judged at every checkpoint of a series: claims x steps, coloured and lettered by verdict."""
    steps = document["settings"]["steps"]
    entries = {entry["id"]: entry for entry in document["claims"]}
    rows = []
    for claim in dict.fromkeys(entry["claim"] for entry in document["claims"]):
        ids = [f"{claim}{arm.removeprefix('drope')}" for arm in steps]
        if any(i in entries for i in ids[:-1]):
            cells = "".join(_cell(step, entries.get(i)) for step, i in zip(steps.values(), ids, strict=True))
            rows.append(f'<tr><th scope="row">{escape(claim)}</th>{cells}</tr>')
    if not rows:
        return ""
    what = (
        "Every checkpoint is judged as if it were the only one, at the claim's own level; the last one is what the "
        f"table above shows. Each cell has the verdict ({letters_of(_verdicts(document))}) and the estimate."
    )
    head = "".join(f'<th scope="col">{step}</th>' for step in steps.values())
    return (
        f'<h2>Over the series</h2><p>{what}</p><div class="wide"><table class="grid"><thead><tr>'
        f'<th scope="col">step</th>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
    )


def _verdicts(document: dict) -> set[str]:
    return {entry["verdict"] for entry in document["claims"]}


def _cell(step: int, entry: dict | None) -> str:
    if entry is None:
        return f'<td title="step {step}: not run"></td>'
    judged = entry["judgement"]
    why = sentences.why_open(judged) if judged else entry["reason"]
    known = "known" if entry["known"] else ""
    title = ", ".join(filter(None, (entry["verdict"], measured(judged), known, why)))
    estimate = judged["estimate"] if judged else None
    figure = "" if estimate is None else f"{estimate:.3g}" if abs(estimate) < 1000 else f"{estimate:.0f}"
    return (
        f'<td class="verdict {_class(entry)}" title="step {step}: {escape(title)}"><b>{LETTERS[entry["verdict"]]}</b> '
        f"{figure}</td>"
    )
