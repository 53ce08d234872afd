"""The runs on real models as they came out, and the pages that are made of them."""

import pytest

from fixtures.plugin.catalogue import built_in
from lib.checkpoints import parse, step_of
from lib.compare import evidence
from lib.reporting import documents

pytestmark = pytest.mark.cpu


def test_the_pages_of_evidence_are_up_to_date():
    for path, content in evidence.written().items():
        assert path.read_text(encoding="utf-8") == content, f"{path.name}: run python -m lib.compare.evidence"


def is_whole(run):
    assert (run["kind"], run["stopped"], run["faults"]) == ("measured", "", {})
    assert (run["settings"]["limit"], run["summary"]["not run"], run["summary"]["error"]) == (None, 0, 0)
    assert not [arm for arm in run["settings"]["arms"].values() if "=/" in arm]


def test_evidence_is_of_full_runs_that_were_not_stopped_and_left_nothing_out():
    assert sorted(evidence.runs()) == ["gemma3-270m", "smollm2-135m"]
    for run in evidence.runs().values():
        is_whole(run)
        assert run["settings"]["max_tokens"] == 512
        assert run["command"].startswith("pytest claims/ --pair ")


FAMILIES = {
    "tasks": {"tasks"},
    "stream": {"activations", "sinks", "modules"},
    "positions": {"beyond the trained length"},
}
"""The families that each folder of runs is about."""
MODELS = {
    "tasks": ["gemma3-270m", "recalibration", "smollm2-135m"],
    "stream": ["recalibration", "smollm2-135m"],
    "positions": ["gemma3-270m", "smollm2-135m"],
}
"""The runs in each of them."""
BESIDE = {("stream", "recalibration"): {"R5"}}
"""Claims of other families that a run judged beside them."""


@pytest.mark.parametrize("part", evidence.PARTS)
def test_runs_of_some_families_asked_every_claim_of_these_and_no_other(part):
    found = evidence.runs(evidence.FOLDER / part)
    assert sorted(found) == MODELS[part]
    of_families = {claim for claim, declared in built_in().items() if declared.family in FAMILIES[part]}
    for name, run in found.items():
        wanted = of_families | BESIDE.get((part, name), set())
        assert (run["kind"], run["stopped"], run["faults"], run["settings"]["limit"]) == ("measured", "", {}, None)
        assert {entry["claim"] for entry in run["claims"]} | set(run["not_asked"]) & wanted == wanted
        assert not [arm for arm in run["settings"]["arms"].values() if "=/" in arm]


def test_the_recalibration_has_eight_checkpoints_and_a_control_trained_for_as_long():
    run = documents.read(evidence.RECALIBRATION)
    is_whole(run)
    settings = run["settings"]
    assert len(settings["steps"]) == 8
    assert settings["tokens_per_step"] == 2048
    assert step_of(parse(settings["arms"]["continued"])) == settings["steps"]["drope"]
