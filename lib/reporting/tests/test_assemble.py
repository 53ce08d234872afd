import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import lib.tasks
from fixtures.planted import records
from lib.checkpoints.arguments import ModelArguments
from lib.checkpoints.provenance import versions
from lib.definitions.words import NAMES, OUTCOMES
from lib.judging import mean
from lib.judging.verdicts import assess, undecided
from lib.reporting import documents
from lib.reporting.assemble import Run, assemble, counted, decided, settings_of
from lib.settings import Settings

pytestmark = pytest.mark.cpu

PLAIN = ("pretrained", "identity", "class", "dtype", "quantization", "attn_implementation", "device")
PROVENANCE = {**dict.fromkeys(PLAIN, "x"), "parameters": 1, "arguments": {"revision": None}, "versions": versions()}
PROVENANCE |= {"config": {}, "tokenizer": "t"}
STEPS = {"drope@step5": 5, "drope@step10": 10, "drope": 20}
SETTINGS = Settings(
    pair="p",
    description="",
    arms={"rope": ModelArguments("a"), "drope": ModelArguments("b"), "yarn": ModelArguments("a", rope="yarn:4")},
    device="cpu",
    max_tokens=8,
    threshold=5.0,
    scope="layer",
    site="attention",
    controls=2,
    records=Path("records"),
    note="n.",
)
SUPPORTED = assess(mean([1.0, 2.0, 3.0]).if_normal).at_most(9)
CELLS = [[5.0, "layer", "projection", True, "supported", -38.9], [5.0, "head", None, False, "inconclusive", None]]
MULTIVERSE = {
    "axes": {"threshold": [5.0], "scope": ["layer", "head"], "site": ["projection"], "first": [True, False]},
    "claims": {"Q1": {"cells": CELLS, "holds": 1, "of": 2, "own": None}},
}


def record(count, *, kv_heads=8, **changes):
    counts = dict.fromkeys(NAMES, np.full((3, 2), count))
    provenance = json.dumps({**PROVENANCE, **changes})
    return records.norms_record(counts, kv_heads=kv_heads).assign_attrs(provenance=provenance)


TAKEN = {
    "norms": {"drope": record(2), "rope": record(1)},
    "norms@projection": {"rope": record(5), "yarn": record(7)},
    "disruption": {arm: records.disruption_record(records.losses(1.0, (0.0, 0.0))) for arm in ("rope", "drope")},
}


def entry(claim="Q1", label=None, *, judgement=SUPPORTED, **changes):
    words = ("statement", "how", "source", "published", "known", "reason", "figure")
    found = {"id": f"{claim}@{label}" if label else claim, "claim": claim, "label": label, **dict.fromkeys(words, "")}
    found |= {"family": "counts", "alpha": 0.05, "texts": "count", "training": False, "verdict": "supported"}
    return {**found, "judgement": judgement and json.loads(json.dumps(judgement.as_dict())), **changes}


def by_id(*entries):
    return {entry["id"]: entry for entry in entries}


def run(*entries, claims=("Q1", "K1"), **changes):
    return Run(claims=claims, results=by_id(*entries), **{"settings": SETTINGS, **changes})


def measured(*entries, taken=TAKEN, **changes):
    given = {"judged_at": lambda values: {"Q1": undecided("nothing").as_dict()}}
    return run(*entries, **{**given, "recorded": lambda experiment: taken.get(experiment, {}), **changes})


def only(one, **changes):
    (found,) = assemble(run(one, **changes))["claims"]
    return found


def test_a_document_is_made_of_plain_values_and_fits_the_schema():
    document = assemble(
        measured(entry(), counterexample=lambda e: undecided(e["id"]).as_dict(), multiverse=lambda: MULTIVERSE)
    )
    documents.check(document, "the document")
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert (document["kind"], document["registered"], document["faults"]) == ("measured", ["Q1", "K1"], {})
    assert document["summary"] == {"registered": 2, **dict.fromkeys(OUTCOMES, 0), "supported": 1, "not run": 1}
    assert document["claims"][0]["counterexample"]["reason"] == "Q1"
    assert set(document["threshold_curve"]["scopes"]) == {"layer", "head"}
    assert document["heat_maps"]
    assert document["multiverse"] == MULTIVERSE


def test_a_document_holds_how_tasks_were_asked_and_what_was_answered():
    asked = {"rope": records.answers_record({"baseline": 0.5}, {"baseline": 0.5}, items=20)}
    how = replace(SETTINGS, apply_chat_template=True, replaced="both", items=20)
    document = assemble(measured(entry(), taken={**TAKEN, "tasks": asked}, settings=how))
    documents.check(document, "the document")
    settings, tasks = document["settings"], document["measured"]["arms"]["rope"]["tasks"]["by_task"]
    assert (settings["apply_chat_template"], settings["replaced"], settings["items"]) == (True, "both", 20)
    assert tasks["recall"]["right"] == [10] * 6
    entries = assemble(measured(entry(), entry("K1", texts="items"), taken={**TAKEN, "tasks": asked}))["claims"]
    assert entries[0]["scope"]["sentence"].startswith("Of these weights and texts of these kinds: ")
    assert entries[1]["scope"]["kinds"] == dict.fromkeys(tasks, 20)
    with pytest.raises(ValueError, match="at settings/replaced"):
        documents.check({**document, "settings": {**settings, "replaced": "nowhere"}}, "the document")


def test_a_document_names_the_tasks_that_are_asked_and_their_items():
    few = replace(SETTINGS, tasks=("recall", "capitals"), items=70)
    assert [(task["name"], task["knowledge"], task["items"]) for task in settings_of(few)["tasks"]] == [
        ("capitals", "parametric", 70),
        ("recall", "contextual", 70),
    ]
    assert settings_of(few)["tasks"][1]["hash"] == lib.tasks.load("recall").hash
    unknown = replace(SETTINGS, tasks=("none",))
    with pytest.raises(ValueError, match="there is no task 'none'"):
        settings_of(unknown)
    assert settings_of(unknown, strict=False)["tasks"] == []
    assert settings_of(replace(SETTINGS, published=True))["tasks"] == []


def test_an_entry_says_how_far_it_is_from_its_threshold():
    found = only(entry())
    assert found["half_widths"] == pytest.approx(7 / 1.686, rel=1e-3)
    assert "clear of the threshold by 7" in found["by_how_much"]
    assert found["refutation"] == "Refuted when the whole interval lies above 9."


@pytest.mark.parametrize("judgement", [None, undecided("nothing there")])
def test_an_entry_without_an_estimate_has_no_distance(judgement):
    found = only(entry(judgement=judgement))
    assert (found["half_widths"], found["refutation"]) == (None, "")
    assert found["by_how_much"] == ("Nothing there." if judgement else "")


def test_a_distance_that_is_infinite_is_left_out():
    assert only(entry(judgement=assess([1.0] * 5).at_most(9)))["half_widths"] is None


def test_a_published_figure_stands_beside_a_judgement_alone():
    assert only(entry(), published_estimate=lambda e: -38.9)["published_estimate"] == -38.9
    assert only(entry(judgement=None), published_estimate=lambda e: -38.9)["published_estimate"] is None


def test_entries_come_in_the_order_of_the_claims_and_by_step_whatever_order_they_ended_in():
    mixed = [entry("K1"), entry("Q1", "step10"), entry("Q1"), entry("K1", "step5"), entry("Q1", "step5")]
    document = assemble(run(*mixed, settings=replace(SETTINGS, steps=STEPS)))
    assert [e["id"] for e in document["claims"]] == ["Q1", "Q1@step5", "Q1@step10", "K1", "K1@step5"]


def test_every_arm_is_named_and_the_numbers_are_those_of_the_runs_own_site():
    document = assemble(measured(entry()))
    assert list(document["arms"]) == ["rope", "drope", "yarn"]
    assert document["arms"]["rope"]["rotation"] == "RR"
    assert {arm: numbers["counts"]["query"] for arm, numbers in document["measured"]["arms"].items()} == {
        "rope": [[1, 1]] * 3,
        "drope": [[2, 2]] * 3,
    }


def test_a_run_without_records_has_no_figures():
    document = assemble(run(entry()))
    documents.check(document, "the document")
    assert (document["arms"], document["measured"], document["heat_maps"]) == ({}, None, None)
    assert document["threshold_curve"] is document["multiverse"] is None


def test_a_difference_between_the_arms_is_noted():
    other = {"norms": {"rope": record(1), "drope": record(1, kv_heads=4, tokenizer="u")}}
    note = assemble(measured(entry(), taken=other))["settings"]["note"]
    assert note.startswith("n. The arms have different shapes (RoPE 2 layers of 8 query and 8 key heads")
    assert note.endswith("losses per token are not compared.")


def broken(*_):
    raise OSError("the disk is gone")


@pytest.mark.parametrize(
    ("changes", "part", "lost"),
    [
        ({"counterexample": broken}, "counterexample of Q1", "counterexample"),
        ({"published_estimate": broken}, "published figure of Q1", "published_estimate"),
        ({"judged_at": broken}, "threshold curve", "threshold_curve"),
        ({"multiverse": broken}, "multiverse", "multiverse"),
        ({"recorded": broken}, "records of norms", "measured"),
        ({"settings": replace(SETTINGS, texts=Path("gone.jsonl"))}, "texts", ""),
    ],
)
def test_a_part_that_breaks_costs_itself_only(changes, part, lost):
    whole, document = (assemble(measured(entry(), entry("K1", judgement=None), **c)) for c in ({}, changes))
    documents.check(document, "the document")
    assert [e["id"] for e in document["claims"]] == ["Q1", "K1"]
    assert document["claims"][0]["judgement"] == whole["claims"][0]["judgement"]
    assert "it cannot be made (" in document["faults"][part]
    assert {**document, **document["claims"][0]}.get(lost) is None
    if part in ("counterexample of Q1", "published figure of Q1"):
        assert document["measured"] == whole["measured"]
    if part == "threshold curve":
        assert (document["measured"], document["heat_maps"]) == (whole["measured"], whole["heat_maps"])


def test_a_fault_that_the_run_had_before_is_named_beside_those_of_its_document():
    document = assemble(run(entry(), counterexample=broken, faults={"yarn": "too large"}))
    assert document["faults"] == {
        "yarn": "too large",
        "counterexample of Q1": "it cannot be made (OSError: the disk is gone)",
    }


def test_texts_that_stopped_a_run_are_no_second_fault(tmp_path):
    (tmp_path / "t.jsonl").write_text("{")
    stopped = replace(SETTINGS, texts=tmp_path / "t.jsonl")
    document = assemble(run(settings=stopped, stopped="t.jsonl: not JSON"))
    documents.check(document, "the document")
    assert (document["stopped"], document["faults"]) == ("t.jsonl: not JSON", {})
    assert document["settings"]["texts"] == {"source": "t.jsonl", "count": [], "score": []}
    with pytest.raises(ValueError, match="not JSON"):
        settings_of(stopped)


def test_a_document_of_a_series_says_how_many_tokens_a_step_trained_on(tmp_path):
    rows = {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 2, "world_size": 1, "tokens": 256}
    (tmp_path / "recalibration.json").write_text(json.dumps(rows))
    (tmp_path / "checkpoint-20").mkdir()
    last = ModelArguments(str(tmp_path / "checkpoint-20"))
    series = replace(SETTINGS, arms={**SETTINGS.arms, "drope": last}, steps=STEPS)
    assert settings_of(series)["tokens_per_step"] == 2048
    assert settings_of(replace(series, arms=SETTINGS.arms))["tokens_per_step"] is None
    assert settings_of(replace(series, steps={}))["tokens_per_step"] is None


def test_a_stopped_run_names_the_texts_that_can_be_read():
    document = assemble(run(stopped="it still rotates"))
    assert document["settings"] == {**settings_of(SETTINGS), "note": "n."}
    assert len(document["settings"]["texts"]["count"]) > 10


def test_an_audit_shows_neither_counterexamples_nor_marks_and_holds_its_findings():
    audit = {"columns": {"text": "t"}, "study": {}, "findings": [], "compared": []}
    settings = replace(SETTINGS, published=True, texts=None)
    document = assemble(
        run(
            entry(label="text"),
            settings=settings,
            counterexample=broken,
            published_estimate=broken,
            audit=audit,
        )
    )
    documents.check(document, "the document")
    assert (document["kind"], document["audit"], document["faults"]) == ("published", audit, {})
    assert (document["claims"][0]["counterexample"], document["claims"][0]["published_estimate"]) == (None, None)
    assert document["settings"]["texts"]["source"] == "texts of the study"


def test_columns_of_an_audit_count_one_by_one_and_earlier_checkpoints_not_at_all():
    results = by_id(
        entry("Q1", "text"),
        entry("Q1", "stored", verdict="refuted"),
        entry("K1"),
        entry("K1", "step5", verdict="error"),
        entry("gone"),
    )
    numbers = counted(["Q1", "K1", "V1"], results)
    assert list(numbers) == list(OUTCOMES)
    assert {name: number for name, number in numbers.items() if number} == {"supported": 2, "refuted": 1, "not run": 1}


def test_what_is_supported_or_refuted_on_the_last_checkpoint_is_decided():
    results = by_id(entry(), entry("K1", verdict="refuted"), entry("V1", verdict="inconclusive"), entry("Q1", "step5"))
    assert decided(results) == 2
