import pytest

from lib.judging import mean, ratio
from lib.judging.verdicts import assess, undecided
from lib.published.reading import read
from lib.reporting import tables

pytestmark = pytest.mark.cpu

CLAIMS = ["Q1", "K1", "V1"]
STEPS = {"drope@step5": 5, "drope": 10}
ENDLESS = ratio([1.0, -2, 3, 1, -1, 2, 0, 1], [1.0, -1, 2, -2, 1, 0.5, 0, 1])
"""A ratio whose denominator may be zero."""
LOST = assess(mean([-38.0, -39.0, -40.0]).if_normal, unit="%", alpha=0.01).at_most(-30)


def entry(claim="Q1", label=None, judgement=LOST, **changes):
    found = {"id": f"{claim}@{label}" if label else claim, "claim": claim, "label": label, "statement": "query loses"}
    found |= {"published": "-38.9 %", "known": "", "reason": ""}
    return {**found, "verdict": judgement.verdict, "judgement": judgement.as_dict(), **changes}


def by_id(*entries):
    return {entry["id"]: entry for entry in entries}


def test_a_run_has_a_line_for_each_claim_in_order_and_counts_its_outcomes():
    results = by_id(entry("K1", judgement=undecided("none massive")), entry(known="for a reason"))
    first, second, last = tables.of_run(CLAIMS, results, {})
    assert first.split() == (
        ["Q1", "supported", "(known)", "-39", "[-43.02,", "-34.98]", "needs", "<=", "-30", "query", "loses"]
    )
    assert second.split() == ["K1", "inconclusive", "query", "loses", "(none", "massive)"]
    assert last == "1 supported, 1 inconclusive, 1 not run of 3 registered claims"


@pytest.mark.parametrize(
    ("values", "options", "verdict", "told"),
    [
        ([-38.0] * 20, {"distinct": 20}, "supported", " (20 of 20 texts, sign test p = 9.5e-07)"),
        ([-38.0] * 20, {}, "inconclusive", "counts as n = 1)"),
        ([-38.0, -39.0], {}, "smoke", " query loses"),
        (ENDLESS, {}, "inconclusive", " (8 texts are too few, or too unlike, for an interval at this level)"),
        ([-38.0, -20.0, -39.0, -30.0, -31.0], {}, "inconclusive", " query loses"),
    ],
)
def test_a_verdict_that_its_figures_do_not_show_says_how_it_came_about(values, options, verdict, told):
    judged = assess(values, alpha=0.01, **options).at_most(-30)
    line, _ = tables.of_run(CLAIMS[:1], by_id(entry(judgement=judged, verdict=verdict)), {})
    assert line.endswith(told)


def test_a_claim_that_broke_says_why():
    broken = entry(judgement=undecided("")) | {"judgement": None, "verdict": "error", "reason": "the test broke"}
    assert next(tables.of_run(CLAIMS, by_id(broken), {})).endswith(" query loses (the test broke)")


def test_a_series_has_a_line_of_verdicts_by_step_for_each_claim_that_was_judged_at_several():
    results = by_id(entry(), entry("Q1", "step5", undecided("few")), entry("K1"))
    lines = list(tables.of_run(CLAIMS, results, STEPS))
    assert lines[2:5] == ["", "over the steps 5, 10:", f"{'Q1':<17} inconclusive, supported"]
    assert len(lines) == 6


def test_a_run_as_markdown_has_a_row_for_each_claim_that_ran():
    head, _, row = tables.markdown(CLAIMS, by_id(entry())).splitlines()
    assert head == "| id | claim | published | measured | needed | verdict |"
    assert row == "| Q1 | query loses | -38.9 % | -39 [-43, -35] | <= -30 | supported |"


def audit():
    return by_id(entry("Q1", "text"), entry("Q1", "stored", undecided("one figure")), entry("K1", "stored"))


def test_an_audit_as_markdown_has_a_cell_for_each_column():
    head, _, first, second = tables.audit_markdown(CLAIMS, audit()).splitlines()
    assert head == "| id | claim | needed | text | stored |"
    assert first == "| Q1 | query loses | <= -30 | supported -39 [-43.02, -34.98] | inconclusive |"
    assert second == "| K1 | query loses | <= -30 | not run | supported -39 [-43.02, -34.98] |"


def test_an_audit_has_verdicts_with_their_reasons_and_findings():
    figures = read("africa2026")
    assert tables.audit_header(figures)[1:] == [
        "text: what the write-up says",
        "stored: what the stored results hold",
    ]
    (verdicts, lines), (findings, found) = tables.of_audit(CLAIMS, audit(), figures)
    assert (verdicts, findings) == ("verdicts on the published figures", "findings")
    assert "inconclusive (one figure): Q1@stored" in lines
    assert lines[-2:] == [
        "text: 1 supported, 2 not run of 3 registered claims",
        "stored: 1 supported, 1 inconclusive, 1 not run of 3 registered claims",
    ]
    assert found[-1] == "359 of 408 compared figures agree"
