import json

import pytest

from lib.texts import opening, selecting
from lib.texts.reading import bundled
from lib.texts.selecting import select

pytestmark = pytest.mark.cpu

HUB = "hf:org/name,count=2,score=2"


@pytest.fixture
def hub(monkeypatch):
    """A hub with one dataset; the list counts how often it was read."""
    read = []

    def rows(source):
        read.append(source)
        return ({"text": f"row {i} of words"} for i in range(9))

    monkeypatch.setattr(selecting, "rows_of", rows)
    return read


def test_without_a_source_the_texts_are_the_bundled_ones():
    assert select().texts == tuple(bundled())
    assert select().note == ""


def test_a_file_with_kinds_and_roles_is_taken_whole_and_by_each_kind_and_role(tmp_path):
    lines = [{"text": f"{role} {i}", "kind": "a", "role": role} for role in ("count", "score") for i in range(3)]
    path = tmp_path / "t.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    assert len(select(path).texts) == 6
    assert [text.text for text in select(path, each=1).texts] == ["count 0", "score 0"]


def test_rows_of_a_jsonl_file_are_chosen_when_a_field_is_named(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_text("\n".join(json.dumps({"body": f"row {i}"}) for i in range(9)))
    selection = select(f"{path},text=body,count=1,score=2", 2)
    assert [text.text for text in selection.texts] == ["row 0", "row 1", "row 3"]
    with pytest.raises(ValueError, match="'text' is missing"):
        select(path)


def test_texts_of_the_hub_are_kept_and_read_once(hub, tmp_path):
    first, again = select(HUB, 3, keep=tmp_path), select(HUB, 3, keep=tmp_path)
    assert first == again
    assert len(hub) == 1
    (copy,) = tmp_path.iterdir()
    assert first.note.endswith(f"They are kept beside the records, as {copy.name}.")


def test_a_copy_serves_without_a_network_and_without_it_there_is_a_sentence(hub, tmp_path, monkeypatch):
    kept = select(HUB, 3, keep=tmp_path)
    monkeypatch.setattr(selecting, "rows_of", opening.rows_of)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert select(HUB, 3, keep=tmp_path) == kept
    with pytest.raises(ValueError, match="the hub cannot be reached"):
        select(HUB, 4, keep=tmp_path)


def test_other_arguments_and_lengths_have_copies_of_their_own(hub, tmp_path):
    for source, tokens in ((HUB, 3), (HUB, 2), (HUB + ",split=test", 3)):
        select(source, tokens, keep=tmp_path)
    assert len(list(tmp_path.iterdir())) == len(hub) == 3


def test_a_folder_is_read_anew_each_time(hub, tmp_path):
    for _ in range(2):
        select(f"hf:{tmp_path}", 3, keep=tmp_path)
    assert len(hub) == 2


def test_a_damaged_copy_is_named(hub, tmp_path):
    select(HUB, 3, keep=tmp_path)
    (copy,) = tmp_path.iterdir()
    copy.write_text(copy.read_text()[:-9])
    with pytest.raises(ValueError, match=f"{copy.name}, the copy of the texts, is damaged: delete it"):
        select(HUB, 3, keep=tmp_path)


def test_a_folder_that_cannot_be_written_gets_a_sentence(hub, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="the texts cannot be kept in"):
        select(HUB, 3, keep=tmp_path / "file")
