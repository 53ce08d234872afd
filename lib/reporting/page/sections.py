"""The page that people read, as HTML sections made from a run's document. Everything from outside is escaped.

Without scripts it shows all there is but the choice of a layer; `page.js` adds sorting, filters and the theme.
"""

from collections.abc import Mapping
from html import escape
from pathlib import Path

from lib.definitions import DEFAULT, PROTOCOLS, marked
from lib.reporting.page import audit, claims, figures

SCRIPT = Path(__file__).with_name("page.js")
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
Pictures = Mapping[str, tuple[str, str]]


def sections(document: dict, pictures: Pictures) -> list[str]:
    """The page's sections in order: `pictures` are `{name: (SVG, alternative text)}`."""
    if document.get("audit"):
        return [*_head(), *_banners(document), audit.page(document), _script()]
    return [
        *_head(),
        strip(document),
        *_banners(document),
        _what(document),
        claims.filters(document),
        claims.table(document),
        claims.series(document),
        figures.gallery(pictures),
        figures.heat_maps(document.get("heat_maps")),
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


def strip(document: dict) -> str:
    """How many of all registered claims came out how, and every claim by its id."""
    counts = document["summary"]
    boxes = [
        f'<span class="verdict {name.replace(" ", "-")}"><b>{number}</b> {name}</span>'
        for name, number in counts.items()
        if name != "registered" and (number or name in ("supported", "refuted", "inconclusive"))
    ]
    total = f'<span class="total">of {counts["registered"]} registered claims</span>'
    links = "".join(
        f'<a class="verdict {entry["verdict"].replace(" ", "-")}" href="#claim-{escape(entry["id"])}">'
        f"{escape(entry['id'])}</a>"
        for entry in document["claims"]
        if not entry["label"]
    )
    return f'<div class="strip">{"".join(boxes)}{total}</div><div class="strip small">{links}</div>'


def _banners(document: dict) -> list[str]:
    """What must not be overlooked: why there are no verdicts, which arms are missing, what changed."""
    lines = [document["stopped"]] if document["stopped"] else []
    lines += [f"{arm} is left out: {why}" for arm, why in document["faults"].items()]
    if document["settings"]["limit"]:
        lines.append("Smoke run (--limit): nothing can be supported.")
    if (protocol := PROTOCOLS.get(document["settings"].get("protocol", DEFAULT))) and protocol.leaks:
        lines.append(f"Protocol {marked(protocol.name)}.")
    found = [f'<p class="stopped">{escape(line)}</p>' for line in lines]
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


def _what(document: dict) -> str:
    settings = document["settings"]
    how = (
        f"Massive: norm above {settings['threshold']:g} x the mean of the {settings['scope']}, at the "
        f"{settings['site']} site, {settings['max_tokens']} tokens of each text. {_protocol(settings)}Intervals are "
        "one-sided bounds at the claim's share of its family's level. The unit of replication is the text: n is their "
        "number. "
        "Distance is that of the estimate from the threshold, in half-widths of the interval: beyond +1 the claim is "
        "supported, beyond -1 it fails. In the plots the needed side is shaded, the dashed line is the threshold, and "
        "the diamond (an arrow, where it is far away) is the published figure."
    )
    note = f"<p>{escape(settings['note'])}</p>" if settings["note"] else ""
    pair = f"<p><b>Pair {escape(settings['pair'])}.</b> {escape(settings['description'])}</p>"
    arms = "; ".join(f"<b>{escape(arm)}</b> {escape(args)}" for arm, args in settings["arms"].items() if arm in MAIN)
    return f'{pair}<p class="arms">{arms}</p>{note}<p>{escape(how)}</p>'


def _protocol(settings: dict) -> str:
    """What experiment 2 did: of the protocol, and of what was drawn at random for it."""
    protocol = PROTOCOLS.get(settings.get("protocol", DEFAULT))
    if protocol is None:
        return ""
    drawn = f" ({settings['controls']} controls, seed {settings['seed']})" if protocol.controls is None else ""
    return f"Experiment 2 by the protocol {protocol.name}{drawn}: {protocol.said}. "


def _provenance(arms: dict) -> str:
    """Which weights every arm is, loaded how, by which libraries. What is the same for all arms is said once."""
    if not arms:
        return ""
    found = {arm: _flat(origin) for arm, origin in arms.items()}
    names = list(next(iter(found.values())))
    alike = [name for name in names if len({values[name] for values in found.values()}) == 1 and name not in ALWAYS]
    apart = [name for name in names if name not in alike]
    head = "".join(f"<th>{escape(name)}</th>" for name in apart)
    rows = "".join(
        f"<tr><th>{escape(arm)}</th>"
        + "".join(f'<td data-label="{escape(name)}">{escape(values[name])}</td>' for name in apart)
        + "</tr>"
        for arm, values in found.items()
    )
    same = "; ".join(f"{escape(name)} {escape(next(iter(found.values()))[name])}" for name in alike)
    table = f'<table class="provenance cards"><thead><tr><th>arm</th>{head}</tr></thead><tbody>{rows}</tbody></table>'
    return f"<h2>What was measured</h2>{table}<p>The same for every arm: {same}.</p>"


def _flat(origin: dict) -> dict[str, str]:
    """What is known of an arm's weights as text, libraries among it."""
    plain = {key: str(value) for key, value in origin.items() if key not in ("versions", "position_change", "rotation")}
    return {**plain, MOVED: f"{origin['position_change']:.3g}", ROTATION: origin["rotation"], **origin["versions"]}


def _texts(settings: dict) -> str:
    texts = settings["texts"]
    names = {role: ", ".join(escape(text["name"]) for text in texts[role]) for role in ("count", "score")}
    return (
        f"<p>Texts ({escape(texts['source'])}). Massive values counted on: {names['count']}. Losses scored on: "
        f"{names['score']}.</p>"
    )
