from copy import deepcopy
from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.compare.compatible import incompatible
from lib.compare.drift import compare

pytestmark = pytest.mark.cpu

LISTS = ("flips", "drifts", "one_sided", "asked_otherwise")


def judged(estimate=11.0, low=5.8, high=16.0, verdict="refuted", **changes):
    plain = {"verdict": verdict, "rule": "<= -30", "limits": [-30.0], "estimate": estimate, "low": low, "high": high}
    plain |= {"alpha": 0.01, "n": 20, "unit": "% per text", "reason": "", "label": "", "note": "", "values": []}
    return {**plain, "parts": [], **changes}


def entry(claim="Q1", *, verdict="refuted", label=None, reason="", statement="query loses values", **changes):
    judgement = None if verdict in ("error", "skipped", "not run") else judged(verdict=verdict, **changes)
    named = {"id": f"{claim}@{label}" if label else claim, "claim": claim, "label": label, "statement": statement}
    return {**named, "verdict": verdict, "reason": reason, "judgement": judgement}


def document(*claims, **changes):
    texts = {"source": "a.jsonl", **{r: [{"name": r[0], "kind": "k", "hash": r}] for r in ("count", "score")}}
    settings = {"threshold": 5.0, "scope": "layer", "site": "projection", "max_tokens": 128, "controls": 10}
    settings |= {"limit": None, "texts": texts}
    return {"kind": "measured", "stopped": "", "settings": settings, "claims": list(claims), **changes}


def found(old, new, **tolerance):
    """The name of the list that the one claim is in, or "same"; and its item."""
    result = compare(document(*([old] if old else [])), [new] if new else [], tolerance)
    names = [name for name in LISTS if result[name]]
    assert len(result["sentences"]) == len(names) == 1 - result["same"]
    return (names[0], result[names[0]][0]) if names else ("same", None)


def undecided(reason="nothing is massive"):
    """Inconclusive before any arithmetic, as `lib.judging.undecided` leaves it."""
    nothing = dict.fromkeys(("estimate", "low", "high", "alpha")) | {"n": 0, "unit": "", "rule": "", "reason": reason}
    return entry(verdict="inconclusive") | {"judgement": judged(verdict="inconclusive", **nothing)}


def test_a_claim_with_another_verdict_is_a_flip_in_one_sentence():
    kind, item = found(entry(), entry(verdict="supported", estimate=-41.0, low=-44.0, high=-38.0))
    assert kind == "flips"
    assert item["sentence"] == (
        "Q1 (query loses values): was refuted, 11 [5.8, 16] % per text; now supported, -41 [-44, -38] % per text"
    )
    assert item["old"] == {"verdict": "refuted", "estimate": 11.0, "low": 5.8, "high": 16.0}
    assert item["new"] == {"verdict": "supported", "estimate": -41.0, "low": -44.0, "high": -38.0}
    assert (item["id"], item["unit"]) == ("Q1", "% per text")


@pytest.mark.parametrize("old", ["supported", "inconclusive", "not decidable"])
def test_every_change_of_a_verdict_is_a_flip(old):
    assert found(entry(verdict=old), entry())[0] == found(entry(), entry(verdict=old))[0] == "flips"


@pytest.mark.parametrize("old", ["refuted", "error"])
def test_a_claim_that_breaks_is_a_flip_with_its_reason(old):
    kind, item = found(entry(verdict=old), entry(verdict="error", reason="the test broke"))
    assert kind == "flips"
    assert "now error (the test broke)" in item["sentence"]
    assert item["new"]["estimate"] is None


# half-widths that face each other: 3 above the old estimate, 4 below the new one; together 5
@pytest.mark.parametrize(("distance", "kind"), [(4.99, "same"), (5.01, "drifts"), (-8.59, "same"), (-8.61, "drifts")])
def test_an_effect_drifts_when_it_moves_further_than_both_intervals(distance, kind):
    old = entry(estimate=100.0, low=93.0, high=103.0)
    new = entry(estimate=100.0 + distance, low=96.0 + distance, high=105.0 + distance)  # downwards: hypot(7, 5) = 8.6
    assert found(old, new)[0] == kind


def test_a_drift_says_from_where_to_where_and_what_was_allowed():
    _, item = found(entry(estimate=10.0, low=7.0, high=13.0), entry(estimate=30.0, low=26.0, high=34.0), Q1=2.0)
    assert item["sentence"] == (
        "Q1 (query loses values): refuted as before, but it drifted from 10 [7, 13] % per text to 30 [26, 34] % per "
        "text, further than both intervals, 5 and the tolerance 2"
    )


def test_a_drift_of_little_is_written_with_all_its_digits():
    exact = {"low": None, "high": None}
    old, new = entry(estimate=1.0, low=1.0, high=1.0), entry(estimate=1.000001, low=1.000001, high=1.000001)
    assert "from 1 [1, 1] % per text to 1.000001 [1.000001" in found(old, new)[1]["sentence"]
    assert found(entry(estimate=1.0, **exact), entry(estimate=9.0, **exact))[0] == "same"


@pytest.mark.parametrize(("tolerance", "kind"), [(14.9, "drifts"), (15.1, "same")])
@pytest.mark.parametrize("label", [None, "step500"])
def test_a_claims_tolerance_is_added_in_its_unit_at_every_checkpoint(tolerance, kind, label):
    old, new = (entry(label=label, estimate=x, low=x - 3, high=x + 4) for x in (0.0, 20.0))
    assert found(old, new, Q1=tolerance)[0] == kind
    assert found(old, new, K1=100.0)[0] == "drifts"


@pytest.mark.parametrize(("step", "kind"), [(1e-10, "same"), (1e-8, "drifts")])
def test_rounding_is_no_drift(step, kind):
    old, new = (entry(estimate=x, low=x, high=x) for x in (1000.0, 1000.0 * (1 + step)))
    assert found(old, new)[0] == kind


@pytest.mark.parametrize(("missing", "kind"), [("low", "same"), ("high", "drifts")])
def test_a_missing_bound_makes_no_drift_on_its_side(missing, kind):
    new = entry(**{"estimate": 90.0, "low": 80.0, "high": 95.0, missing: None})
    assert found(entry(), new)[0] == found(new, entry())[0] == kind


def test_an_estimate_on_one_side_only_is_a_drift():
    assert found(undecided(), undecided("nothing at all"))[0] == "same"
    kind, item = found(undecided(), entry(verdict="inconclusive"))
    assert (kind, item["old"]["estimate"]) == ("drifts", None)
    assert "had no estimate and has 11 [5.8, 16] % per text" in item["sentence"]
    kind, item = found(entry(verdict="inconclusive"), undecided())
    assert (kind, item["unit"]) == ("drifts", "% per text")
    assert "it had 11 [5.8, 16] % per text and has no estimate (nothing is massive)" in item["sentence"]


def several(telling, **parts):
    """A claim of several rules; parts by label: an estimate, or what else differs."""
    made = {k: judged(**{"label": k, **(v if isinstance(v, dict) else {"estimate": v})}) for k, v in parts.items()}
    wide = {k: {**p, "low": p["estimate"] - 1, "high": p["estimate"] + 1} for k, p in made.items()}
    return entry() | {"judgement": {**wide[telling], "parts": list(wide.values())}}


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [
        (several("a", a=5, b=4), several("b", a=4, b=5), "same"),
        (several("a", a=50, b=4), several("b", a=4, b=5), "drifts"),
        (several("a", a=5, b=4), several("c", a=5, c=99), "same"),
        (several("a", a=5, b={"rule": "< 0", "estimate": 4}), several("b", a=5, b=4), "asked_otherwise"),
        (several("a", a=5, b=4), several("a", a=50, b=4), "drifts"),
    ],
)
def test_a_claim_of_several_rules_is_compared_part_by_part_when_another_part_is_telling(old, new, kind):
    assert found(old, new)[0] == kind


def test_of_several_parts_the_one_that_drifted_most_is_named():
    _, item = found(several("a", a=9, b=4, c=1), several("b", a=2, b=90, c=1))
    assert "from b: 4 [3, 5] % per text to b: 90 [89, 91] % per text" in item["sentence"]
    assert "and 1 other part moved as well" in item["sentence"]
    assert (item["part"], item["old"]["estimate"], item["new"]["estimate"]) == ("b", 4, 90)


@pytest.mark.parametrize("absent", [None, "skipped", "not run"])
def test_a_claim_that_only_one_run_judged_is_listed_with_its_reason(absent):
    missing = absent and entry(verdict=absent, reason="no series")
    (kind, item), (other, back) = found(entry(), missing), found(missing, entry())
    assert kind == other == "one_sided"
    assert "was refuted, 11 [5.8, 16] % per text; it is not judged in this run" in item["sentence"]
    assert "is refuted, 11 [5.8, 16] % per text; it is not judged in the baseline" in back["sentence"]
    assert (item["new"], back["old"]) == (None, None)
    assert [f"({absent}: no series)" in text for text in (item["sentence"], back["sentence"])] == [bool(absent)] * 2


def test_a_claim_that_neither_run_judged_is_nothing():
    result = compare(document(entry(verdict="skipped")), [entry(verdict="not run")], {})
    assert (result["same"], result["sentences"]) == (0, [])


def test_an_earlier_checkpoint_that_only_one_run_has_is_left_out():
    old, new = document(entry(), entry(label="step500")), [entry(), entry(label="step900", verdict="supported")]
    assert compare(old, new, {})["sentences"] == []
    assert found(entry(label="step500"), entry(label="step500", verdict="supported"))[0] == "flips"


@pytest.mark.parametrize(
    "change", [{"rule": "<= -40"}, {"unit": "nats"}, {"alpha": 0.005}, {"n": 19}, {"label": "other"}]
)
@pytest.mark.parametrize("verdict", ["refuted", "supported"])
def test_a_claim_that_was_asked_otherwise_does_not_compare(change, verdict):
    kind, item = found(entry(), entry(verdict=verdict) | {"judgement": judged(**change)})
    assert kind == "asked_otherwise"
    assert f"asked otherwise, with {next(iter(change))} " in item["sentence"]
    assert "was refuted, 11 [5.8, 16] % per text; now " in item["sentence"]


@pytest.mark.parametrize("number", [nan, inf, -inf])
@pytest.mark.parametrize("key", ["estimate", "low", "high", "alpha"])
def test_a_number_that_is_not_finite_is_an_error_and_no_pass(number, key):
    broken = entry(**{key: number})
    with pytest.raises(ValueError, match=f"Q1 has a value that is not a finite number .{key}."):
        compare(document(entry()), [broken], {})
    with pytest.raises(ValueError, match="not a finite number"):
        compare(document(broken), [], {})
    assert "not a finite number" in incompatible(document(broken), document()["settings"])
    parts = several("a", a=1) | {"verdict": "refuted"}
    parts["judgement"]["parts"][0][key] = number
    with pytest.raises(ValueError, match="not a finite number"):
        compare(document(parts), [entry()], {})


@pytest.mark.parametrize("tolerance", [nan, inf, -1.0])
def test_a_tolerance_that_is_no_number_is_an_error(tolerance):
    with pytest.raises(ValueError, match="the tolerance of Q1 must be a finite number"):
        compare(document(), [], {"Q1": tolerance})


numbers = st.floats(-1e6, 1e6)
widths = st.none() | st.floats(0, 1e6)
VERDICTS = ("supported", "refuted", "inconclusive")


@st.composite
def judgements(draw, **fixed):
    x, below, above = draw(numbers), draw(widths), draw(widths)
    ends = {"low": None if below is None else x - below, "high": None if above is None else x + above}
    return judged(estimate=x, **ends, **fixed)


@st.composite
def entries(draw, claim="Q1"):
    absent = draw(st.sampled_from(["skipped", "not run", ""]))
    if absent:
        return entry(claim, verdict=absent)
    verdict, parts = draw(st.sampled_from(VERDICTS)), [draw(judgements(label=name)) for name in ("a", "b")]
    alone = draw(judgements(verdict=verdict)) | {"alpha": draw(st.floats(1e-6, 0.05))}
    telling = draw(st.sampled_from(parts)) | {"parts": parts}
    label = draw(st.sampled_from([None, "step5"]))
    return entry(claim, label=label) | {"verdict": verdict, "judgement": draw(st.sampled_from([alone, telling]))}


@given(st.lists(entries(), max_size=1), st.lists(entries("K1"), max_size=1))
def test_a_run_compared_with_itself_is_the_same(first, second):
    claims = [*first, *second]
    result = compare(document(*claims), deepcopy(claims), {})
    assert result["sentences"] == []
    assert result["same"] == sum(e["judgement"] is not None for e in claims)


@given(judgements(), judgements(), st.floats(0, 100))
def test_drifts_are_the_same_in_both_directions(one, other, tolerance):
    a, b = (entry() | {"judgement": judgement} for judgement in (one, other))
    assert found(a, b, Q1=tolerance)[0] == found(b, a, Q1=tolerance)[0]


@given(judgements(), judgements(), st.floats(1, 1e6))
def test_what_moves_further_is_not_overlooked(one, other, further):
    a, b = (entry() | {"judgement": judgement} for judgement in (one, other))
    way = further if other["estimate"] >= one["estimate"] else -further
    moved = {key: other[key] if other[key] is None else other[key] + way for key in ("estimate", "low", "high")}
    if found(a, b)[0] == "drifts":
        assert found(a, entry(**moved))[0] == "drifts"


@given(judgements(), judgements(), st.floats(0, 1e6), st.sampled_from(["low", "high"]), st.booleans())
def test_a_wider_interval_makes_no_drift(one, other, more, end, first):
    a, b = (entry() | {"judgement": judgement} for judgement in (one, other))
    wide = dict(one if first else other)
    wide[end] = None if wide[end] is None else wide[end] + (more if end == "high" else -more)
    pair = (entry() | {"judgement": wide}, b) if first else (a, entry() | {"judgement": wide})
    if found(a, b)[0] == "same":
        assert found(*pair)[0] == "same"


def test_the_same_settings_compare():
    assert incompatible(document(entry()), document()["settings"]) == ""


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("threshold", 6.5, "threshold 5 and this run with 6.5"),
        ("scope", "head", "scope layer and this run with head"),
        ("site", "attention", "site projection and this run with attention"),
        ("protocol", "africa2026", "protocol held-out and this run with africa2026"),
        ("max_tokens", 64, "max_tokens 128 and this run with 64"),
        ("controls", 99, "controls 10 and this run with 99"),
        ("limit", 2, "this run is a smoke run .--limit 2."),
    ],
)
def test_the_first_setting_that_differs_is_named(key, value, sentence):
    with pytest.raises(AssertionError, match=sentence):
        assert not incompatible(document(entry()), {**document()["settings"], key: value})


@pytest.mark.parametrize("role", ["count", "score"])
@pytest.mark.parametrize(
    ("texts", "sentence"),
    [
        (
            [{"name": "n", "kind": "k", "hash": "other"}],
            "the {role} text 'n' is another one in the baseline and in",
        ),
        ([{"name": "n", "kind": "odd", "hash": None}], "the {role} text 'n' is another one"),
        ([], "this run lacks the {role} text"),
        ([None, {"name": "more", "kind": "k", "hash": "h"}], "the baseline lacks the {role} text 'more'"),
    ],
)
def test_the_first_text_that_differs_is_named(role, texts, sentence):
    settings = document()["settings"]
    (own,) = settings["texts"][role]
    new = [own if text is None else {**text, "hash": text["hash"] or own["hash"]} for text in texts]
    said = incompatible(document(), {**settings, "texts": {**settings["texts"], role: new, "source": "b"}})
    assert sentence.format(role=role) in said
    assert said.endswith("(texts of the baseline: a.jsonl, of this run: b)")


def test_texts_that_were_moved_or_renamed_are_the_same():
    settings = document()["settings"]
    renamed = {r: [{**settings["texts"][r][0], "name": "renamed"}] for r in ("count", "score")}
    assert incompatible(document(), {**settings, "texts": {**renamed, "source": "elsewhere.jsonl"}}) == ""


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"kind": "published"}, "published figures"),
        ({"stopped": "it still rotates"}, r"was stopped \(it still rotates\)"),
        ({"claims": [entry(verdict="error")]}, "Q1 broke in the run"),
        ({"settings": {**document()["settings"], "limit": 3}}, r"smoke run \(--limit 3\)"),
    ],
)
def test_what_is_no_baseline_is_refused(change, sentence):
    with pytest.raises(AssertionError, match=sentence):
        assert not incompatible(document(**change), document()["settings"])


TASK = {"name": "recall", "knowledge": "contextual", "items": 60, "hash": "a"}


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ([TASK], [TASK], ""),
        ([TASK], [], ""),  # one of them is older than tasks
        ([TASK], [{**TASK, "items": 70}], "the items of the task 'recall' are others in the baseline and in this run"),
        ([TASK], [{**TASK, "hash": "b"}], "the items of the task 'recall' are others in the baseline and in this run"),
        ([TASK], [TASK, {**TASK, "name": "copying"}], "the baseline was not asked the task 'copying'"),
        ([TASK, {**TASK, "name": "copying"}], [TASK], "this run was not asked the task 'copying'"),
    ],
)
def test_answers_to_other_items_are_not_compared(old, new, said):
    before, settings = document(), document()["settings"]
    before["settings"] = {**settings, "tasks": old}
    assert incompatible(before, {**settings, "tasks": new}) == said
