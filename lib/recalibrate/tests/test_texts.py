import gzip
import json

import datasets
import pytest

from fixtures.models.tiny import byte_tokenizer
from lib.recalibrate import texts

pytestmark = pytest.mark.cpu

DOCUMENTS = ["abc", "defgh", "ijklmnopq"]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """What the library stores goes away with the test."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def write(tmp_path):
    """Writes the documents in a format and returns the file's name."""

    def file(name, field="text"):
        lines = [json.dumps({field: text}) for text in DOCUMENTS]
        content = "\n\n".join(DOCUMENTS) if ".txt" in name else "\n".join(lines)
        (tmp_path / name).write_bytes(gzip.compress(content.encode()) if name.endswith(".gz") else content.encode())
        return str(tmp_path / name)

    return file


def spelled(rows):
    """Rows as text, `^` for BOS and `$` for the end of a text."""
    return ["".join({0: "^", 1: "$"}.get(i) or byte_tokenizer().decode([i]) for i in row["input_ids"]) for row in rows]


@pytest.mark.parametrize("name", ["a.jsonl", "a.txt", "a.b.ndjson", "a.jsonl.gz", "a.ndjson.gz", "a.txt.gz"])
def test_documents_are_read_from_files(write, name):
    documents, field = texts.read([write(name)])
    assert documents[field] == DOCUMENTS


def test_several_files_are_read_one_after_the_other(write):
    documents, _ = texts.read([write("a.jsonl"), write("b.jsonl")])
    assert documents["text"] == DOCUMENTS * 2


def test_a_pattern_is_all_files_that_fit_in_the_order_of_their_names(write, tmp_path):
    for name in ("b.jsonl", "a.jsonl"):
        write(name)
    documents, _ = texts.read([str(tmp_path / "*.jsonl")])
    assert documents["text"] == DOCUMENTS * 2
    with pytest.raises(ValueError, match=r"there is no file .*c\*\.jsonl"):
        texts.read([str(tmp_path / "c*.jsonl")])


def test_another_field_may_hold_the_text(write):
    documents, field = texts.read([write("a.jsonl", field="content")], field="content")
    assert documents[field] == DOCUMENTS


def test_rows_are_filled_without_gaps_and_documents_have_a_start_and_an_end(write):
    documents, field = texts.read([write("a.jsonl")])
    assert spelled(texts.rows(documents, field, byte_tokenizer(), 7)) == ["^abc$^d", "efgh$^i", "jklmnop"]


def test_a_row_may_be_the_start_of_one_document(write):
    documents, field = texts.read([write("a.jsonl")])
    found = texts.rows(documents, field, byte_tokenizer(), 6, one_per_row=True)
    assert spelled(found) == ["^defgh", "^ijklm"]


def test_every_token_of_a_row_is_learnt(write):
    documents, field = texts.read([write("a.jsonl")])
    for row in texts.rows(documents, field, byte_tokenizer(), 7):
        assert row["labels"] == row["input_ids"]


def test_a_stream_gives_the_same_rows(write):
    rows = []
    for streaming in (False, True):
        documents, field = texts.read([write("a.jsonl")], streaming=streaming)
        rows.append(spelled(texts.rows(documents, field, byte_tokenizer(), 7)))
    assert rows[0] == rows[1]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (["nowhere.jsonl"], "there is no file nowhere.jsonl"),
        (["a", "b"], "a is no text file .*, and only one dataset can be named"),
    ],
)
def test_texts_that_are_not_there_get_a_sentence(given, sentence):
    with pytest.raises(ValueError, match=sentence):
        texts.read(given)


def test_files_of_two_formats_get_a_sentence(write):
    with pytest.raises(ValueError, match=r"one format are needed, not .jsonl and .txt"):
        texts.read([write("a.jsonl"), write("b.txt")])


def test_a_field_that_is_not_there_gets_a_sentence(write):
    with pytest.raises(ValueError, match="have no field 'content', only text: name it with --text_field"):
        texts.read([write("a.jsonl")], field="content")


def test_a_file_that_is_broken_gets_a_sentence(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "a"}\n{"te')
    with pytest.raises(ValueError, match="cannot be read: ") as caught:
        texts.read([str(tmp_path / "a.jsonl")])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("one_per_row", "what"), [(False, "the texts together have not"), (True, "no document has")])
def test_too_little_text_for_one_row_gets_a_sentence(write, one_per_row, what):
    documents, field = texts.read([write("a.jsonl")])
    with pytest.raises(ValueError, match=f"{what} 40 tokens, so not one row can be filled"):
        texts.rows(documents, field, byte_tokenizer(), 40, one_per_row=one_per_row)


@pytest.mark.parametrize("one_per_row", [False, True])
def test_a_field_that_holds_no_text_gets_a_sentence(tmp_path, one_per_row):
    (tmp_path / "a.jsonl").write_text('{"text": "a"}\n{"text": null}')
    documents, field = texts.read([str(tmp_path / "a.jsonl")])
    with pytest.raises(ValueError, match=r"^the field 'text' of the texts holds no text but None$"):
        texts.rows(documents, field, byte_tokenizer(), 2, one_per_row=one_per_row)
