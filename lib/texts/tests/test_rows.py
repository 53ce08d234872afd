from collections import Counter
from itertools import count

import pytest

from lib.texts import rows
from lib.texts.rows import choose
from lib.texts.sources import Source

pytestmark = pytest.mark.cpu

SOURCE = Source("org/name", on_hub=True, count=2, score=2)


def row(number, words=5, **fields):
    return {"text": f"row{number} " + "word " * (words - 1), **fields}


def named(selection):
    return [(text.name, text.kind, text.role) for text in selection.texts]


def test_the_first_rows_that_are_long_enough_are_counted_and_scored_in_turn():
    given = [row(0), row(1, words=4), row(2), row(3), row(4), row(5)]
    selection = choose(given, SOURCE, 5)
    assert named(selection) == [
        *(("row 0", "name", "count"), ("row 2", "name", "score")),
        *(("row 3", "name", "count"), ("row 4", "name", "score")),
    ]
    assert selection.note == (
        "The texts are rows: of the first 5 rows of hf:org/name,count=2,score=2, 1 with fewer than 5 words "
        "are left out, 2 are taken to count and 2 to score."
    )


def test_an_endless_dataset_of_one_kind_is_read_only_as_far_as_needed():
    assert len(choose(map(row, count()), SOURCE, 5).texts) == 4


def test_a_dataset_with_kinds_is_read_no_further_than_so_many_rows(monkeypatch):
    monkeypatch.setattr(rows, "ROWS", 30)
    endless = (row(i, kind=f"{i // 20}") for i in count())
    texts = choose(endless, Source("d", kind="kind", count=3, score=3), 5).texts
    assert Counter(text.kind for text in texts) == {"0": 4, "1": 2}


def test_every_kind_has_its_turn_although_the_rows_are_sorted():
    given = [row(i, topic="ab"[i // 10]) for i in range(20)]
    texts = choose(given, Source("d", kind="topic", count=4, score=3), 5).texts
    assert Counter((text.kind, text.role) for text in texts) == {
        **{("a", "count"): 2, ("b", "count"): 2},
        **{("a", "score"): 2, ("b", "score"): 1},
    }


def test_a_field_may_give_the_roles():
    given = [row(0, for_="score"), row(1, for_="score"), row(2, for_="count"), row(3, for_="score")]
    texts = choose(given, Source("d", role="for_", count=2, score=2), 5).texts
    assert [(text.name, text.role) for text in texts] == [("row 0", "score"), ("row 1", "score"), ("row 2", "count")]


def test_a_text_that_comes_again_is_left_out_and_said_to_be():
    selection = choose([row(0), row(0), row(1)], SOURCE, 5)
    assert [text.name for text in selection.texts] == ["row 0", "row 2"]
    assert "and 1 with the text of an earlier one are left out" in selection.note


def test_a_text_without_spaces_is_measured_by_its_characters():
    given = [{"text": letter * 9} for letter in "abcd"] + [{"text": "e" * 8}]
    with pytest.raises(ValueError, match="5 with fewer than 5 words"):
        choose(given, SOURCE, 5)
    assert len(choose(given, Source("d", characters=9), 5).texts) == 4


def test_an_empty_text_is_one_that_is_too_short():
    assert "1 with fewer" in choose([row(0), {"text": None}, row(1), row(2), row(3)], SOURCE, 5).note


@pytest.mark.parametrize(
    ("given", "changes", "sentence"),
    [
        ([{"body": "x"}], {}, "has no field 'text', only body: name another"),
        ([row(0)], {"kind": "topic"}, "has no field 'topic', only text"),
        ([{"text": ["a"]}], {}, "row 0: its field 'text' holds no text but a list"),
        ([row(0, topic=" ")], {"kind": "topic"}, "row 0: its field 'topic' is empty"),
        ([row(0, role="both")], {"role": "role"}, "row 0: its role must be 'count' or 'score', not 'both'"),
        ([row(0, words=4)] * 3, {}, "of the first 3 rows of d, 3 with fewer than 5 words are left out, so no text has"),
        ([row(0)], {}, "no text has the role 'score': lower --max-tokens or give more rows"),
        ([], {}, "of the first 0 rows"),
    ],
)
def test_rows_that_give_no_texts_are_refused_in_one_sentence(given, changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        choose(given, Source("d", **changes), 5)
