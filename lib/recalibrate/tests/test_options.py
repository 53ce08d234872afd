import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.recalibrate.options import Recalibration, Training, check, check_group, make_folder, read_groups

pytestmark = pytest.mark.cpu

examples = settings(deadline=None, max_examples=200, derandomize=True, database=None)
WRITTEN = '{"[qk]_proj": {"lr": 2e-2, "betas": [0.9, 0.98], "amsgrad": true}, "norm": {}}'
ADAM = {"lr": 1e-4, "betas": (0.9, 0.95), "eps": 1e-8, "amsgrad": False, "foreach": None}


@pytest.fixture
def checked(tmp_path):
    """Checks the options of a run, with some of them changed."""

    def go(**changes):
        own = {key: changes.pop(key) for key in list(changes) if key in Recalibration.__dataclass_fields__}
        training = {"output_dir": str(tmp_path / "run"), "max_steps": 4, "use_cpu": True, **changes}
        check(Recalibration(**{"model": "m", "texts": ["t.jsonl"], "tokens": 24, **own}), Training(**training))

    return go


def test_usual_options_pass_and_the_folder_is_made(checked, tmp_path):
    checked()
    assert list((tmp_path / "run").iterdir()) == []


@pytest.mark.parametrize(
    "name", ["learning_rate", "weight_decay", "max_grad_norm", "warmup_steps", "adam_beta2", "save_steps"]
)
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_is_not_finite_is_refused(checked, name, value):
    with pytest.raises(ValueError, match=f"^--{name} must be a finite number, not {value}$"):
        checked(**{name: value})


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"tokens": 1}, "--tokens must be a whole number of 2 or more, not 1"),
        ({"tokens": 24.5}, "--tokens must be a whole number of 2 or more, not 24.5"),
        ({"learning_rate": -1.0}, "--learning_rate must be 0 or more, not -1.0"),
        ({"learning_rate": 0.0}, "--learning_rate 0 trains nothing, unless --groups gives"),
        ({"max_steps": 0}, "--max_steps must be a whole number of 1 or more, not 0"),
        ({"max_steps": -3}, "--max_steps must be a whole number of 1 or more, not -3"),
        ({"max_steps": -1, "num_train_epochs": 0.0}, "--num_train_epochs must be more than 0, not 0.0"),
        ({"gradient_accumulation_steps": 0}, "--gradient_accumulation_steps and --per_device_train_batch_size must be"),
        ({"per_device_train_batch_size": 0}, "--gradient_accumulation_steps and --per_device_train_batch_size must be"),
        ({"save_strategy": "no"}, "--save_strategy must be steps or epoch: what is trained must be saved"),
        ({"texts": []}, "give --texts"),
        ({"texts": ["a.jsonl", " "]}, "--texts is empty: give it a value, or leave it out"),
        ({"output_dir": ""}, "--output_dir is empty: give it a value, or leave it out"),
        ({"split": ""}, "--split is empty: give it a value, or leave it out"),
        ({"streaming": True, "max_steps": -1}, "a dataset that is streamed has no known end: give --max_steps"),
    ],
)
def test_options_with_which_nothing_sensible_is_trained_get_a_sentence(checked, changes, sentence):
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}"):
        checked(**changes)


def test_a_learning_rate_of_0_may_leave_all_weights_as_they_are_but_those_of_a_group(checked):
    checked(learning_rate=0.0, groups='{"q_proj": {"lr": 0.1}}')


@pytest.mark.parametrize("below", ["", "below"])
def test_an_output_folder_that_is_a_file_gets_a_sentence_and_the_file_stays(tmp_path, below):
    (tmp_path / "run").write_text("mine")
    with pytest.raises(ValueError, match=r"run(/below)? cannot be written: it is, or lies in, a file, not a folder"):
        make_folder(tmp_path / "run" / below)
    assert (tmp_path / "run").read_text() == "mine"


def test_an_output_folder_that_cannot_be_written_gets_a_sentence(tmp_path, monkeypatch):
    def refuse(**_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("lib.recalibrate.options.tempfile.TemporaryFile", refuse)  # the superuser may write anywhere
    with pytest.raises(ValueError, match=r"--output_dir .*run cannot be written: Permission denied"):
        make_folder(tmp_path / "run")


def test_groups_are_read_as_they_are_written():
    assert read_groups(WRITTEN) == json.loads(WRITTEN)


@pytest.mark.parametrize(
    "groups",
    [
        *("not json", "[1]", "", '"a"', '{"(": {}}', '{"q": 3}', '{"q": [["lr", 1]]}', '{"q": {"lr": "1"}}'),
        *('{"q": {"lr": NaN}}', '{"q": {"lr": 1e999}}', '{"q": {"lr": -1}}', '{"q": {"lr": null}}'),
        *('{"q": {"betas": [1, {}]}}', "[" * 100_000, {"q": {}}),
    ],
)
def test_groups_that_cannot_be_read_get_a_sentence(groups):
    with pytest.raises(ValueError, match=r"^--groups must be JSON of the form"):
        read_groups(groups)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"rate": 1}, "the optimizer has no setting 'rate'"),
        ({"lr": True}, "lr of 'q' must be written like the optimizer's own, 0.0001, not True"),
        ({"lr": [1]}, "lr of 'q' must be written like"),
        ({"betas": 0.9}, r"betas of 'q' must be written like the optimizer's own, \(0.9, 0.95\), not 0.9"),
        ({"betas": [0.9, 0.9, 0.9]}, "betas of 'q' must be written like"),
        ({"betas": [0.9, 1]}, "betas of 'q' must be written like"),
        ({"amsgrad": 1}, "amsgrad of 'q' must be written like"),
        ({"foreach": 1}, "foreach of 'q' must be written like"),
    ],
)
def test_a_setting_of_another_kind_than_the_optimizers_own_gets_a_sentence(changes, sentence):
    with pytest.raises(ValueError, match=f"^--groups: {sentence}"):
        check_group("q", changes, ADAM)


def test_settings_of_the_optimizers_own_kinds_pass():
    check_group("q", {"lr": 1, "betas": [0.9, 0.5], "eps": 0, "amsgrad": True, "foreach": False}, ADAM)


@given(st.integers(0, len(WRITTEN)), st.integers(0, 12), st.text(max_size=3) | st.sampled_from('{}[]":,-01eN\\('))
@examples
@pytest.mark.filterwarnings("ignore:Possible nested set:FutureWarning")
def test_groups_with_any_part_replaced_are_read_or_get_one_sentence(start, length, put):
    try:
        found = read_groups(WRITTEN[:start] + put + WRITTEN[start + length :])
    except ValueError as error:
        found = str(error)
    if isinstance(found, dict):
        assert all(isinstance(changes, dict) for changes in found.values())
    else:
        assert found.startswith("--groups must be JSON of the form")
