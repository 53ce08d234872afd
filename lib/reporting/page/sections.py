"""The page that people read, as HTML sections made from a run's document. Everything from outside is escaped.

Without scripts it shows all there is but the choice of a layer; `page.js` adds sorting, filters and the theme.
"""

import re
from collections.abc import Mapping
from html import escape
from pathlib import Path

from lib.definitions import DEFAULT, PROTOCOLS, label, marked
from lib.reporting.notes import tokenizer_in_short, without_bos
from lib.reporting.page import audit, claims, figures, multiverse
from lib.reporting.page.forest import key

SCRIPT, STYLE = (Path(__file__).with_name(name) for name in ("page.js", "page.css"))
MOVED = "logits move when positions are stretched (sd)"
ROTATION = "layers that rotate (R) or not (N)"
CHANGES = {
    "flips": "Verdicts that changed",
    "drifts": "Effects that drifted",
    "one_sided": "Judged in one of the two runs",
    "asked_otherwise": "Asked otherwise",
}
"""What is reported apart of a comparison with a baseline."""
MAIN = ("rope", "drope", "continued")
"""The arms that are named at the top."""
ALWAYS = ("pretrained", "identity", MOVED, ROTATION)
"""What is shown for every arm even if it is the same."""
UNKNOWN = "not recorded"
VERDICTS = ("supported", "refuted", "inconclusive")
OTHERWISE = {
    "smoke": "left open by a smoke run",
    "not decidable": "not decidable",
    "error": "broken",
    "skipped": "skipped",
    "not asked": "not asked",
    "not run": "not run",
}
"""What else becomes of a claim, as a sentence says it."""
DIGITS = 8
"""Digits of a hash that are shown."""
HASH = re.compile(r"\b(?:sha256:)?([0-9a-f]{40,64})\b")
Pictures = Mapping[str, tuple[str, str]]


def build(document: dict, pictures: Pictures) -> list[str]:
    """The page's sections in order: `pictures` are `{name: (SVG, alternative text)}`."""
    if document.get("audit"):
        return [*_head(), *_banners(document), audit.page(document), _script()]
    return [
        *_head(),
        result(document),
        boxes(document["summary"]),
        *_banners(document),
        _pair(document["settings"]),
        _how_to_read(document["settings"]),
        claims.filters(document),
        claims.table(document),
        claims.series(document),
        multiverse.section(document),
        figures.gallery(pictures),
        figures.heat_maps(document.get("heat_maps"), _labels(document["settings"])),
        _provenance(document["arms"]),
        _texts(document["settings"]),
        _script(),
    ]


def _head() -> list[str]:
    return [
        # pytest-html's template lacks it, and a phone would lay the page out for a desk
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<button type="button" id="theme" class="scripted" hidden>Dark</button>',
    ]


def _script() -> str:
    return f"<script>{SCRIPT.read_text(encoding='utf-8')}</script>"


def broken(any_test: bool) -> str:
    """What stands above pytest-html's table of tests that broke; without any, the style hides the table."""
    return "<h2>Tests that broke</h2>" if any_test else '<p class="no-rows">No test broke.</p>'


def result(document: dict) -> str:
    """One sentence with the result and what the pair is."""
    settings, counts = document["settings"], document["summary"]
    first, rest = _split(settings["description"])
    pair = f"the pair {settings['pair']}{f' ({first})' if first else ''}"
    if any(counts[name] for name in VERDICTS):
        more = [f"{counts[name]} {word}" for name, word in OTHERWISE.items() if counts[name]]
        one, *others, last = [f"{counts[name]} {name}" for name in VERDICTS] + more
        one = one.replace(" ", " is " if counts["supported"] == 1 else " are ")
        result = f"Of {counts['registered']} claims, {', '.join([one, *others])} and {last} on {pair}."
    else:
        result = f"No verdict on any of {counts['registered']} claims on {pair}."
    return f'<p class="result">{escape(result)}</p>{f"<p>{escape(rest)}</p>" if rest else ""}'


def _split(description: str) -> tuple[str, str]:
    """The first sentence of a description, fit for brackets, and all the rest."""
    first, _, rest = " ".join(description.split()).partition(". ")
    start, *words = first.split(" ")
    plain = start.lower() if start in ("A", "An", "The") else start
    return " ".join([plain, *words]).removesuffix("."), rest


def boxes(counts: dict) -> str:
    """How many claims came out how: the three verdicts, and whatever else there is."""
    shown = "".join(
        f'<span class="verdict {name.replace(" ", "-")}"><b>{number}</b> {name}</span>'
        for name, number in counts.items()
        if name in VERDICTS or (name != "registered" and number)
    )
    return f'<div class="strip">{shown}</div>'


def _banners(document: dict) -> list[str]:
    """What must not be overlooked: why there are no verdicts, which arms are missing, what changed."""
    lines = [document["stopped"]] if document["stopped"] else []
    lines += [f"{arm} is left out: {why}" for arm, why in document["faults"].items()]
    if (protocol := PROTOCOLS.get(document["settings"].get("protocol", DEFAULT))) and protocol.leaks:
        lines.append(f"Protocol {marked(protocol.name)}.")
    found = [f'<p class="stopped">{short(line)}</p>' for line in lines]
    facts = {arm: origin.get("tokenizer_facts") for arm, origin in document["arms"].items()}
    found += [f'<p class="stopped smoke">{short(line)}</p>' for line in without_bos(facts)]
    if document["settings"]["limit"]:
        found.append('<p class="stopped smoke">Smoke run (--limit): nothing can be supported.</p>')
    return found + ([_regression(document["regression"])] if document.get("regression") else [])


def _regression(regression: dict) -> str:
    sentences = regression["sentences"]
    head = f"<h2>Against the baseline {escape(str(regression['baseline']))}</h2>"
    if not sentences:
        same = f"No verdict changed and no effect drifted ({regression['same']} claims compared)."
        return f'{head}<p class="same">{same}</p>'
    apart = {title: [item["sentence"] for item in regression[kind]] for kind, title in CHANGES.items()}
    named = {sentence for found in apart.values() for sentence in found}
    rest = [sentence for sentence in sentences if sentence not in named]
    lists = "".join(
        f"<p><b>{title}</b></p><ul>{''.join(f'<li>{escape(sentence)}</li>' for sentence in found)}</ul>"
        for title, found in {**apart, "Not compared": rest}.items()
        if found
    )
    return f'{head}<div class="stopped">{lists}</div>'


def _labels(settings: dict) -> dict[str, str]:
    """The names of the arms for readers."""
    changed = {arm: re.search(r",rope=([^,]+)", args) for arm, args in settings["arms"].items()}
    return {arm: label(arm, found and found[1]) for arm, found in changed.items()}


def _pair(settings: dict) -> str:
    """Which models the main arms are, and what was odd about them."""
    arms = "; ".join(f"<b>{escape(arm)}</b> {short(args)}" for arm, args in settings["arms"].items() if arm in MAIN)
    note = f"<p>{escape(settings['note'])}</p>" if settings["note"] else ""
    return f'<p class="arms">{arms}</p>{note}'


def _how_to_read(settings: dict) -> str:
    """What is measured, and what the marks and columns mean, folded."""
    how = (
        f"Massive: norm above {settings['threshold']:g} x the mean of the {settings['scope']}, at the "
        f"{settings['site']} site, {settings['max_tokens']} tokens of each text. {_protocol(settings)}The unit of "
        "replication is the text, n their number, and a verdict speaks of these weights and of texts of these kinds. "
        "Intervals are one-sided bounds at the level that decided: the claim's share of its family's, and where one of "
        "several parts refutes the claim, that part's share of it. Distance: how far the estimate lies from the "
        "threshold, in half-widths of the interval; beyond +1 the claim is supported, beyond -1 it is refuted. Known: "
        "the verdict was expected, and its details say why."
    )
    if settings["limit"]:
        how += " Smoke: the claim is not refuted, and a smoke run measures too few texts to support it."
    return f'<details class="how"><summary>How to read this</summary><div>{key()}<p>{escape(how)}</p></div></details>'


def _protocol(settings: dict) -> str:
    """What experiment 2 did: of the protocol, and of what was drawn at random for it."""
    protocol = PROTOCOLS.get(settings.get("protocol", DEFAULT))
    if protocol is None:
        return ""
    drawn = f" ({settings['controls']} controls, seed {settings['seed']})" if protocol.controls is None else ""
    return f"Experiment 2 by the protocol {protocol.name}{drawn}: {protocol.description}. "


def _provenance(arms: dict) -> str:
    """Which weights every arm is, loaded how, by which libraries. What is the same for all arms is said once."""
    if not arms:
        return ""
    found = {arm: _flat(origin) for arm, origin in arms.items()}
    names = list(dict.fromkeys(name for values in found.values() for name in values))
    found = {arm: {name: values.get(name, UNKNOWN) for name in names} for arm, values in found.items()}
    alike = [name for name in names if len({values[name] for values in found.values()}) == 1 and name not in ALWAYS]
    apart = [name for name in names if name not in alike]
    head = "".join(f"<th>{escape(name)}</th>" for name in apart)
    rows = "".join(
        f"<tr><th>{escape(arm)}</th>"
        + "".join(f'<td data-label="{escape(name)}">{short(values[name])}</td>' for name in apart)
        + "</tr>"
        for arm, values in found.items()
    )
    same = "; ".join(f"{escape(name)} {short(next(iter(found.values()))[name])}" for name in alike)
    table = f'<table class="provenance cards"><thead><tr><th>arm</th>{head}</tr></thead><tbody>{rows}</tbody></table>'
    return f"<h2>What was measured</h2>{table}<p>The same for every arm: {same}.</p>"


def _flat(origin: dict) -> dict[str, str]:
    """What is known of an arm's weights as text, libraries among it."""
    apart = ("versions", "position_change", "rotation", "tokenizer_facts", "threads")
    plain = {key: str(value) for key, value in origin.items() if key not in apart}
    # records that are older than these facts have none
    plain["tokenizer"] = tokenizer_in_short(origin.get("tokenizer_facts"))
    plain["threads"] = str(origin.get("threads") or UNKNOWN)
    return {**plain, MOVED: f"{origin['position_change']:.3g}", ROTATION: origin["rotation"], **origin["versions"]}


def short(text: str) -> str:
    """Text as HTML: paths relative to the working directory, and hashes by their first digits, whole on hovering."""
    here = f"{Path.cwd().as_posix().rstrip('/')}/"
    # a path begins a word or follows a sign; one that only ends like the directory is another
    text = re.sub(rf"(?<![\w./~-]){re.escape(here)}", "", text) if len(here) > 1 else text
    return HASH.sub(lambda found: f'<span class="hash" title="{found[0]}">{found[1][:DIGITS]}</span>', escape(text))


def _tasks(tasks: list[dict]) -> str:
    asked = ", ".join(f"{task['items']} of {escape(task['name'])} ({task['knowledge']})" for task in tasks)
    return f"<p>Items that are asked where a claim is one of tasks: {asked}.</p>" if asked else ""


def _texts(settings: dict) -> str:
    texts = settings["texts"]
    names = {role: ", ".join(escape(text["name"]) for text in texts[role]) for role in ("count", "score")}
    return (
        f"<p>Texts ({escape(texts['source'])}). Massive values counted on: {names['count']}. Losses scored on: "
        f"{names['score']}.</p>{_tasks(settings.get('tasks', []))}"
    )
