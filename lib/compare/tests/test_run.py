import dataclasses
import json
import re
import subprocess
import sys
from html import escape
from html.parser import HTMLParser
from pathlib import Path

import pytest

from lib.compare import run
from lib.compare.page import page
from lib.definitions import write_whole
from lib.definitions.words import OUTCOMES
from lib.judging.verdicts import assess, undecided
from lib.reporting import documents

pytestmark = pytest.mark.cpu

EVIL = "<img src=x onerror=alert(1)>"
REFUTED = assess([10, 11, 9.5, 10.2], unit="%", alpha=0.01).at_most(-30)
SUPPORTED = assess([-50, -51, -49.5, -50.2], unit="%", alpha=0.01).at_most(-30)
NOTHING = undecided("nothing is massive")
ARM = {"pretrained": "m", "identity": "abc", "dtype": "bfloat16", "quantization": "none", "device": "cuda"}
ARM |= {"position_change": 0.0, "versions": {"torch": "2.13.0"}}


def entry(claim="Q1", judgement=REFUTED, *, label=None, verdict=None, **changes):
    judged = None if judgement is None else json.loads(json.dumps(judgement.as_dict()))
    plain = dict.fromkeys(("how", "source", "published", "known", "reason", "refutation", "by_how_much", "figure"), "")
    plain |= {"training": False, "scope": None}
    plain |= dict.fromkeys(("published_estimate", "half_widths", "counterexample"))
    plain |= {"id": f"{claim}@{label}" if label else claim, "claim": claim, "label": label, "family": "counts"}
    plain |= {"statement": "query loses values", "alpha": 0.01, "texts": "count", "judgement": judged}
    return {**plain, "verdict": verdict or judgement.verdict, **changes}


def document(*claims, arms=None, settings=None, **changes):
    texts = {"source": "a.jsonl", **{r: [{"name": r[0], "kind": "k", "hash": r}] for r in ("count", "score")}}
    made = {"threshold": 5.0, "scope": "layer", "site": "projection", "max_tokens": 128, "controls": 10, "seed": 0}
    made |= {"pair": "p", "description": "", "note": "", "arms": {"drope": "pretrained=m"}, "steps": {}}
    made |= {"device": "cuda", "limit": None, "texts": texts, **(settings or {})}
    plain = {
        "schema": documents.SCHEMA,
        "kind": "measured",
        "finished": "2026-01-31T12:00:00+00:00",
        "command": "",
        "stopped": "",
        "faults": {},
        "not_asked": {},
    }
    plain |= {"summary": dict.fromkeys(("registered", *OUTCOMES), 0), "arms": {"drope": {**ARM, **(arms or {})}}}
    plain |= {"registered": list(dict.fromkeys(claim["claim"] for claim in claims))}
    return {**plain, "settings": made, "claims": list(claims), **changes}


def made(*found, **named):
    """The page of documents called a, b, .. or as named."""
    runs = dict(zip("abcdef", found, strict=False)) | named
    return page(runs, run.warnings(runs), run.differing(runs))


def rows(html):
    """The rows of all tables: their class and their text by label."""
    found = re.findall(r"<tr( class=\"differs\")?>(.*?)</tr>", html, re.DOTALL)
    cells = [
        (bool(mark), dict(re.findall(r'<td data-label="([^"]*)">(.*?)</td>', row, re.DOTALL))) for mark, row in found
    ]
    return {re.sub("<[^>]*>", "", cell["Claim"]).split()[0]: (mark, cell) for mark, cell in cells if "Claim" in cell}


def test_a_cell_has_the_verdict_as_a_word_and_the_estimate():
    _, cells = rows(made(document(entry()), document(entry("Q1", SUPPORTED))))["Q1"]
    assert cells["a"].startswith('<span class="verdict refuted">refuted</span>')
    assert cells["b"].startswith('<span class="verdict supported">supported</span>')
    assert re.search(r"10.18 \[[\d.]+, [\d.]+\] %", cells["a"])
    assert re.search(r"-50.17 \[-[\d.]+, -[\d.]+\] %", cells["b"])
    assert "needed &lt;= -30" in cells["Claim"]


@pytest.mark.parametrize(
    ("judgement", "verdict", "reason", "text"),
    [(NOTHING, None, "", "nothing is massive"), (None, "skipped", "no series", "no series"), (None, "error", "x", "x")],
)
def test_a_claim_without_an_estimate_says_why(judgement, verdict, reason, text):
    _, cells = rows(made(document(entry("Q1", judgement, verdict=verdict, reason=reason)), document(entry())))["Q1"]
    assert f"<small>{text}</small>" in cells["a"]
    assert cells["Intervals"].count("<circle") == 1


def test_a_row_is_marked_when_verdicts_differ_and_only_then():
    found = rows(made(document(entry(), entry("K1")), document(entry(), entry("K1", SUPPORTED)), document(entry())))
    assert [found[claim][0] for claim in ("Q1", "K1")] == [False, True]
    assert "verdicts differ" in found["K1"][1]["Claim"]
    assert '<span class="verdict not-run">not run</span>' in found["K1"][1]["c"]


@pytest.mark.parametrize(
    ("a", "b", "differs"),
    [
        (entry(), None, True),
        (entry(), entry("Q1", None, verdict="skipped"), True),
        (None, entry("Q1", None, verdict="skipped"), False),
        (entry(label="step5"), None, False),
        (entry(label="step5"), entry("Q1", SUPPORTED, label="step5"), True),
        (entry("Q1", NOTHING), entry("Q1", None, verdict="error"), True),
        (entry(), entry("Q1", NOTHING, verdict="smoke"), False),
        (entry("Q1", SUPPORTED, verdict="smoke"), None, False),
    ],
)
def test_which_verdicts_differ(a, b, differs):
    runs = {"a": document(*filter(None, [a])), "b": document(*filter(None, [b]))}
    assert bool(run.differing(runs)) is bool(run.differing(dict(reversed(runs.items())))) is differs


def test_a_claim_that_one_run_has_no_arm_for_is_no_difference():
    runs = {"a": document(entry()), "b": document(not_asked={"Q1": "no --drope"})}
    assert run.differing(runs) == set()
    assert "not asked" in rows(made(**runs))["Q1"][1]["b"]
    assert run.summary(runs)[-1] == "0 of 1 claims have verdicts that differ in 2 runs"
    runs["b"] = document()
    assert run.differing(runs) == {"Q1"}


def test_a_difference_between_the_last_two_of_three_runs_is_one():
    runs = {"a": document(), "b": document(entry(label="s")), "c": document(entry("Q1", SUPPORTED, label="s"))}
    assert run.differing(runs) == {"Q1@s"}


def test_all_intervals_are_on_one_axis_with_the_threshold():
    _, cells = rows(made(document(entry()), document(entry("Q1", SUPPORTED)), document(entry())))["Q1"]
    assert cells["Intervals"].count("<svg") == 1
    assert cells["Intervals"].count("<circle") == 3
    assert cells["Intervals"].count('class="threshold"') == 1
    assert 'aria-label="Q1, a, b, c; ' in cells["Intervals"]


def test_another_rule_has_another_axis_that_names_its_runs():
    other = assess([1.0, 2.0, 3.0], unit="points", label="key - query").above(0)
    _, cells = rows(made(document(entry()), document(entry("Q1", other)), document(entry())))["Q1"]
    assert cells["Intervals"].count("<svg") == 2
    assert "<small>a, c</small>" in cells["Intervals"]
    assert "<small>b: key - query</small>" in cells["Intervals"]
    assert "needed &lt;= -30 or &gt; 0" in cells["Claim"]


def test_earlier_checkpoints_stand_in_a_table_of_their_own():
    html = made(document(entry(), entry(label="step5")), document(entry()))
    last, early = html.split("<h2>Earlier checkpoints</h2>")
    assert "Q1@step5" not in last
    assert set(rows(early)) == {"Q1@step5"}
    assert "Earlier checkpoints" not in made(document(entry()), document(entry()))


@pytest.mark.parametrize(
    ("change", "key", "values"),
    [
        ({"settings": {"threshold": 6.5}}, "threshold", ("5", "6.5")),
        ({"settings": {"max_tokens": 64}}, "max tokens", ("128", "64")),
        ({"settings": {"arms": {"drope": "pretrained=n"}}}, "drope", ("pretrained=m", "pretrained=n")),
        ({"arms": {"dtype": "float16"}}, "drope: dtype", ("bfloat16", "float16")),
        ({"arms": {"quantization": "nf4"}}, "drope: quantization", ("none", "nf4")),
        ({"arms": {"identity": "xyz"}}, "drope: identity", ("abc", "xyz")),
        ({"arms": {"versions": {"torch": "2.14"}}}, "version of torch", ("2.13.0", "2.14")),
    ],
)
def test_what_differs_in_the_settings_stands_above_the_claims(change, key, values):
    above = made(document(entry()), document(entry(), **change)).split("<h2>Claims</h2>")[0]
    cells = "".join(f'<td data-label="{name}">{value}</td>' for name, value in zip("ab", values, strict=True))
    table, same = above.split("<details>")
    assert f"<tr><th>{key}</th>{cells}</tr>" in table
    assert table.count("<tr>") == 2
    assert not re.search(f"(<p>|; ){key} ", same)
    assert "scope layer; site projection" in same


def texts(**changes):
    own = document()["settings"]["texts"]
    return {"settings": {"texts": {**own, "count": [{**own["count"][0], **changes}]}}}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"settings": {"threshold": 6.0}}, "a was measured with threshold 5 and b with 6"),
        ({"settings": {"scope": "head"}}, "a was measured with scope layer and b with head"),
        ({"settings": {"site": "attention"}}, "a was measured with site projection and b with attention"),
        ({"settings": {"protocol": "jin2025"}}, "a was measured with protocol held-out and b with jin2025"),
        ({"settings": {"limit": 2}}, r"b is a smoke run \(--limit 2\)"),
        (texts(hash="other"), "the count text 'c' is another one in a and in b"),
        ({"kind": "published"}, "one is measured and one holds published figures"),
    ],
)
def test_runs_that_do_not_compare_have_a_warning(change, sentence):
    runs = {"a": document(entry()), "b": document(entry(), **change)}
    (said,) = run.warnings(runs)
    assert re.fullmatch(rf"b does not compare with a: {sentence}\.", said)
    assert f'<p class="stopped">{escape(said)}</p>' in made(*runs.values())
    assert run.summary(runs)[0] == f"warning: {said}"


@pytest.mark.parametrize("change", [{"arms": {"dtype": "float16"}}, texts(name="renamed"), {}])
def test_runs_that_compare_have_none(change):
    assert run.warnings({"a": document(entry()), "b": document(entry(), **change)}) == []


def test_a_run_that_was_stopped_is_said_to_be():
    assert run.warnings({"a": document(), "b": document(stopped="it still rotates")}) == [
        "b was stopped: it still rotates."
    ]


class Tags(HTMLParser):
    def __init__(self, html):
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))


def test_the_page_needs_no_script_and_no_network():
    html = made(document(entry(), entry(label="step5")), document(entry("Q1", SUPPORTED)))
    tags = Tags(html).tags
    assert not {"script", "link", "img", "iframe"} & {tag for tag, _ in tags}
    assert not re.search(r"https?:|@import|url\(", html)
    assert all("data-label" in attributes for tag, attributes in tags if tag == "td")
    assert ("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}) in tags
    assert "color-scheme: light dark" in html


def test_everything_from_outside_is_escaped():
    judged = assess([1.0, 2.0, 3.0], unit=EVIL, label=EVIL).at_most(9)
    odd = document(
        entry(EVIL, judged, statement=EVIL),
        entry("K1", None, verdict="error", reason=EVIL),
        entry(label=EVIL),
        stopped=EVIL,
        arms={"identity": EVIL, "dtype": EVIL, "versions": {EVIL: EVIL}},
        settings={"pair": EVIL, "arms": {EVIL: EVIL}, "scope": EVIL},
    )
    for html in (made(document(), **{EVIL: odd}), made(odd, odd), made(document(), odd)):
        assert EVIL not in html
        assert html.count("&lt;img") > 10
        assert not [tag for tag, _ in Tags(html).tags if tag == "img"]


def test_an_estimate_without_a_rule_is_drawn_without_a_threshold():
    alone = dataclasses.replace(REFUTED, rule="", limits=())
    html = made(document(entry("Q1", alone)), document(entry()))
    assert html.count("<svg") == 2
    assert html.count('class="threshold"') == 1


@pytest.fixture
def saved(tmp_path):
    def save(name, *claims, **changes):
        documents.write(tmp_path / name, document(*claims, **changes))
        return tmp_path / name

    return save


def test_the_command_writes_the_page_and_prints_what_differs(saved, tmp_path):
    files = [saved("a.json", entry(), entry("K1")), saved("b.json", entry("Q1", SUPPORTED), entry("K1"))]
    command = [sys.executable, "-m", "lib.compare", *files, "--out", tmp_path / "compare.html"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[3])
    assert done.returncode == 0
    first, *rest = done.stdout.splitlines()
    assert re.fullmatch(r"Q1: a refuted 10.18 \[.*\] %; b supported -50.17 \[.*\] %", first)
    assert rest == ["1 of 2 claims have verdicts that differ in 2 runs", f"the page is {tmp_path / 'compare.html'}"]
    assert (tmp_path / "compare.html").read_text().startswith("<!doctype html>")
    assert list(tmp_path.glob(".*")) == []


def test_a_forged_line_in_a_document_is_printed_as_what_it_is(saved, tmp_path, capsys):
    forged = entry("a\n\x1b[32mQ1: b supported")
    run.main([str(saved("a", forged)), str(saved("b")), "--out", str(tmp_path / "c.html")])
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert not [line for line in shown.splitlines() if line.startswith("Q1")]


def test_the_summary_counts_earlier_checkpoints_apart():
    early = entry(label="step5"), entry("Q1", SUPPORTED, label="step5")
    runs = {"a": document(entry(), early[0]), "b": document(entry(), early[1]), "c": document()}
    *_, last = run.summary(runs)
    assert last == "1 of 1 claims have verdicts that differ in 3 runs, and 1 of their earlier checkpoints"
    assert "; c not run" in run.summary(runs)[0]


def bad(tmp_path, saved):
    """What is wrong, the arguments, and what the sentence says."""
    a, b = saved("a.json"), saved("b.json")
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "old.json").write_text('{"schema": 0}')
    return {
        "one": ([a], "there is nothing to compare"),
        "twice": ([a, b, a], "a.json is named twice"),
        "missing": ([a, tmp_path / "none.json"], "none.json cannot be read"),
        "broken": ([a, tmp_path / "broken.json"], "broken.json is no report"),
        "old": ([a, tmp_path / "old.json"], "old.json has schema 0"),
        "out": ([a, b, "--out", tmp_path / "no" / "folder.html"], "folder.html cannot be written"),
        "folder": ([a, b, "--out", tmp_path], "cannot be written"),
    }


@pytest.mark.parametrize("what", ["one", "twice", "missing", "broken", "old", "out", "folder"])
def test_bad_input_gets_one_sentence_and_exit_code_2(saved, tmp_path, capsys, monkeypatch, what):
    monkeypatch.chdir(tmp_path)
    arguments, sentence = bad(tmp_path, saved)[what]
    assert run.main([str(argument) for argument in arguments]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert re.search(f"{sentence}[^\n]*\n$", said.err)
    assert said.err.count("\n") == 1
    assert not (tmp_path / "compare.html").exists()
    assert not [*tmp_path.glob(".*.tmp"), *tmp_path.parent.glob(".*.tmp")]


@pytest.mark.parametrize(
    "options", [["--out", "a.json"], ["--out", "c.html", "--table", "../{0}/b.json"], ["--table", "compare.html"]]
)
def test_no_output_takes_the_place_of_an_input_or_of_another_output(saved, tmp_path, capsys, monkeypatch, options):
    files = [saved("a.json", entry()), saved("b.json", entry())]
    before = [file.read_bytes() for file in files]
    monkeypatch.chdir(tmp_path)
    assert run.main([*map(str, files), *(option.format(tmp_path.name) for option in options)]) == 2
    assert "is read or written by this command already" in capsys.readouterr().err
    assert [file.read_bytes() for file in files] == before


@pytest.mark.parametrize(
    ("files", "names"),
    [
        (["a.json", "b.json"], ["a", "b"]),
        (["x/report.json", "y/report.json"], ["x/report", "y/report"]),
        (["x/report.json", "x/y/report.json"], ["x/report", "y/report"]),
        (["a.b.json", "a.c.json"], ["a.b", "a.c"]),
        (["a.json", "a"], None),
    ],
)
def test_a_run_is_called_by_as_much_of_its_path_as_tells_it_from_the_others(saved, tmp_path, files, names):
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        saved(file)
    found = list(run.read([tmp_path / file for file in files]))
    assert found == (names or [str(tmp_path / file) for file in files])


@pytest.mark.parametrize("option", ["--out", "--table"])
def test_an_empty_value_is_refused_and_nothing_is_written(tmp_path, monkeypatch, capsys, option):
    monkeypatch.chdir(tmp_path)
    write_whole(tmp_path / "a.json", json.dumps(document(entry())))
    write_whole(tmp_path / "b.json", json.dumps(document(entry())))
    assert run.main(["a.json", "b.json", option, ""]) == 2
    assert capsys.readouterr().err == f"{option} is empty: give it a value, or leave it out\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "b.json"]
