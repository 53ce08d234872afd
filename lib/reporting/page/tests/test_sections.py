import re
from html.parser import HTMLParser

import pytest
from fixtures.plugin.document import complete
from fixtures.plugin.registry import registered

from fixtures.planted.subjects import massive_values, repeated, study_counts, study_losses
from lib.judging.verdicts import all_of, assess
from lib.reporting.figures.heat_maps import heat_maps
from lib.reporting.figures.pictures import draw
from lib.reporting.page import claims, figures, sections
from lib.reporting.page.sections import strip

pytestmark = pytest.mark.cpu

EVIL = "<img src=x onerror=alert(1)>"
TEXTS = [{"name": f"text {EVIL} {i}", "kind": EVIL, "hash": "0"} for i in range(3)]
ORIGIN = {
    "pretrained": EVIL,
    "identity": EVIL,
    "dtype": "float32",
    "position_change": 1.5,
    "rotation": "RRN",
    "versions": {"torch": EVIL},
}


def entry(**changes):
    judgement = assess([1.0, 2.0, 3.0], unit=EVIL, label=EVIL, note=EVIL).at_most(9)
    plain = {"id": "Q1", "claim": "Q1", "label": None, "family": "counts", "alpha": 0.01, "verdict": "supported"}
    said = dict.fromkeys(("statement", "how", "source", "published", "known", "reason", "figure"), EVIL)
    found = {**plain, **said, "texts": "count", "judgement": all_of([judgement, judgement]).as_dict(), **changes}
    return complete(found) | {name: changes[name] for name in ("published_estimate",) if name in changes}


def against(sentences, **lists):
    found = {name: [{"sentence": s} for s in lists.get(name, [])] for name in sections.CHANGES}
    return {"baseline": EVIL, "sentences": sentences, "same": 3, **found}


def document(*entries, **settings):
    plain = {"pair": EVIL, "description": EVIL, "note": EVIL, "arms": {"rope": EVIL}, "steps": {}, "device": "cpu"}
    plain |= {"max_tokens": 8, "threshold": 5.0, "scope": "layer", "site": "projection", "controls": 1, "seed": 0}
    plain |= {"limit": None, "texts": {"source": EVIL, "count": TEXTS, "score": TEXTS}, **settings}
    results = {e["id"]: e for e in entries}
    return {
        "stopped": EVIL,
        "faults": {EVIL: EVIL},
        "settings": plain,
        "summary": {"registered": len(registered()), **strip(results)},
        "claims": list(entries),
        "arms": {EVIL: ORIGIN, "drope": ORIGIN | {"dtype": "bfloat16"}},
        "regression": against([EVIL], flips=[EVIL]),
    }


class Balanced(HTMLParser):
    """Fails on a tag that is closed in another place than it was opened."""

    VOID = ("br", "img", "meta", "input", "circle", "line", "rect", "path")

    def __init__(self):
        super().__init__()
        self.open, self.seen = [], []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture
def parsed():
    """Parses HTML that must be well-formed; returns its tags with their attributes."""

    def parse(html):
        parser = Balanced()
        parser.feed(html)
        assert parser.open == []
        return parser.seen

    return parse


def text_of(html):
    return " ".join(re.sub("<[^>]*>", " ", html).split())


def test_everything_on_the_page_is_escaped_and_every_tag_is_closed(parsed):
    early = entry(id="Q1@step5", label="step5")
    odd = entry(id=EVIL)
    broken = entry(id="K1", claim="K1", verdict="error", judgement=None)
    made = document(entry(), odd, early, broken, steps={"drope@step5": 5, "drope": 9})
    html = "".join(sections.sections(made, {EVIL: ("<svg/>", EVIL)}))
    assert "<img src=x" not in html
    assert html.count("&lt;img src=x") > 40
    assert [attrs for tag, attrs in parsed(html) if tag == "img" and not attrs["src"].startswith("data:")] == []
    assert [name for _, attrs in parsed(html) for name in attrs if name.startswith("on")] == []


def test_a_row_holds_what_a_reader_needs():
    row = claims.row(entry(source="a study", published="-38.9 %"), 0, document()["settings"])
    for piece in ("Q1", "a study", "-38.9 %", "2 [", "&lt;= 9", "supported", "level 0.05", ">3<", "clear of the"):
        assert piece in row


def test_a_row_unfolds_into_all_that_is_known_of_the_claim():
    judged = assess([1.0, 2.0, 3.0], unit="%").at_most(9).as_dict()
    row = text_of(claims.row(entry(judgement=judged, how="So and so."), 0, document()["settings"]))
    for piece in (
        "So and so.",
        "2 (%), needed <= 9: clear of the threshold by 7",
        "Refuted when the whole interval lies above 9.",
        "3 texts that massive values are counted on, one number each (%).",
        "could reach with so many is 0.1",
    ):
        assert piece.replace("<", "&lt;") in row
    assert re.search(r"On planted records where it does not hold: -4\.\d+ \[.*?\] % per text, refuted\.", row)
    assert re.search("text &lt;img src=x onerror=alert[(]1[)]&gt; 2 3", row)


def test_rows_carry_the_numbers_that_they_are_sorted_by(parsed):
    made = entry(published_estimate=-38.9)
    (body,) = [a for tag, a in parsed(claims.row(made, 4, document()["settings"])) if tag == "tbody"]
    found = {name: float(body[f"data-{name}"]) for name in claims.COLUMNS.values()}
    away = made["half_widths"]
    assert found == {"order": 4, "estimate": 2, "limit": 9, "distance": away, "published": -38.9, "n": 3, "rank": 0}


def test_a_claim_that_broke_has_a_row_without_figures(parsed):
    row = claims.row(entry(verdict="error", judgement=None, reason="cut short"), 0, document()["settings"])
    assert "error" in row
    assert "cut short" in row
    assert "data-estimate" not in row
    assert "svg" not in {tag for tag, _ in parsed(row)}


def test_claims_that_did_not_run_are_named():
    table = claims.table(document(entry()))
    assert table.count("<tbody") == 1
    assert text_of(table).count("K1, V1, A1[query]") == 1


def test_the_strip_counts_out_of_all_registered_claims_and_links_to_each():
    html = sections.strip(document(entry(), entry(id="K1", claim="K1", verdict="refuted")))
    assert text_of(html).startswith(f"1 supported 1 refuted 0 inconclusive {len(registered()) - 2} not run")
    assert re.findall('class="verdict ([a-z-]+)" href="#claim-(.*?)"', html) == [("supported", "Q1"), ("refuted", "K1")]


def test_a_series_has_a_row_of_checkpoints_for_every_claim_that_was_judged_at_them():
    early = entry(id="Q1@step5", label="step5", verdict="refuted")
    broken = entry(id="Q1@step9", label="step9", verdict="error", judgement=None, reason=EVIL)
    steps = {"drope@step5": 5, "drope@step9": 9, "drope": 12}
    html = claims.series(document(entry(), early, broken, entry(id="K1", claim="K1"), steps=steps))
    assert re.findall(r'class="chip verdict (\w+)".*?<b>(\d+)</b>', html) == [
        ("refuted", "5"),
        ("error", "9"),
        ("supported", "12"),
    ]
    assert "K1" not in html
    assert "<img" not in html
    assert claims.series(document(entry())) == ""


def test_what_differs_between_arms_is_a_column_and_the_rest_is_said_once():
    html = sections._provenance({"rope": ORIGIN, "drope": ORIGIN | {"dtype": "bfloat16"}})
    apart = ["arm", "pretrained", "identity", "dtype", sections.MOVED, sections.ROTATION, "rope", "drope"]
    assert re.findall("<th>(.*?)</th>", html) == apart
    assert "torch &lt;img" in html.split("The same for every arm")[1]


def test_a_run_that_is_as_its_baseline_says_so():
    banners = "".join(sections._banners(document() | {"regression": against([])}))
    assert "No verdict changed and no effect drifted (3 claims compared)" in banners


def test_what_changed_since_the_baseline_is_reported_apart():
    made = against(["Q1 flipped", "K1 drifted", "nothing to compare"], flips=["Q1 flipped"], drifts=["K1 drifted"])
    words = text_of("".join(sections._banners(document() | {"regression": made})))
    assert "Verdicts that changed Q1 flipped Effects that drifted K1 drifted Not compared nothing to compare" in words


@pytest.mark.parametrize(
    ("protocol", "said", "leaks"),
    [
        (
            "held-out",
            r"held-out \(10 controls, seed 0\): the massive .* texts that choose the channels are never scored",
            False,
        ),
        ("africa2026", r"africa2026 \(10 controls, seed 0\): .* chosen on the texts that are scored: leaks", True),
        ("jin2025", "protocol jin2025: the channel with the largest norm .* so it does not leak", False),
        ("", "tokens of each text. Intervals are", False),
    ],
)
def test_the_page_says_how_experiment_2_was_made_and_warns_where_it_leaks(protocol, said, leaks):
    made = document(protocol=protocol, controls=10)
    assert re.search(said, sections._what(made))
    banners = [text_of(banner) for banner in sections._banners(made) if "Protocol" in banner]
    assert banners == ["Protocol africa2026 (chosen on the texts that are scored: leaks)."] * leaks


def test_a_document_from_before_there_were_protocols_is_of_the_default_one():
    assert "protocol held-out" in sections._what(document())


def test_a_smoke_run_says_so():
    assert "Smoke run" in "".join(sections._banners(document(limit=1)))
    assert "Smoke run" not in "".join(sections._banners(document()))


@pytest.mark.parametrize(
    ("shape", "sliders", "said"),
    [({}, ["layer"], 0), ({"heads": 2}, ["layer"], 6), ({"layers": 2}, ["layer-rope", "layer-drope"], 6)],
)
def test_arms_with_layers_of_their_own_have_sliders_of_their_own(parsed, shape, sliders, said):
    html = figures.heat_maps(heat_maps(repeated(massive_values(texts=2), "drope", **shape)))
    found = [(attrs["id"], attrs["max"]) for tag, attrs in parsed(html) if tag == "input"]
    assert found == list(zip(sliders, ["3", "7"], strict=False))
    assert len(re.findall("channels are massive, [0-9.]+ % [(]", html)) == said


@pytest.mark.slow
def test_the_page_of_a_7b_model_stays_below_3_mb():
    values, losses = study_counts(), study_losses()
    pictures = draw({"massive_values": values, "disruption": losses})
    every = [entry(id=claim, claim=claim) for claim in registered()]
    made = document(*every) | {"heat_maps": heat_maps(values)}
    size = sum(map(len, sections.sections(made, pictures)))
    assert 1_000_000 < size < 2_500_000  # the rest is pytest-html's own
