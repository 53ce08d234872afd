import gzip
import json
from collections import Counter

import pytest

from lib.definitions.words import ROLES
from lib.texts import reading

pytestmark = pytest.mark.cpu

GOOD = [{"text": f"text {i}", "kind": "a", "role": role} for i, role in enumerate(ROLES)]


def write(path, *lines):
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines))
    return path


def test_the_products_texts_are_20_to_count_and_36_to_score():
    counted = Counter((text.role, text.kind) for text in reading.bundled())
    assert counted == {
        ("count", "literary"): 6,
        ("count", "technical"): 6,
        ("count", "conversational"): 4,
        ("count", "factual"): 4,
        ("score", "literary"): 12,
        ("score", "technical"): 12,
        ("score", "repetitive"): 12,
    }


def test_every_text_of_the_product_has_more_than_500_words_and_a_name_of_its_own():
    bundled = reading.bundled()
    assert min(len(text.text.split()) for text in bundled) >= 500
    assert len({text.name for text in bundled}) == len({text.hash for text in bundled}) == len(bundled)


def test_no_sentence_comes_twice_in_the_written_texts():
    sentences = Counter(
        " ".join(sentence.lower().split())
        for text in reading.read_written()
        for sentence in text.text.replace("!", ".").replace("?", ".").replace("\n", ".").split(".")
        if len(sentence.split()) > 3
    )
    assert [sentence for sentence, times in sentences.items() if times > 1] == []


def test_the_repetitive_texts_repeat_and_differ_from_each_other():
    repetitive = [text.text.split() for text in reading.bundled() if text.kind == "repetitive"]
    assert all(len(set(words)) < len(words) / 2 for words in repetitive)
    assert len({words[0] for words in repetitive}) == 12


def test_good_lines_are_read_in_order(tmp_path):
    found = reading.read(write(tmp_path / "t.jsonl", *GOOD))
    assert [(text.name, text.text, text.role) for text in found] == [
        ("line 1", "text 0", "count"),
        ("line 2", "text 1", "score"),
    ]


@pytest.mark.parametrize("sign", ["\u2028", "\u2029", "\u0085", "\x0b", "\x0c", "\x1c", "\r"])
def test_a_sign_that_ends_a_line_elsewhere_ends_none_within_a_text(tmp_path, sign):
    text = f"one{sign}two"
    line = json.dumps({"text": text, "kind": "a", "role": "count"}, ensure_ascii=sign < " ")
    assert reading.read(write(tmp_path / "t.jsonl", *GOOD, line))[-1].text == text


def test_other_fields_are_passed_over(tmp_path):
    more = {"text": "x", "kind": "a", "role": "count", "id": 7, "meta": {"from": ["somewhere"]}}
    assert reading.read(write(tmp_path / "t.jsonl", *GOOD, more))[-1].text == "x"


def test_a_file_may_begin_with_a_byte_order_mark_and_be_compressed(tmp_path):
    plain = write(tmp_path / "t.jsonl", *GOOD)
    marked = tmp_path / "marked.jsonl"
    marked.write_bytes(b"\xef\xbb\xbf" + plain.read_bytes().replace(b"\n", b"\r\n"))
    with gzip.open(tmp_path / "t.ndjson.gz", "wb") as file:
        file.write(plain.read_bytes())
    assert reading.read(marked) == reading.read(tmp_path / "t.ndjson.gz") == reading.read(plain)


@pytest.mark.parametrize(
    "damage", [lambda content: content[:-9], lambda content: b"no gzip", lambda c: c[:20] + b"x" + c[21:]]
)
def test_a_damaged_archive_gets_a_sentence(tmp_path, damage):
    file = tmp_path / "t.jsonl.gz"
    file.write_bytes(damage(gzip.compress(write(tmp_path / "t.jsonl", *GOOD).read_bytes())))
    with pytest.raises(ValueError, match=r"the texts in .*t.jsonl.gz cannot be read"):
        reading.read(file)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("{broken", "line 3: not JSON"),
        ('"words"', "line 3: expected an object"),
        ({"kind": "a", "role": "count"}, "line 3: 'text' is missing"),
        ({"text": " ", "kind": "a", "role": "count"}, "line 3: 'text' is missing or empty"),
        ({"text": "x", "kind": "a", "role": "both"}, "line 3: role must be"),
        ("[" * 100_000, "line 3: not JSON \\(objects or lists lie too deep"),
        ({"text": "\ud83d", "kind": "a", "role": "count"}, "line 3: 'text' holds half of a character"),
        ({"text": "x", "kind": "\udc00", "role": "count"}, "line 3: 'kind' holds half of a character"),
        ({"text": "x", "kind": "a", "role": "count", "name": "\ud800"}, "line 3: 'name' holds half of a character"),
        ({"text": "text 0", "kind": "a", "role": "score"}, "line 3: the text is the same as that of 'line 1'"),
        ({"text": "x", "kind": "a", "role": "score", "name": "line 1"}, "line 3: the name is the same"),
    ],
)
def test_a_bad_line_is_named(tmp_path, line, sentence):
    with pytest.raises(ValueError, match=sentence):
        reading.read(write(tmp_path / "t.jsonl", *GOOD, line))


def test_a_file_without_texts_of_one_role_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no text with role 'score'"):
        reading.read(write(tmp_path / "t.jsonl", GOOD[0]))


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ValueError, match="cannot be read"):
        reading.read(tmp_path / "none.jsonl")


def test_limit_keeps_the_first_of_every_role_and_kind():
    kept = reading.limit(reading.bundled(), 1)
    assert len(kept) == 7
    assert {text.name for text in kept} >= {"literary-01", "repetitive-01"}
