"""The runs on real models as they came out, and the pages that are made of them."""

import pytest

from lib.compare import evidence

pytestmark = pytest.mark.cpu


def test_the_pages_of_evidence_are_up_to_date():
    found = evidence.runs()
    for path, made in zip(evidence.PAGES, (evidence.short(found), evidence.page(found)), strict=True):
        content = path.read_text(encoding="utf-8")
        assert evidence.between(content, made) == content, f"{path.name}: run python -m lib.compare.evidence"


def test_evidence_is_of_full_runs_that_were_not_stopped_and_left_nothing_out():
    found = evidence.runs()
    assert found
    for run in found.values():
        settings = run["settings"]
        assert (run["kind"], run["stopped"], run["faults"]) == ("measured", "", {})
        assert (settings["limit"], settings["max_tokens"]) == (None, 512)
        assert run["summary"]["not run"] == 0
        assert run["command"].startswith("pytest claims/ --pair ")
        assert not [arm for arm in settings["arms"].values() if arm.startswith("pretrained=/")]
