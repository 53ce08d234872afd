import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from lib.checkpoints import RECALIBRATION, STATE, ModelArguments, finished, series, trained_steps
from lib.recalibrate import notes
from lib.recalibrate.resuming import clear, newest, readable, to_resume_from

pytestmark = pytest.mark.cpu

examples = settings(deadline=None, max_examples=200, derandomize=True, database=None)
BEGUN = {"seed": 0, "tokens": 24, "groups": "{}", "rows": None}
WRITTEN = {
    **{"epoch": 0.5, "global_step": 4, "max_steps": 6, "num_train_epochs": 1, "save_steps": 2, "logging_steps": 10},
    **{"log_history": [{"loss": 2.5, "step": 2}], "stateful_callbacks": {}, "total_flos": 1.5, "trial_name": None},
}
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@pytest.fixture
def made(tmp_path):
    """Makes the folder of a checkpoint with everything that a run goes on with."""

    def make(step, **state):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        save_file({"weight": torch.zeros(2)}, folder / "model.safetensors")
        (folder / "scheduler.pt").touch()
        (folder / STATE).write_text(json.dumps({**WRITTEN, "global_step": step, **state}))
        return folder

    return make


def test_the_newest_checkpoint_is_gone_on_from(tmp_path, made):
    made(2), made(10), made(4)
    assert newest(tmp_path) == tmp_path / "checkpoint-10"


@pytest.mark.parametrize(
    "damage",
    [
        *("[1]", "3", "null", "", "{", "[" * 100_000, '{"global_step": 4}', '{"global_step": true, "max_steps": 6}'),
        json.dumps({**WRITTEN, "global_step": 2}),
        json.dumps({**WRITTEN, "log_history": 3}),
        json.dumps({**WRITTEN, "not_known": 3}),
    ],
)
def test_a_checkpoint_whose_state_is_of_something_else_is_not_gone_on_from(tmp_path, made, damage):
    made(2)
    (made(4) / STATE).write_text(damage)
    assert newest(tmp_path) == tmp_path / "checkpoint-2"
    assert not finished(tmp_path / "checkpoint-4")


@pytest.mark.parametrize("damage", ["[1]", "3", "", "{", '{"seed": 0', "[" * 100_000, b"\xff\xfe"])
def test_a_note_that_is_none_gets_a_sentence(tmp_path, made, damage):
    made(2)
    note = tmp_path / RECALIBRATION
    note.write_bytes(damage if isinstance(damage, bytes) else damage.encode())
    with pytest.raises(ValueError, match=r"recalibration.json (cannot be read|is no note).* begin in another folder$"):
        to_resume_from(tmp_path, BEGUN)


def test_what_a_killed_run_left_half_written_is_deleted_and_nothing_else(tmp_path, made):
    kept = [made(2), made(4)]
    (kept[0] / "scheduler.pt").unlink()
    half = [made(6), tmp_path / ".draft-abc", tmp_path / "checkpoint-8"]
    (half[0] / STATE).unlink()
    half[1].mkdir(), half[2].mkdir()
    (tmp_path / "checkpoint-notes.txt").write_text("mine")
    (tmp_path / "self.jsonl").touch()
    clear(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        *("checkpoint-2", "checkpoint-4", "checkpoint-notes.txt", "self.jsonl")
    }


@given(st.sampled_from(sorted(WRITTEN)), anything)
@examples
def test_a_state_with_any_value_replaced_is_gone_on_from_or_not_and_never_ends_in_a_traceback(
    tmp_path_factory, name, value
):
    folder = tmp_path_factory.mktemp("run") / "checkpoint-4"
    folder.mkdir()
    save_file({"weight": torch.zeros(2)}, folder / "model.safetensors")
    (folder / "scheduler.pt").touch()
    (folder / STATE).write_text(json.dumps({**WRITTEN, name: value}))
    found = newest(folder.parent)
    assert found in (None, folder)
    assert isinstance(finished(folder), bool)
    assert type(trained_steps(folder)) in (int, type(None))
    if readable(folder / STATE):
        assert found == folder or trained_steps(folder) != 4


@given(st.sampled_from([*sorted(BEGUN), *series.ROWS]), anything)
@examples
def test_a_note_with_any_value_replaced_is_the_same_or_names_what_differs(tmp_path_factory, name, value):
    folder = tmp_path_factory.mktemp("run")
    notes.write(folder / RECALIBRATION, {**BEGUN, name: value})
    said = notes.difference(folder / RECALIBRATION, BEGUN)
    same = name not in BEGUN or json.loads(json.dumps(value)) == BEGUN[name]
    assert said == "" if same else said.startswith(f"{name} ")
    (folder / "checkpoint-2").mkdir()
    assert type(series.tokens_per_step(ModelArguments(str(folder / "checkpoint-2")))) in (int, type(None))


@given(st.integers(0, 500), st.integers(0, 12), st.text(max_size=3) | st.sampled_from('{}[]":,-01eN\\'))
@examples
def test_a_note_with_any_part_replaced_is_read_or_gets_one_sentence(tmp_path_factory, start, length, put):
    note = tmp_path_factory.mktemp("run") / RECALIBRATION
    text = json.dumps(BEGUN)
    start %= len(text)
    note.write_text(text[:start] + put + text[start + length :], encoding="utf-8")
    try:
        said = notes.difference(note, BEGUN)
    except ValueError as error:
        said = str(error)
    assert said == "" or said.endswith("begin in another folder") or ", now it is " in said
