import re
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import pytest

from fixtures.planted.subjects import massive_values, repeated, study_counts, study_losses
from fixtures.plugin import trying
from fixtures.plugin.catalogue import built_in
from lib.judging import item_mean, mean, order, proportion, ratio
from lib.judging.verdicts import all_of, assess, undecided
from lib.reporting.assemble import Run, assemble, counted
from lib.reporting.figures.heat_maps import heat_maps
from lib.reporting.figures.pictures import draw
from lib.reporting.page import claims, figures, sections
from lib.reporting.page.forest import KEY
from lib.settings import Settings

pytestmark = pytest.mark.cpu

EVIL = "<img src=x onerror=alert(1)>"
NUMBERS = mean([1.0, 2.0, 3.0]).if_normal
TEXTS = [{"name": f"text {EVIL} {i}", "kind": EVIL, "hash": "0"} for i in range(3)]
ORIGIN = {
    "pretrained": EVIL,
    "identity": EVIL,
    "dtype": "float32",
    "position_change": 1.5,
    "rotation": "RRN",
    "versions": {"torch": EVIL},
}


SETTINGS = Settings("mine", "", {}, "cpu", 8, 5.0, "layer", "projection", 1, Path("records"))


@cache
def counterexample(claim):
    return trying.counterexample(built_in()[claim])


def complete(entry):
    """An entry as a document has it."""
    run = Run(
        SETTINGS,
        list(built_in()),
        {entry["id"]: entry},
        published_estimate=lambda e: trying.published_estimate(built_in()[e["claim"]], e["judgement"]),
        counterexample=lambda e: counterexample(e["claim"]),
    )
    (completed,) = assemble(run)["claims"]
    return completed


def entry(**changes):
    judgement = assess(NUMBERS, unit=EVIL, label=EVIL, note=EVIL).at_most(9)
    plain = {"id": "Q1", "claim": "Q1", "label": None, "family": "counts", "alpha": 0.01, "verdict": "supported"}
    said = dict.fromkeys(("statement", "how", "source", "published", "known", "reason", "figure"), EVIL)
    found = {
        **plain,
        **said,
        "texts": "count",
        "training": False,
        "judgement": all_of([judgement, judgement]).as_dict(),
        **changes,
    }
    return complete(found) | {name: changes[name] for name in ("published_estimate",) if name in changes}


def unjudged(label, reason):
    """A part of a claim of which nothing was estimated."""
    asked = assess([1.0, 2.0], label=label).at_most(9)
    return replace(asked, verdict="inconclusive", estimate=None, low=None, high=None, reason=reason)


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
        "not_asked": {},
        "settings": plain,
        "summary": {"registered": len(built_in()), **counted(list(built_in()), results)},
        "registered": list(built_in()),
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
    odd = entry(id=EVIL) | {"scope": {"weights": {}, "kinds": {EVIL: 1}, "runs": None, "sentence": EVIL}}
    broken = entry(id="K1", claim="K1", verdict="error", judgement=None)
    without = entry(id="V1", claim="V1", verdict="skipped", judgement=None, family=EVIL)
    partly = all_of([assess([1.0, 2.0], unit=EVIL, label=EVIL).at_most(9), unjudged(EVIL, EVIL)])
    open_part = entry(id="L1", claim="L1", judgement=partly.as_dict())
    made = document(entry(), odd, early, broken, without, open_part, steps={"drope@step5": 5, "drope": 9})
    html = "".join(sections.build(made, {EVIL: ("<svg/>", EVIL), f"{EVIL}2": ("", EVIL)})) + sections.broken(True)
    assert "<img src=x" not in html
    assert html.count("&lt;img src=x") > 60
    assert [attrs for tag, attrs in parsed(html) if tag == "img" and not attrs["src"].startswith("data:")] == []
    assert [name for _, attrs in parsed(html) for name in attrs if name.startswith("on")] == []


def test_a_row_holds_what_a_reader_needs():
    row = claims.row(entry(source="a study", published="-38.9 %"), 0, document()["settings"])
    for piece in ("Q1", "a study", "-38.9 %", "2 [", "&lt;= 9", "supported", "level 0.05", ">3<", "clear of the"):
        assert piece in row


def test_a_row_unfolds_into_all_that_is_known_of_the_claim():
    judged = assess(NUMBERS, unit="%").at_most(9).as_dict()
    row = text_of(claims.row(entry(judgement=judged, how="So and so."), 0, document()["settings"]))
    for piece in (
        "So and so.",
        "2 (%), needed <= 9: clear of the threshold by 7",
        "Refuted when the whole interval lies above 9.",
        "3 texts that massive values are counted on, one number each (%).",
        "could reach with so many is 0.1",
    ):
        assert piece.replace("<", "&lt;") in row
    assert re.search(r"On planted records where it does not hold: -4\.\d+ \[.*?\] % of the count, refuted\.", row)
    assert re.search("text &lt;img src=x onerror=alert[(]1[)]&gt; 2 3", row)


def details_of(values, **changes):
    """The words that unfold below a claim on values of texts of three kinds."""
    kinds = ("literary", "factual", "technical") * (len(values) // 3)
    judged = assess(values, unit="%", kinds=kinds).at_most(9).as_dict()
    return text_of(claims.details(entry(judgement=judged, **changes), document()["settings"]))


def test_what_unfolds_says_what_the_verdict_speaks_of():
    plain, training = (details_of([1.0, 2.0, 3.0], training=training) for training in (False, True))
    assert "Scope Of these weights and texts of these kinds: 6 literary," in plain
    assert "one run: " not in plain
    assert re.search(
        "Scope Of these weights and texts of .*; one run: texts replicate the measurement, not the training[.]",
        training,
    )


def test_an_entry_of_an_older_document_has_no_scope():
    judged = assess(NUMBERS).at_most(9).as_dict()
    older = entry(judgement=judged) | {"scope": None}
    assert "<dt>Scope</dt>" not in claims.details(older, document()["settings"])


def test_what_unfolds_says_how_other_kinds_of_text_would_do_and_which_text_carries_the_claim():
    even, uneven = details_of([1.0, 2.0, 3.0, 1.5, 2.5, 3.5] * 2), details_of([1.0, 1.1, 1.2] * 3 + [1.0, 1.1, 9.0])
    for words in (even, uneven):
        assert "Kinds of text With 3 kinds of text as the unit: " in words
    assert "Carried by The largest text holds 43 % of the sum of all" in uneven
    assert "Carried by" not in even


def test_a_claim_of_several_parts_says_at_which_level_one_of_them_refutes_it():
    part = assess(NUMBERS, alpha=0.01, parts=2).at_most(9)
    one, two = (
        claims.details(entry(judgement=judged.as_dict()), document()["settings"])
        for judged in (part, all_of([part] * 2))
    )
    assert "One-sided level 0.01, the claim's share of its family's. The" in text_of(one).replace("&#x27;", "'")
    assert "of its family's, and 0.005 for one of 2 parts to refute it." in text_of(two).replace("&#x27;", "'")


def test_an_order_is_one_of_points_and_not_of_texts():
    judged = assess(order([[6, 5, 4, 3, 2, 1]] * 4 + [[6, 5, 4, 3, 2, 0]]), unit="rho").below(0).as_dict()
    words = text_of(claims.details(entry(judgement=judged), document()["settings"]))
    assert "6 points of a series, each the mean over all texts (rho). One-sided level 0.05" in words
    assert "sign-flip" not in words


def test_the_page_says_which_tasks_are_asked():
    task = {"name": EVIL, "knowledge": "contextual", "items": 60, "hash": "a"}
    asked = text_of("".join(sections.build(document(tasks=[task]), {})))
    assert "Items that are asked where a claim is one of tasks: 60 of " in asked
    assert "Items that are asked" not in text_of("".join(sections.build(document(tasks=[]), {})))


def test_items_of_tasks_are_dots_without_a_list_of_names():
    for numbers in (item_mean([100] * 9 + [0] * 31, ["recall"] * 40, (-100, 0, 100)), proportion(9, 40)):
        judged = assess(numbers, unit="points", observations="items").above(0).as_dict()
        words = text_of(claims.details(entry(judgement=judged, texts="items"), document()["settings"]))
        assert "40 items of tasks, each asked once in every condition (points). One-sided level 0.05" in words
        assert "sign-flip" not in words
        assert ("Every item (points):" in words) == (numbers.sample != ())
        assert "100, 100" not in words


def test_an_interval_without_ends_says_that_the_texts_are_too_few():
    endless = ratio([1.0, -2, 3, 1, -1, 2, 0, 1], [1.0, -1, 2, -2, 1, 0.5, 0, 1])
    judged = assess(endless, alpha=0.01).at_most(9).as_dict()
    html = claims.row(entry(judgement=judged, reason=""), 0, document()["settings"])
    assert "<small>8 texts are too few, or too unlike, for an interval at this level</small>" in html


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
    assert table.count("<tbody id=") == 1
    assert text_of(table).count("K1, V1, A1[query]") == 1


def test_the_page_begins_with_one_sentence_on_the_result_and_the_pair():
    made = document(
        entry(), entry(id="K1", claim="K1", verdict="refuted"), pair="toy", description="A tiny\npair. Odd."
    )
    rest, every = len(built_in()) - 2, len(built_in())
    said = f"Of {every} claims, 1 is supported, 1 refuted, 0 inconclusive and {rest} not run on the pair toy"
    assert text_of(sections.result(made)) == f"{said} (a tiny pair). Odd."


def test_a_run_without_verdicts_begins_with_that():
    made = document(entry(verdict="error", judgement=None), pair="mine", description="")
    assert text_of(sections.result(made)) == f"No verdict on any of {len(built_in())} claims on the pair mine."


def test_the_boxes_are_the_three_verdicts_and_whatever_else_there_is():
    counts = document(entry(), entry(id="K1", claim="K1", verdict="error", judgement=None))["summary"]
    said = f"1 supported 0 refuted 0 inconclusive 1 error {len(built_in()) - 2} not run"
    assert text_of(sections.boxes(counts)) == said


def test_claims_stand_under_the_heading_of_their_family_in_the_order_of_the_document():
    made = document(entry(), entry(id="L1", family="layers"), entry(id="K1", verdict="refuted"))
    bodies = claims.table(made).split("<tbody")[1:]
    assert [re.findall("<h3>(.*?)</h3>|id=.claim-([A-Z0-9]+)", body)[0] for body in bodies] == [
        ("Counts", ""), ("", "Q1"), ("", "K1"), ("Layers", ""), ("", "L1"),
    ]  # fmt: skip
    assert text_of(bodies[0]).endswith("Counts 1 supported, 1 refuted; level 0.01 for each")


@pytest.mark.parametrize(
    "changes",
    [
        {"verdict": "inconclusive", "judgement": undecided("too few").as_dict(), "reason": ""},
        {"verdict": "skipped", "judgement": None, "reason": "too few"},
    ],
)
def test_a_claim_without_a_subject_is_one_folded_line_with_its_reason(parsed, changes):
    html = claims.table(document(entry(statement="counts fall", known="", **changes), entry(id="K1")))
    rows, line = html.split('<tbody id="claim-Q1"')  # after the claims of its family that have an estimate
    assert 'id="claim-K1"' in rows
    assert line.startswith(' class="folded"')
    summary = line.split("</summary>")[0]
    assert text_of(summary.partition(">")[2]) == f"Q1 counts fall {changes['verdict']} too few"
    assert "data-order" not in line
    assert [tag for tag, _ in parsed(html)].count("details") == 2


@pytest.mark.parametrize(("half_widths", "said"), [(10, "+10"), (10.1, "&gt; 10"), (-101, "&lt; -10"), (-2.57, "-2.6")])
def test_a_distance_beyond_ten_half_widths_is_no_number(half_widths, said):
    made = entry() | {"half_widths": half_widths}
    row = claims.row(made, 0, document()["settings"])
    assert f'<td data-label="Distance">{said}</td>' in row
    assert f'data-distance="{half_widths}"' in row


@pytest.mark.parametrize(("verdict", "said"), [("refuted", "known"), ("supported", "holds now")])
def test_that_a_verdict_was_expected_is_a_chip_and_its_reason_is_folded(verdict, said):
    made = entry(known="since so", verdict=verdict)
    chip, folded = claims.row(made, 0, document()["settings"]).split("<details>")
    assert text_of(chip).endswith(f"{verdict} {said}")
    assert "since so" in text_of(folded)


def test_parts_of_a_claim_share_a_plot_where_rule_and_unit_agree():
    parts = [assess([1.0, 2.0, 3.0], unit=unit, label=f"part {i}").at_most(9) for i, unit in enumerate("aab")]
    html = claims.details(
        entry(judgement=all_of([*parts, unjudged("rest", "too few")]).as_dict()), document()["settings"]
    )
    plots = re.findall(r'<svg class="forest".*?</svg>', html)
    assert [plot.count("<circle") for plot in plots] == [2, 1]
    assert [re.findall(">(part [0-9])<", plot) for plot in plots] == [["part 0", "part 1"], ["part 2"]]
    assert "<li>rest: inconclusive, too few</li>" in html


def test_a_series_is_a_grid_of_claims_and_steps(parsed):
    early = entry(id="Q1@step5", label="step5", verdict="refuted", known="")
    broken = entry(id="Q1@step9", label="step9", verdict="error", judgement=None, known="", reason=EVIL)
    steps = {"drope@step5": 5, "drope@step7": 7, "drope@step9": 9, "drope": 12}
    html = claims.series(document(entry(), early, broken, entry(id="K1", claim="K1"), steps=steps))
    assert re.findall('<th scope="col">(.*?)</th>', html) == ["step", "5", "7", "9", "12"]
    cells = [(attrs.get("class", ""), attrs["title"]) for tag, attrs in parsed(html) if tag == "td"]
    assert [kind for kind, _ in cells] == ["verdict refuted", "", "verdict error", "verdict supported"]
    assert cells[0][1].startswith("step 5: refuted, 2 [")
    assert [title for _, title in cells[1:3]] == ["step 7: not run", f"step 9: error, {EVIL}"]
    assert "S supported, R refuted, E error" in html
    assert "K1" not in html


def test_without_earlier_checkpoints_there_is_no_grid():
    assert claims.series(document(entry())) == ""


def test_hashes_have_eight_digits_and_are_whole_on_hovering():
    digits = "0123456789abcdef" * 4
    assert text_of(sections.short(f"sha256:{digits}")) == "01234567"
    assert f'title="sha256:{digits}"' in sections.short(f"sha256:{digits}")
    assert sections.short("step 0123456789") == "step 0123456789"


def test_paths_below_the_working_directory_are_relative(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert sections.short(f"pretrained={tmp_path}/a/b,rope=off") == "pretrained=a/b,rope=off"
    for other in (f"{tmp_path}2/a", f"/elsewhere{tmp_path}/a", "meta-llama/Llama-2-7b-hf"):
        assert sections.short(other) == other


def test_figures_stand_under_their_groups_and_those_not_drawn_in_one_folded_line(parsed):
    found = {
        "counts": ("<svg/>", "Bars"),
        "loss_over_steps": ("<svg/>", "Loss"),
        "sites": ("", "Sites: not drawn, since"),
    }
    html = figures.gallery(found)
    assert re.findall('<h3>(.*?)</h3>|<figure id="(.*?)"', html) == [
        ("Counts", ""), ("", "figure-counts"), ("Recalibration", ""), ("", "figure-loss_over_steps"),
    ]  # fmt: skip
    assert html.count("<img") == 2
    assert [attrs["id"] for tag, attrs in parsed(html) if tag == "li"] == ["figure-sites"]
    assert "Not drawn: sites" in text_of(html.split("<details>")[1])


def test_what_the_marks_mean_is_drawn_and_folded(parsed):
    html = sections._how_to_read(document()["settings"])
    assert [tag for tag, _ in parsed(html)].count("svg") == len(KEY)
    assert html.startswith('<details class="how"><summary>How to read this</summary>')


def test_arms_may_know_different_libraries():
    html = sections._provenance({"rope": ORIGIN, "drope": ORIGIN | {"versions": {"torch": "2", "scipy": "1.17"}}})
    assert '<td data-label="scipy">not recorded</td>' in html
    assert '<td data-label="scipy">1.17</td>' in html


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
        ("", "tokens of each text. The unit of replication", False),
    ],
)
def test_the_page_says_how_experiment_2_was_made_and_warns_where_it_leaks(protocol, said, leaks):
    made = document(protocol=protocol, controls=10)
    assert re.search(said, sections._how_to_read(made["settings"]))
    banners = [text_of(banner) for banner in sections._banners(made) if "Protocol" in banner]
    assert banners == ["Protocol africa2026 (chosen on the texts that are scored: leaks)."] * leaks


def test_a_document_from_before_there_were_protocols_is_of_the_default_one():
    assert "protocol held-out" in sections._how_to_read(document()["settings"])


def test_a_missing_bos_must_not_be_overlooked():
    facts = {"adds_bos": False, "bos_token": "<bos>", "expects_bos": "<bos>", "gain_of_bos": 2.7}
    made = document() | {"arms": {"rope": {"tokenizer_facts": facts}}}
    banners = [text_of(banner) for banner in sections._banners(made)]
    assert any("rope: texts are read without the BOS token &lt;bos&gt; that" in banner for banner in banners)


def test_a_smoke_run_says_so():
    banner = '<p class="stopped smoke">Smoke run (--limit): nothing can be supported.</p>'
    assert banner in sections._banners(document(limit=1))
    assert "Smoke: the claim is not refuted" in sections._how_to_read(document(limit=1)["settings"])
    assert "Smoke: " not in sections._how_to_read(document()["settings"])
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
def test_the_page_of_a_7b_model_stays_below_1_5_mb():
    values, losses = study_counts(), study_losses()
    pictures = draw({"massive_values": values, "disruption": losses})
    every = [entry(id=claim, claim=claim) for claim in built_in()]
    made = document(*every) | {"heat_maps": heat_maps(values)}
    size = sum(map(len, sections.build(made, pictures)))
    assert 500_000 < size < 1_300_000  # the rest is pytest-html's own
