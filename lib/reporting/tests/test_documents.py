import copy
import json
import os
import re
from pathlib import Path

import pytest

from lib.definitions.words import OUTCOMES
from lib.judging.verdicts import all_of, assess, undecided
from lib.reporting import documents

pytestmark = pytest.mark.cpu

ROOT = Path(__file__).parents[3]


@pytest.fixture
def document():
    """The least that is a report."""
    settings = {"pair": "p", "description": "", "note": "", "arms": {"rope": "a"}, "steps": {}, "device": "cpu"}
    settings |= {"max_tokens": 8, "threshold": 5.0, "scope": "layer", "site": "projection", "controls": 2, "seed": 0}
    settings |= {"limit": None, "texts": {"source": "mine", "count": [], "score": []}}
    summary = dict.fromkeys(OUTCOMES, 0)
    claim = {"id": "Q1", "claim": "Q1", "label": None, "family": "counts", "alpha": 0.01, "verdict": "supported"}
    claim |= dict.fromkeys(("statement", "how", "source", "published", "known", "reason", "refutation"), "")
    claim |= {"by_how_much": "", "figure": "", "texts": "count", "published_estimate": None, "half_widths": 2.0}
    claim |= {
        "training": False,
        "scope": None,
        "counterexample": None,
        "judgement": assess([1.0, 2.0, 3.0]).at_most(9).as_dict(),
    }
    return {
        "schema": documents.SCHEMA,
        "kind": "measured",
        "finished": "2026-01-31T12:00:00+00:00",
        "command": "",
        "stopped": "",
        "faults": {},
        "not_asked": {},
        "settings": settings,
        "summary": {"registered": 1, **summary},
        "registered": ["Q1"],
        "claims": [claim],
        "arms": {},
    }


def changed(document, *path, value):
    """A copy with another value at a place; None takes the place away."""
    found = copy.deepcopy(document)
    *way, last = path
    place = found
    for step in way:
        place = place[step]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return found


def test_what_is_written_is_read_again(document, tmp_path):
    documents.write(tmp_path / "new" / "r.json", document)
    assert documents.read(tmp_path / "new" / "r.json") == document


@pytest.mark.parametrize(
    ("path", "value", "where"),
    [
        (("claims", 0, "verdict"), "maybe", "claims/0/verdict"),
        (("claims", 0, "judgement", "n"), 1.5, "claims/0/judgement"),
        (("claims", 0, "judgement", "estimate"), "12", "claims/0/judgement"),
        (("settings", "threshold"), None, "settings"),
        (("settings", "more"), 1, "settings"),
        (("claims", 0, "id"), None, "claims/0"),
        (("surplus",), 1, "its top level"),
        (("finished",), "yesterday", "finished"),
        (("arms", "rope"), {"pretrained": "a"}, "arms/rope"),
    ],
)
def test_a_document_that_does_not_fit_the_schema_is_neither_written_nor_read(document, tmp_path, path, value, where):
    broken, file = changed(document, *path, value=value), tmp_path / "r.json"
    with pytest.raises(ValueError, match=f"is no report of schema {documents.SCHEMA}: at {where}"):
        documents.write(file, broken)
    assert list(tmp_path.iterdir()) == []
    file.write_text(json.dumps(broken))
    with pytest.raises(ValueError, match=f"is no report of schema {documents.SCHEMA}: at {where}"):
        documents.read(file)


@pytest.mark.parametrize(("schema", "words"), [(1, "an older one than 5"), (6, "a newer one than 5")])
def test_another_version_is_refused(document, tmp_path, schema, words):
    (tmp_path / "r.json").write_text(json.dumps(document | {"schema": schema}))
    with pytest.raises(ValueError, match=f"has schema {schema}, {words}: make it again with this version"):
        documents.read(tmp_path / "r.json")


def without(document, *names):
    """A copy without the fields of these names, however deep they lie."""
    if isinstance(document, dict):
        return {name: without(value, *names) for name, value in document.items() if name not in names}
    return [without(value, *names) for value in document] if isinstance(document, list) else document


def of_version(schema, document):
    """A document as that version wrote it."""
    if schema == 4:
        return without(document, "observations") | {"schema": 4}
    later = ("training", "scope", "levels", "largest", "over_kinds", "multiverse")
    old = without(document, "observations", *later) | {"schema": schema}
    old["settings"] = document["settings"]  # its `scope` is older, and has another meaning
    return old if schema == 3 else without(old, "not_asked", "command", "not asked", "smoke")


@pytest.mark.parametrize("schema", [2, 3])
def test_an_older_document_is_read_as_one_of_today(document, tmp_path, schema):
    parts = [assess([1.0, 2.0, 3.0], alpha=0.01, parts=2, kinds="abc").at_most(5), undecided("none")]
    document["claims"][0] |= {"judgement": all_of(parts).as_dict(), "counterexample": parts[0].as_dict()}
    (tmp_path / "r.json").write_text(json.dumps(of_version(schema, document)))
    found = documents.read(tmp_path / "r.json")
    assert of_version(schema, found) == of_version(schema, document)
    (claim,) = found["claims"]
    assert (claim["training"], claim["scope"], found["multiverse"]) == (False, None, None)
    first, second = claim["judgement"]["parts"]
    for judged in (claim["judgement"], first, claim["counterexample"]):
        assert judged["observations"] == "texts"
        assert (judged["levels"], judged["largest"], judged["over_kinds"]) == ([0.01, 0.01], None, None)
    assert second["levels"] is None


def test_a_document_of_version_4_is_kept_but_for_what_its_numbers_are_of(document, tmp_path):
    part = assess([*[1.0, 2.0, 3.0] * 3], kinds="abcabcabc").at_most(5)
    assert part.over_kinds is not None
    document["claims"][0] |= {"judgement": all_of([part, part]).as_dict(), "counterexample": part.as_dict()}
    (tmp_path / "r.json").write_text(json.dumps(of_version(4, document)))
    assert documents.read(tmp_path / "r.json") == document


@pytest.mark.parametrize("schema", [2, 3, 4])
def test_what_an_older_version_lacked_is_not_missing_from_a_document_of_today(document, tmp_path, schema):
    with pytest.raises(ValueError, match="is a required property"):
        documents.write(tmp_path / "r.json", of_version(schema, document) | {"schema": documents.SCHEMA})


@pytest.mark.parametrize("claims", [7, [7], [{}], [{"judgement": 7}], [{"judgement": {"parts": 7}}]])
def test_an_older_document_of_another_form_is_refused_in_a_sentence(document, tmp_path, claims):
    (tmp_path / "r.json").write_text(json.dumps(document | {"schema": 3, "claims": claims}))
    with pytest.raises(ValueError, match=f"is no report of schema {documents.SCHEMA}: at claims"):
        documents.read(tmp_path / "r.json")


def test_the_bundled_baseline_is_readable_whatever_its_version():
    assert documents.read(ROOT / "fixtures" / "pairs" / "toy.json")["schema"] == documents.SCHEMA


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "is no report: Expecting value"),
        ("[1]", "is no report: it does not name its schema"),
        ('{"schema": true}', "is no report: it does not name its schema"),
        ('{"schema": 2, "x": NaN}', "is no report: NaN is no number"),
        ('{"schema": 2', "is no report: Expecting"),
    ],
)
def test_what_is_no_report_is_said_in_a_sentence(tmp_path, content, sentence):
    (tmp_path / "r.json").write_text(content)
    with pytest.raises(ValueError, match=sentence):
        documents.read(tmp_path / "r.json")


def test_a_missing_report_is_said_in_a_sentence(tmp_path):
    with pytest.raises(ValueError, match=r"r\.json cannot be read: No such file"):
        documents.read(tmp_path / "r.json")


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_number_that_is_not_finite_is_never_written(document, tmp_path, number):
    with pytest.raises(ValueError, match="not finite at /measured/arms/rope/1"):
        documents.write(tmp_path / "r.json", document | {"measured": {"arms": {"rope": [1.0, number]}}})


def test_a_write_that_fails_leaves_the_old_file(document, tmp_path, monkeypatch):
    documents.write(tmp_path / "r.json", document)
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        documents.write(tmp_path / "r.json", document | {"stopped": "so"})
    assert documents.read(tmp_path / "r.json") == document
    assert [path.name for path in tmp_path.iterdir()] == ["r.json"]


def test_every_field_of_the_schema_is_explained():
    schema = json.loads((ROOT / "lib" / "reporting" / "report.schema.json").read_text())
    explained = set(re.findall(r"`(\w[\w ]*)`", (ROOT / "docs" / "report.md").read_text()))
    parts = [schema, schema["properties"]["settings"], schema["properties"]["settings"]["properties"]["texts"]]
    parts += [
        schema["$defs"][name] for name in ("text", "task", "claim", "scope", "judgement", "arm", "multiverse", "cells")
    ]
    fields = {field for part in parts for field in part["properties"]} | set(
        schema["properties"]["summary"]["required"]
    )
    assert len(fields) > 60
    assert fields - explained == set()
