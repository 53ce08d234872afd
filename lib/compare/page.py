"""The page of several runs: claims by runs, with all their intervals on one axis. Works without scripts and network."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from hashlib import sha256
from html import escape

from lib.compare.compatible import plain
from lib.compare.drift import interval
from lib.compare.over_runs import OverRuns
from lib.reporting import ONLY_TEXTS
from lib.reporting.page import STYLE, forest
from lib.settings import COMPARED

Runs = Mapping[str, dict]
OWN = """
h1 { font-size: 22px; margin: 12px 0 4px; }
.wide { overflow-x: auto; }
.compare td { min-width: 9em; }
.compare td:first-child { min-width: 14em; }
.compare tr.differs { box-shadow: inset 4px 0 var(--accent); }
.compare tr.differs td:first-child { padding-left: 12px; }
.compare .mark { color: var(--accent); font-weight: 600; }
@media (max-width: 760px) { .compare tr.differs { padding-left: 10px; } }
"""
"""Added to the style of the reports."""
SETTINGS = ("pair", *(option.name for option in COMPARED), "seed", "limit", "device")
NOT_ASKED: dict = {"verdict": "not asked"}
"""Stands for the entry of a claim that a run has no arm for."""
ORIGIN = ("identity", "revision", "class", "parameters", "dtype", "quantization", "attn_implementation", "threads")


def page(runs: Runs, warnings: Sequence[str], differing: Collection[str], over_runs: Sequence[OverRuns] = ()) -> str:
    """The whole page: `warnings` come first, rows of the claims in `differing` are marked.

    `over_runs` are verdicts with a run of training as the unit.
    """
    title = f"{len(runs)} runs compared"
    entries = {
        name: dict.fromkeys(document["not_asked"], NOT_ASKED) | {entry["id"]: entry for entry in document["claims"]}
        for name, document in runs.items()
    }
    asked = [e for document in runs.values() for e in document["claims"]]
    labels, order = {e["id"]: e["label"] for e in asked}, list(dict.fromkeys(e["claim"] for e in asked))
    last = [claim for claim in order if claim in labels]
    early = sorted((i for i in labels if labels[i] is not None), key=lambda i: order.index(i.partition("@")[0]))
    parts = [
        f"<h1>{title}</h1>",
        *(f'<p class="stopped">{escape(sentence)}</p>' for sentence in warnings),
        *_settings(runs),
        *(_over_runs(over_runs, runs) if over_runs else ()),
        "<h2>Claims</h2>",
        f"<p>{len(set(last) & set(differing))} of {len(last)} claims have verdicts that differ; their rows are marked. "
        "Intervals: a line for each run that has an estimate, in the order of the columns; dashed: the threshold.</p>",
        _table(last, entries, differing),
    ]
    if early:
        parts += ["<h2>Earlier checkpoints</h2>", _table(early, entries, differing)]
    head = (
        f'<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{STYLE.read_text(encoding='utf-8')}{OWN}</style>"
    )
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>{"".join(parts)}</body></html>\n'


def _over_runs(found: Sequence[OverRuns], runs: Runs) -> list[str]:
    """A table of the claims about training: the verdict over all runs, and what each run gave."""
    rows = []
    for of in found:
        judged = of.judgement
        shown = interval(judged.as_dict()) if judged.estimate is not None else judged.reason
        chip = f'<span class="verdict {judged.verdict}">{judged.verdict}</span>'
        needed = f"<small>needed {escape(judged.rule)}</small>" if judged.rule else ""
        cells = {
            "Claim": f"<b>{escape(of.claim)}</b> {escape(of.statement)}{needed}",
            "Over runs": f"{chip} <div>{escape(shown)}</div>",
            **{name: escape(_estimates(of, name)) for name in runs},
        }
        line = "".join(f'<td data-label="{escape(name)}">{cell}</td>' for name, cell in cells.items())
        rows.append(f"<tr>{line}</tr>")
    return [
        "<h2>Over runs of training</h2>",
        "<p>Of runs of one recipe that differ in their seeds, claims about training, with a run as the unit: each gave "
        f"one estimate. In one run, {ONLY_TEXTS}.</p>",
        _framed("cards compare", ("Claim", "Over runs", *runs), rows),
    ]


def _estimates(of: OverRuns, name: str) -> str:
    """The estimate of each rule in a run, or why there is none."""
    if name in of.absent:
        return of.absent[name]
    judged = of.told[name]
    parts = judged["parts"] or [judged]
    return "; ".join("none" if p["estimate"] is None else f"{p['estimate']:.4g} {p['unit']}" for p in parts)


def _table(claims: Sequence[str], entries: Mapping[str, Mapping[str, dict]], differing: Collection[str]) -> str:
    rows = (_row(c, {name: table.get(c) for name, table in entries.items()}, c in differing) for c in claims)
    return _framed("cards compare", ("Claim", *entries, "Intervals"), rows)


def _framed(kind: str, head: Iterable[str], rows: Iterable[str]) -> str:
    """A table that scrolls by itself if its runs do not fit the screen."""
    titles = "".join(f'<th scope="col">{escape(title)}</th>' for title in head)
    table = f"<thead><tr>{titles}</tr></thead><tbody>{''.join(rows)}</tbody>"
    return f'<div class="wide"><table class="{kind}">{table}</table></div>'


def _row(claim: str, entries: Mapping[str, dict | None], differs: bool) -> str:
    known = [entry for entry in entries.values() if entry and entry is not NOT_ASKED]
    mark = '<small class="mark">verdicts differ</small>' if differs else ""
    rules = dict.fromkeys(e["judgement"]["rule"] for e in known if e["judgement"] and e["judgement"]["rule"])
    needed = f"<small>needed {escape(' or '.join(rules))}</small>" if rules else ""
    cells = {"Claim": f"<b>{escape(claim)}</b> {escape(known[0]['statement'])}{needed}{mark}"}
    cells |= {name: _cell(entry) for name, entry in entries.items()}
    line = "".join(f'<td data-label="{escape(name)}">{cell}</td>' for name, cell in cells.items())
    plots = f'<td data-label="Intervals">{_plots(claim, entries)}</td>'
    return f'<tr class="differs">{line}{plots}</tr>' if differs else f"<tr>{line}{plots}</tr>"


def _cell(entry: dict | None) -> str:
    """A run's verdict as a coloured word, with its estimate or the reason for having none."""
    if entry is None:
        return '<span class="verdict not-run">not run</span>'
    if entry is NOT_ASKED:
        return '<span class="verdict not-asked">not asked</span>'
    judged, verdict = entry["judgement"], escape(entry["verdict"])
    chip = f'<span class="verdict {verdict.replace(" ", "-")}">{verdict}</span>'
    if judged is None or judged["estimate"] is None:
        return f"{chip}<small>{escape(judged['reason'] if judged else entry['reason'])}</small>"
    return f"{chip} <div>{escape(interval(judged))}</div>"


def _plots(claim: str, entries: Mapping[str, dict | None]) -> str:
    """All runs' intervals on one axis; one axis for each rule or part that decided."""
    groups: dict[tuple, dict[str, dict]] = {}
    for name, entry in entries.items():
        if entry and entry.get("judgement") and entry["judgement"]["estimate"] is not None:
            judged = entry["judgement"]
            groups.setdefault((judged["rule"], judged["unit"], judged["label"]), {})[name] = judged
    published = next((e["published_estimate"] for e in entries.values() if e and e is not NOT_ASKED), None)
    plots = []
    for (_, _, part), judgements in groups.items():
        names = ", ".join(judgements)
        head = "" if len(groups) == 1 else f"<small>{escape(names)}{escape(part and f': {part}')}</small>"
        plots.append(head + forest(list(judgements.values()), published=published, label=f"{claim}, {names}"))
    return "".join(plots)


def _settings(runs: Runs) -> list[str]:
    """A table of the differences in how the runs were made, and a folded list of everything equal in all of them."""
    shared = set.intersection(*(set(document["arms"]) for document in runs.values()))
    made = {name: described(document, shared) for name, document in runs.items()}
    keys = list(dict.fromkeys(key for values in made.values() for key in values))
    apart = [key for key in keys if len({values.get(key, "none") for values in made.values()}) > 1]
    rows = []
    for key in apart:
        cells = (f'<td data-label="{escape(name)}">{escape(v.get(key, "none"))}</td>' for name, v in made.items())
        rows.append(f"<tr><th>{escape(key)}</th>{''.join(cells)}</tr>")
    first = next(iter(made.values()))
    same = "; ".join(f"{key} {first[key]}" for key in keys if key not in apart and first[key])
    return [
        "<h2>What differs between the runs</h2>",
        _framed("cards", ("", *made), rows),
        f"<details><summary>The same in all runs</summary><p>{escape(same)}</p></details>",
    ]


def described(document: dict, arms: Collection[str]) -> dict[str, str]:
    """How a run was made, as text by name: settings, texts, every arm, and the origin of the weights of `arms`."""
    settings, summary = document["settings"], document["summary"]
    counts = ", ".join(f"{number} {name}" for name, number in summary.items() if number and name != "registered")
    how = {"finished": document["finished"], "verdicts": f"{counts} of {summary['registered']} registered"}
    how |= {key.replace("_", " "): str(plain(settings[key])) for key in SETTINGS if settings.get(key) is not None}
    for role in ("count", "score"):
        texts = [text["kind"] + text["hash"] for text in settings["texts"][role]]
        how[f"texts ({role})"] = f"{len(texts)}, hash {sha256(''.join(texts).encode()).hexdigest()[:8]}"
    if tasks := settings.get("tasks"):
        of_tasks = "".join(f"{task['name']}{task['items']}{task['hash']}" for task in tasks)
        asked = ", ".join(f"{task['items']} {task['name']}" for task in tasks)
        how["tasks"] = f"{asked}, hash {sha256(of_tasks.encode()).hexdigest()[:8]}"
    how["texts from"] = settings["texts"]["source"]
    for arm, arguments in settings["arms"].items():
        if "@" in arm:
            continue  # the last checkpoint of a series stands for it
        how[arm] = arguments
        if arm in arms:
            origin = document["arms"][arm]
            how |= {f"{arm}: {key.replace('_', ' ')}": str(origin[key]) for key in ORIGIN if key in origin}
    for origin in document["arms"].values():
        how |= {f"version of {name}": version for name, version in origin["versions"].items()}
    return how
