import json
from types import SimpleNamespace

import huggingface_hub
import pytest
from huggingface_hub import errors

from fixtures.models.gguf_files import write
from fixtures.models.tiny import save, tiny_llama
from lib.checkpoints import series
from lib.checkpoints.arguments import ModelArguments, parse

pytestmark = pytest.mark.cpu


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """One tiny model as save_pretrained leaves it, to be copied."""
    return save(tiny_llama(layers=2), tmp_path_factory.mktemp("saved") / "model")


@pytest.fixture
def made(tmp_path, saved):
    """Makes checkpoints of the given steps, as Trainer leaves them."""

    def make(*steps, state=True):
        for step in steps:
            folder = tmp_path / f"checkpoint-{step}"
            folder.mkdir()
            for file in saved.iterdir():
                (folder / file.name).write_bytes(file.read_bytes())
            if state:
                (folder / series.STATE).write_text(json.dumps({"global_step": step, "max_steps": 1000}))
        return str(tmp_path / "checkpoint-*")

    return make


def steps(found):
    return [checkpoint.step for checkpoint in found.usable]


def the_fault(found):
    """The one fault of a series, which is one sentence."""
    ((_, sentence),) = found.faults.items()
    assert "\n" not in sentence
    return sentence


def test_a_pattern_is_all_folders_that_fit_in_the_order_of_their_steps(made, tmp_path):
    (tmp_path / "checkpoint-notes").write_text("a file, no folder")
    found = series.read(made(1000, 200, 50))
    assert steps(found) == [50, 200, 1000]
    assert found.note == ""  # a pattern has no order that could be wrong


def test_one_model_is_no_series_and_is_not_looked_into():
    (one,) = series.read("org/model").checkpoints
    assert (one.step, one.fault) == (None, "")


def test_a_list_may_come_as_one_string_or_as_several(made, tmp_path):
    made(1, 2)
    names = [str(tmp_path / "checkpoint-1"), str(tmp_path / "checkpoint-2")]
    assert series.read(";".join(names)) == series.read(names)
    assert steps(series.read(names)) == [1, 2]


def test_arguments_hold_for_every_folder_of_a_pattern(made):
    found = series.expand(f"{made(1, 2)},dtype=bfloat16,load_in_4bit=True")
    assert {(args.dtype, args.load_in_4bit) for args in found} == {("bfloat16", True)}


def test_a_list_in_another_order_is_judged_by_step_and_says_so(made, tmp_path):
    made(1, 2, 3)
    found = series.read([str(tmp_path / f"checkpoint-{n}") for n in (1, 3, 2)])
    assert steps(found) == [1, 2, 3]
    assert found.note == "step 2 is listed after step 3: the series is judged in the order of its steps"


def test_an_ordered_series_has_nothing_to_say(made):
    found = series.read(made(1, 2, 3))
    assert (found.note, found.faults) == ("", {})


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("checkpoint-500", 500),
        ("step1000-tokens4B", 1000),
        ("global_step12", 12),
        ("iter_0070", 70),
        ("r7", 7),
        ("x", None),
        ("m-step-500k", 500_000),
        ("m-step-750K", 750_000),
        ("m-step-1M", 1_000_000),
        ("step1.5M-tokens3B", 1_500_000),
        ("ckpt_2g", 2_000_000_000),
        ("step-0.0005k", None),  # half a step
        ("checkpoint-4.5", None),
        ("step-3x", None),
        ("2026.01.02123456", None),
        ("drope-2026-01-02", None),
        ("drope-20260102", None),
        ("20260102123456", None),
        ("drope-7b-v2", None),
        ("v2", None),
        ("drope-1.5", None),
        ("drope-7b", None),
        ("drope-7b-900", 900),
        ("modelv2", None),
        ("4000", 4000),
    ],
)
def test_the_step_is_read_from_a_name(name, step):
    assert series.step_of(ModelArguments(f"org/{name}")) == step
    assert series.step_of(ModelArguments("org/model9", revision=name)) == step


def test_a_folder_without_a_number_has_the_step_of_its_state(made, tmp_path):
    made(70)
    (tmp_path / "checkpoint-70").rename(tmp_path / "final")
    assert series.step_of(parse(str(tmp_path / "final"))) == 70


@pytest.mark.parametrize("where", [0, 1, 2])
@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda f: (f / "model.safetensors").write_bytes(b"\x10"), "not written to its end: model.safetensors is cut"),
        (lambda f: (f / "model.safetensors").unlink(), "holds no weights as safetensors"),
        (lambda f: (f / "config.json").unlink(), "holds no config.json"),
        (lambda f: (f / "config.json").write_text('{"model'), "config.json cannot be read"),
        (lambda f: (f / series.STATE).write_text('{"glo'), f"not written to its end: {series.STATE} is cut"),
        (lambda f: (f / series.STATE).unlink(), f"it has no {series.STATE}, and others of the series have"),
        (lambda f: [p.unlink() for p in f.glob("tokenizer*")], "has no tokenizer: save the RoPE arm's"),
        (lambda f: save(tiny_llama(layers=3), f), "another shape .* num_hidden_layers is 3 and not 2"),
        (lambda f: save(tiny_llama(layers=2, kv_heads=2), f), "another shape .* num_key_value_heads is 2 and not 4"),
        (lambda f: (f / "model.safetensors.index.json").write_text("{"), "index.json cannot be read"),
        (
            lambda f: (f / "model.safetensors.index.json").write_text('{"weight_map": {"w": "model-2.safetensors"}}'),
            "model-2.safetensors is not there",
        ),
    ],
)  # fmt: skip
def test_a_broken_checkpoint_is_left_out_with_a_sentence(made, saved, tmp_path, damage, sentence, where):
    pattern = made(1, 2, 3)
    damage(tmp_path / f"checkpoint-{where + 1}")
    found = series.read(pattern, like=ModelArguments(str(saved)))
    assert steps(found) == [n for n in (1, 2, 3) if n != where + 1]
    with pytest.raises(AssertionError, match=sentence):
        raise AssertionError(the_fault(found))


@pytest.mark.parametrize(
    ("layers", "kept"),
    [((3, 3), [1, 2]), ((2, 3), [1]), ((2, 3, 3), [2, 3]), ((4, 3), [2]), ((3, 2, 2), [2, 3]), ((2, 2, 3), [1, 2])],
)
def test_a_series_has_the_rope_arms_shape_or_that_of_its_last_checkpoint(made, saved, tmp_path, layers, kept):
    pattern = made(*range(1, len(layers) + 1))
    for step, number in enumerate(layers, 1):
        save(tiny_llama(layers=number), tmp_path / f"checkpoint-{step}")
    found = series.read(pattern, like=ModelArguments(str(saved)))
    assert steps(found) == kept
    assert all("another shape than the others" in fault for fault in found.faults.values())


@pytest.mark.parametrize("share", [0.1, 0.5, 0.999])
def test_weights_cut_short_anywhere_are_noticed(made, tmp_path, share):
    pattern = made(1, 2)
    weights = tmp_path / "checkpoint-2" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[: int(share * weights.stat().st_size)])
    assert "model.safetensors is cut short" in the_fault(series.read(pattern))


def test_checkpoints_that_nobodys_trainer_wrote_need_no_state(made):
    assert steps(series.read(made(1, 2, state=False))) == [1, 2]


def test_a_name_that_contradicts_the_state_is_left_out(made, tmp_path):
    pattern = made(1, 2, 3)
    (tmp_path / "checkpoint-3" / series.STATE).write_text(json.dumps({"global_step": 9}))
    assert "says in trainer_state.json that it is step 9" in the_fault(series.read(pattern))


@pytest.mark.parametrize("name", ["2026.01.02123456", "drope-7b-v2", "m-3"])
def test_a_state_knows_better_than_digits_of_a_name_that_are_not_called_a_step(made, tmp_path, name):
    pattern = made(70)
    (tmp_path / "checkpoint-70").rename(tmp_path / name)
    made(5, 700)
    found = series.read([str(tmp_path / name), *(str(tmp_path / f"checkpoint-{n}") for n in (5, 700))])
    assert (steps(found), found.faults) == ([5, 70, 700], {})
    assert steps(series.read(pattern)) == [5, 700]


def test_a_series_is_in_the_order_of_its_units_and_keeps_them_in_its_labels(made, tmp_path):
    made(1, 2, 3, state=False)
    for step, name in ((1, "m-step-1M"), (2, "m-step-500k"), (3, "m-step-750k")):
        (tmp_path / f"checkpoint-{step}").rename(tmp_path / name)
    found = series.read(str(tmp_path / "m-step-*"))
    assert [c.label for c in found.usable] == ["step500k", "step750k", "step1M"]
    assert steps(found) == [500_000, 750_000, 1_000_000]
    assert series.label_of(found.usable[-1].args) == "step1M"


def test_a_checkpoint_whose_step_is_not_known_is_left_out_and_said(made, tmp_path):
    made(1, 2, 3, state=False)
    (tmp_path / "checkpoint-3").rename(tmp_path / "checkpoint-v3")
    found = series.read(str(tmp_path / "checkpoint-*"))
    assert steps(found) == [1, 2]
    assert "tells no step: name its folder checkpoint-N" in the_fault(found)


@pytest.mark.parametrize("broken", [False, True])
def test_two_checkpoints_of_one_step_are_both_left_out_whether_one_is_broken_or_not(made, tmp_path, broken):
    made(1, 2, state=False)
    (tmp_path / "checkpoint-2").rename(tmp_path / "other-2")
    made(2, state=False)
    if broken:
        (tmp_path / "other-2" / "model.safetensors").write_bytes(b"cut short")
    found = series.read([str(tmp_path / name) for name in ("checkpoint-1", "checkpoint-2", "other-2")])
    assert steps(found) == [1]
    assert "step 2 is claimed by " in the_fault(found)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("runs/nothing-*", "no folder fits 'runs/nothing-\\*'"),
        ("a/b;c/d", "no checkpoint of the series tells its step"),
        ("m,dtyp=1;n", "did you mean 'dtype'"),
    ],
)
def test_a_series_that_is_none_gets_a_sentence(given, sentence):
    with pytest.raises(ValueError, match=sentence):
        series.read(given)


def test_a_series_of_which_nothing_is_left_is_an_error(made, tmp_path):
    pattern = made(1, 2)
    for number in (1, 2):
        (tmp_path / f"checkpoint-{number}" / "model.safetensors").unlink()
    with pytest.raises(
        ValueError, match=r"no checkpoint of the series can be measured; the first: .*checkpoint-1 holds no"
    ):
        series.read(pattern)


def test_a_pattern_may_mean_stored_names_when_no_folder_is_left():
    known = ["gone/checkpoint-2", "gone/checkpoint-1", "other"]
    assert steps(series.read("gone/checkpoint-*", known=known)) == [1, 2]


@pytest.fixture
def hub(monkeypatch):
    refs = SimpleNamespace(branches=[SimpleNamespace(name=n) for n in ("main", "step-20", "step-3")], tags=[])
    monkeypatch.setattr(huggingface_hub, "list_repo_refs", lambda name: refs)


def test_a_pattern_of_revisions_is_all_branches_and_tags_that_fit(hub):
    found = series.read("org/model,revision=step-*")
    assert [c.args.revision for c in found.usable] == ["step-3", "step-20"]
    assert found.note == ""


def test_revisions_may_be_listed():
    assert steps(series.read("org/m,revision=step-3;org/m,revision=step-20")) == [3, 20]


def test_a_pattern_of_revisions_that_fits_none_gets_a_sentence(hub):
    with pytest.raises(ValueError, match=r"org/model has no branch or tag that fits 'v\*'"):
        series.read("org/model,revision=v*")


def test_a_hub_that_cannot_be_asked_for_revisions_gets_a_sentence(monkeypatch):
    def fail(name):
        raise errors.HFValidationError("no")

    monkeypatch.setattr(huggingface_hub, "list_repo_refs", fail)
    with pytest.raises(ValueError, match="is neither a folder here nor a model id"):
        series.read("what is this,revision=step-*")


def test_a_pattern_of_revisions_of_a_folder_gets_a_sentence(saved):
    with pytest.raises(ValueError, match="is a folder, which has no revisions"):
        series.read(f"{saved},revision=step-*")


def test_the_last_checkpoint_of_a_run_is_known_as_such(made, tmp_path):
    made(999, 1000)
    assert not series.finished(tmp_path / "checkpoint-999")
    assert series.finished(tmp_path / "checkpoint-1000")
    assert not series.finished(tmp_path)


def test_gguf_files_are_a_series_and_a_damaged_one_gets_a_sentence(tmp_path):
    for step in (100, 20):
        write(tiny_llama(layers=2, hidden_size=64), tmp_path / f"checkpoint-{step}.gguf")
    write(tiny_llama(layers=3, hidden_size=64), tmp_path / "checkpoint-40.gguf")
    (tmp_path / "checkpoint-60.gguf").write_bytes((tmp_path / "checkpoint-20.gguf").read_bytes()[:-5000])
    found = series.read(str(tmp_path / "checkpoint-*.gguf"))
    assert steps(found) == [20, 100]
    assert "another shape than the others: num_hidden_layers is 3 and not 2" in found.faults["step40"]
    assert "checkpoint-60.gguf is cut short" in found.faults["step60"]


def test_the_digits_of_a_quantization_are_no_step():
    for text in ("package=weights,file=Model-135M.Q4_1.gguf", "runs/Model.Q4_1.gguf"):
        assert series.step_of(parse(text)) is None
        assert series.read(text).checkpoints[0].label == text.rpartition("=")[2].rpartition("/")[2]


def test_the_tokens_of_a_step_are_read_from_the_note_of_the_run(tmp_path):
    (tmp_path / "checkpoint-2").mkdir()
    args = parse(str(tmp_path / "checkpoint-2"))
    assert series.tokens_per_step(args) is None
    assert series.tokens_per_step(parse("org/model")) is None
    note = {"tokens": 256, "per_device_train_batch_size": 4, "gradient_accumulation_steps": 2, "world_size": 3}
    (tmp_path / "recalibration.json").write_text(json.dumps(note))
    assert series.tokens_per_step(args) == 256 * 4 * 2 * 3
