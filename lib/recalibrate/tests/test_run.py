"""Recalibration on a tiny model: resumed exactly, read by our loader and by the official arithmetic."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import datasets
import pytest
import torch
from safetensors.torch import load_file

from fixtures.models.gguf_files import write
from fixtures.models.tiny import save, tiny_llama
from lib.checkpoints import series
from lib.models.drope import NORMED
from lib.models.loading import load
from lib.models.tests.test_drope import run, tiny_qwen2, without_rotation
from lib.probing.rotation import position_response
from lib.recalibrate.options import Recalibration, Training
from lib.recalibrate.resuming import to_resume_from
from lib.recalibrate.run import main, prepare, recalibrate
from lib.recalibrate.trainer import Recalibrator

pytestmark = pytest.mark.cpu

ROOT = Path(__file__).parents[3]
SMALL = {"max_steps": 6, "save_steps": 2, "per_device_train_batch_size": 2, "learning_rate": 1e-2, "use_cpu": True}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def texts(tmp_path):
    lines = [json.dumps({"text": f"{i} the quick brown fox jumps over {i * i} lazy dogs"}) for i in range(40)]
    (tmp_path / "texts.jsonl").write_text("\n".join(lines))
    return str(tmp_path / "texts.jsonl")


@pytest.fixture
def start(tmp_path):
    """A model to start from; one with biases is not the same without them."""
    return {
        "llama": lambda: str(save(tiny_llama(layers=2, kv_heads=2), tmp_path / "llama")),
        "qwen2": lambda: str(save(tiny_qwen2(), tmp_path / "qwen2")),
    }


@pytest.fixture
def train(tmp_path, texts, start):
    """Recalibrates in this process and returns the folder of the run."""

    def go(folder="run", model=None, groups="{}", rotation="drop", attention_type="nope", streaming=False, **training):
        settings = Recalibration(model or start["llama"](), [texts], tokens=24, groups=groups, rotation=rotation)
        settings.attention_type, settings.streaming = attention_type, streaming
        options = {**SMALL, "disable_tqdm": True, **training}
        recalibrate(settings, Training(output_dir=str(tmp_path / folder), **options))
        return tmp_path / folder

    return go


def weights(folder):
    return load_file(folder / "model.safetensors")


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_a_checkpoint_is_saved_every_so_many_steps_and_all_differ(train):
    folder = train()
    found = series.read(str(folder / "checkpoint-*"))
    assert [c.step for c in found.usable] == [2, 4, 6]
    assert not found.faults
    assert not same(weights(folder / "checkpoint-2"), weights(folder / "checkpoint-4"))


@pytest.mark.parametrize("base", ["llama", "qwen2"])
@pytest.mark.parametrize("kind", list(NORMED))
def test_the_official_arithmetic_gives_the_logits_that_our_loader_gives(train, start, base, kind, ids):
    folder = train(model=start[base](), attention_type=kind) / "checkpoint-6"
    ours = load(str(folder), device="cpu").model
    plain = load(start[base](), device="cpu").model
    plain.load_state_dict({n: w for n, w in weights(folder).items() if "_norm.weight" not in n}, strict=False)
    norms = {
        name: weight for name, weight in weights(folder).items() if name.endswith(("q_norm.weight", "k_norm.weight"))
    }
    plain.load_state_dict(weights(folder), strict=False)
    theirs = run(without_rotation(plain, kind, norms=norms), ids)
    torch.testing.assert_close(run(ours, ids), theirs, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("base", "name"), [("llama", "Llama"), ("qwen2", "Qwen2")])
def test_a_checkpoint_says_what_published_ones_say(train, start, base, name):
    config = json.loads((train(model=start[base]()) / "checkpoint-6" / "config.json").read_text())
    assert config["model_type"] == f"{base}_drope"
    assert config["architectures"] == [f"DroPE{name}ForCausalLM"]
    assert config["attention_type"] == "nope"
    assert {value.split("drope.")[1] for value in config["auto_map"].values()} == {
        f"DroPE{name}Config",
        f"DroPE{name}ForCausalLM",
    }
    assert config["use_cache"] is True


def test_a_qk_norm_variant_stores_both_norms_and_trains_those_in_use(train):
    folder = train(attention_type="q_norm_nope")
    found = weights(folder / "checkpoint-6")
    changed = {
        name: bool((found[f"model.layers.0.self_attn.{name}.weight"] != 1).any()) for name in ("q_norm", "k_norm")
    }
    assert changed == {"q_norm": True, "k_norm": False}


@pytest.mark.parametrize(("kind", "trained"), [("nope", ""), ("k_norm_nope", "k"), ("qk_norm_nope", "qk")])
def test_every_weight_is_trained_but_a_norm_that_does_not_act(start, kind, trained):
    # several processes wait for the gradient of every weight that is trained
    settings = Recalibration(start["llama"](), [], attention_type=kind)
    weights = dict(prepare(settings).model.named_parameters())
    idle = {name for name, weight in weights.items() if not weight.requires_grad}
    norms = {name for name in weights if "q_norm" in name or "k_norm" in name}
    assert idle == {name for name in norms if name.split(".")[-2][0] not in trained}


def test_the_control_keeps_its_rotation_and_is_a_plain_checkpoint(train, ids):
    folder = train(rotation="keep") / "checkpoint-6"
    assert json.loads((folder / "config.json").read_text())["model_type"] == "llama"
    assert position_response(load(str(folder), device="cpu").model, ids)["change"] > 0.01


def test_treatment_and_control_see_the_same_texts_in_the_same_order(train, monkeypatch):
    seen = {}

    def note(self, model, inputs, *rest, **options):
        seen.setdefault(self.dropped, []).append(inputs["input_ids"].tolist())
        return step(self, model, inputs, *rest, **options)

    step = Recalibrator.training_step
    monkeypatch.setattr(Recalibrator, "training_step", note)
    train("drope"), train("continued", rotation="keep")
    assert seen[True] == seen[False]
    assert len(seen[True]) == 6


def test_a_run_that_is_cut_off_goes_on_to_the_same_weights(train, monkeypatch):
    whole = train("whole")
    step = Recalibrator.training_step
    calls = iter(range(100))

    def fail_in_the_fifth_step(self, *args, **options):
        if next(calls) == 4:
            raise KeyboardInterrupt
        return step(self, *args, **options)

    monkeypatch.setattr(Recalibrator, "training_step", fail_in_the_fifth_step)
    with pytest.raises(KeyboardInterrupt):
        train("cut")
    monkeypatch.undo()
    cut = train("cut")
    for n in (2, 4, 6):
        assert same(weights(whole / f"checkpoint-{n}"), weights(cut / f"checkpoint-{n}"))


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / series.STATE).unlink(),
        lambda folder: (folder / series.STATE).write_text('{"global_'),
        lambda folder: (folder / "model.safetensors").write_bytes(b"cut short"),
        lambda folder: (folder / "scheduler.pt").unlink(),
    ],
    ids=["state missing", "state cut short", "weights cut short", "nothing to resume with"],
)
def test_a_half_written_checkpoint_is_not_gone_on_from(train, damage):
    folder = train()
    # as a kill while checkpoint 6 was written leaves it: 4 can still be gone on from
    for name in ("optimizer.pt", "scheduler.pt", "rng_state.pth"):
        (folder / "checkpoint-4" / name).write_bytes((folder / "checkpoint-6" / name).read_bytes())
    damage(folder / "checkpoint-6")
    begun = json.loads((folder / "recalibration.json").read_text())
    assert to_resume_from(folder, begun) == folder / "checkpoint-4"


def test_a_finished_run_is_left_alone(train):
    folder = train()
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    train()
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


@pytest.mark.parametrize(
    "change", [{"learning_rate": 1e-3}, {"seed": 7}, {"rotation": "keep"}, {"groups": '{"q": {}}'}]
)
def test_a_run_is_not_gone_on_with_under_other_settings(train, change):
    train()
    (key,) = change
    with pytest.raises(ValueError, match=f"was begun with {key} .*: give another --output_dir"):
        train(**change)


def test_a_run_that_failed_before_its_first_checkpoint_may_be_begun_otherwise(train):
    with pytest.raises(ValueError, match="no weight has a name that matches 'r_proj'"):
        train(groups='{"r_proj": {"lr": 0.1}}')
    assert (train(groups='{"q_proj": {"lr": 0.1}}') / "checkpoint-6").is_dir()


def test_a_folder_with_other_checkpoints_is_refused(train, tmp_path):
    (tmp_path / "run" / "checkpoint-2").mkdir(parents=True)
    with pytest.raises(ValueError, match="holds checkpoints that were made otherwise"):
        train()


def test_only_the_newest_checkpoint_keeps_its_optimizer(train):
    folder = train()
    assert [path.parent.name for path in folder.rglob("optimizer.pt")] == ["checkpoint-6"]


def test_a_dataset_may_be_streamed_while_training(train):
    folder = train(streaming=True)
    assert [c.step for c in series.read(str(folder / "checkpoint-*")).usable] == [2, 4, 6]


def test_a_stream_without_a_number_of_steps_is_refused(train):
    with pytest.raises(ValueError, match="a dataset that is streamed has no known end: give --max_steps"):
        train(streaming=True, max_steps=-1)


def test_groups_change_what_is_trained(train):
    plain = weights(train("plain") / "checkpoint-6")
    frozen = weights(train("frozen", groups='{"q_proj": {"lr": 0.0}}') / "checkpoint-6")
    begun = tiny_llama(layers=2, kv_heads=2).state_dict()
    name = "model.layers.0.self_attn.{}_proj.weight"
    assert torch.equal(frozen[name.format("q")], begun[name.format("q")])
    assert not torch.equal(plain[name.format("q")], begun[name.format("q")])
    assert not torch.equal(frozen[name.format("k")], begun[name.format("k")])


@pytest.mark.parametrize("groups", ["not json", "[1]", '{"(": {}}', '{"q": 3}'])
def test_groups_that_cannot_be_read_get_a_sentence(train, groups):
    with pytest.raises(ValueError, match="--groups must be JSON of the form"):
        train(groups=groups)


def test_a_quantized_model_is_refused(train, start):
    with pytest.raises(ValueError, match="quantized weights cannot be trained"):
        train(model=f"{start['llama']()},load_in_4bit=True")


def test_another_architecture_is_refused(train, start):
    folder = Path(start["llama"]())
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "mistral"}))
    with pytest.raises(ValueError, match="is a 'mistral': Llama and Qwen2 can be recalibrated"):
        train(model=str(folder))


def test_a_control_without_rotation_is_refused(train):
    folder = train()
    with pytest.raises(ValueError, match="has no rotation to keep"):
        train("control", model=str(folder / "checkpoint-6"), rotation="keep")


def test_a_drope_checkpoint_is_trained_on_as_one(train, ids):
    folder = train("more", model=str(train() / "checkpoint-6")) / "checkpoint-6"
    assert position_response(load(str(folder), device="cpu").model, ids)["change"] == 0


def test_a_model_without_layers_is_refused(train, tmp_path):
    model = str(save(tiny_llama(layers=0), tmp_path / "flat"))
    with pytest.raises(ValueError, match="flat: the config has num_hidden_layers=0, not a whole number from 1"):
        train(model=model)


def test_settings_of_generating_that_cannot_be_saved_are_left_out_with_a_line(train, start, capsys):
    model = Path(start["llama"]())
    (model / "generation_config.json").write_text('{"do_sample": false, "temperature": 1e-6, "eos_token_id": [1, 7]}')
    saved = json.loads((train(model=str(model)) / "checkpoint-6" / "generation_config.json").read_text())
    assert "settings of generating that act on nothing: temperature 1e-06\n" in capsys.readouterr().out
    assert "temperature" not in saved
    assert saved["eos_token_id"] == [1, 7]


def test_what_a_killed_run_left_half_written_is_gone_when_it_has_gone_on(train, tmp_path):
    folder = train()
    (folder / "checkpoint-6" / series.STATE).unlink()
    for name in ("optimizer.pt", "scheduler.pt", "rng_state.pth"):
        (folder / "checkpoint-6" / name).rename(folder / "checkpoint-4" / name)
    (folder / "checkpoint-6" / "model-00001-of-00009.safetensors").touch()
    (folder / ".draft-1").mkdir()
    train()
    assert sorted(path.name for path in folder.iterdir()) == [
        *("checkpoint-2", "checkpoint-4", "checkpoint-6", "recalibration.json")
    ]
    assert not (folder / "checkpoint-6" / "model-00001-of-00009.safetensors").exists()


def test_a_training_that_ends_before_its_last_step_is_not_done(train, monkeypatch):
    step = Recalibrator.training_step

    def stop(self, *args, **options):
        self.control.should_training_stop = self.state.global_step == 2
        return step(self, *args, **options)

    monkeypatch.setattr(Recalibrator, "training_step", stop)
    with pytest.raises(ValueError, match=r"^the training ended at step 3 of 6: it was stopped, or its texts ended"):
        train()


def options(texts, model, out, *more):
    small = [f"--{key}={value}" for key, value in SMALL.items()]
    return ["--model", model, "--texts", texts, "--tokens=24", "--output_dir", str(out), *small, *more]


def command(texts, model, out, *more):
    return [sys.executable, "-m", "lib.recalibrate", *options(texts, model, out, *more)]


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_ends_a_run_with_one_sentence_and_the_same_command_goes_on(
    train, texts, start, tmp_path, monkeypatch, capsys, name
):
    step, save = Recalibrator.training_step, Recalibrator.save_model
    line = options(texts, start["llama"](), tmp_path / "cut")

    def signal_at(self, *args, **rest):
        if self.state.global_step == 3:
            os.kill(os.getpid(), getattr(signal, name))
        return step(self, *args, **rest)

    def signal_while_saving(self, folder, **rest):
        save(self, folder, **rest)
        os.kill(os.getpid(), getattr(signal, name))

    for method, patch in (("training_step", signal_at), ("save_model", signal_while_saving)):
        with monkeypatch.context() as patched:
            patched.setattr(Recalibrator, method, patch)
            with pytest.raises(SystemExit) as ended:
                main(line)
        assert ended.value.code == 128 + getattr(signal, name)
        said = [text for text in capsys.readouterr().err.splitlines() if text.startswith("recalibrate: ")]
        assert said == [
            f"recalibrate: stopped by {name}; the same command goes on from {tmp_path / 'cut' / 'checkpoint-2'}"
        ]
        assert sorted(path.name for path in (tmp_path / "cut").iterdir()) == ["checkpoint-2", "recalibration.json"]
    main(line)
    assert same(weights(train("whole") / "checkpoint-6"), weights(tmp_path / "cut" / "checkpoint-6"))


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--output_dir", ""], "--output_dir is empty: give it a value, or leave it out"),
        (["--split="], "--split is empty: give it a value, or leave it out"),
        (["--learning_rate", "nan"], "--learning_rate must be a finite number, not nan"),
        (["--save_steps", "inf"], "--save_steps must be a finite number, not inf"),
        (["--lr_scheduler_kwargs", "[1]"], "--lr_scheduler_kwargs"),
        (["--lr_scheduler_kwargs", '{"a": 1}'], "--lr_scheduler_kwargs cannot be used: "),
        (["--report_to", "wandb"], "WandbCallback requires wandb to be installed."),
        (["--accelerator_config", "nowhere.json"], "[Errno 2] No such file or directory: 'nowhere.json'"),
    ],
)
def test_an_option_that_cannot_be_used_ends_the_command_with_one_sentence(texts, start, tmp_path, more, sentence):
    with pytest.raises(SystemExit, match=f"^recalibrate: {re.escape(sentence)}") as ended:
        main(options(texts, start["llama"](), tmp_path / "run", *more))
    assert "\n" not in ended.value.code


def environment(tmp_path):
    return {**os.environ, "HF_DATASETS_CACHE": str(tmp_path / "cache"), "PYTHONPATH": str(ROOT)}


@pytest.mark.slow
def test_a_killed_command_given_again_ends_with_the_same_weights(texts, start, tmp_path):
    model, env = start["llama"](), environment(tmp_path)
    subprocess.run(
        command(texts, model, tmp_path / "whole", "--max_steps=60"), check=True, env=env, capture_output=True
    )
    killed = command(texts, model, tmp_path / "killed", "--max_steps=60")
    process = subprocess.Popen(killed, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 120
    while not list((tmp_path / "killed").glob("checkpoint-*")) and time.monotonic() < until:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "killed" / "checkpoint-60").exists()
    subprocess.run(killed, check=True, env=env, capture_output=True)
    assert same(weights(tmp_path / "whole" / "checkpoint-60"), weights(tmp_path / "killed" / "checkpoint-60"))


@pytest.mark.slow
def test_two_processes_train_what_one_with_accumulation_trains(texts, start, tmp_path):
    model, env = start["llama"](), environment(tmp_path)
    plain = ("--max_grad_norm=0", "--optim=sgd")  # AdamW would blow up rounding where gradients are next to nothing
    one = command(texts, model, tmp_path / "one", "--gradient_accumulation_steps=2", *plain)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m"]
    two = launch + command(texts, model, tmp_path / "two", *plain, "--ddp_backend=gloo")[2:]
    for line in (one, two):
        done = subprocess.run(line, env=env, capture_output=True, text=True, timeout=240)
        assert done.returncode == 0, done.stderr[-2000:]
    found = [weights(tmp_path / name / "checkpoint-6") for name in ("one", "two")]
    for name in found[0]:
        torch.testing.assert_close(found[0][name], found[1][name], rtol=0, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (("--model", "nowhere/at/all"), "nowhere/at/all is neither a folder here nor a model id"),
        (("--texts", "nothing.jsonl"), "there is no file nothing.jsonl"),
        (("--no_such_option", "1"), "no_such_option"),
        (("--rotation", "half"), "invalid choice: 'half'"),
    ],
)
def test_a_users_mistake_is_one_sentence_without_a_traceback(texts, start, tmp_path, change, sentence):
    line = command(texts, start["llama"](), tmp_path / "run", *change)
    done = subprocess.run(line, env=environment(tmp_path), capture_output=True, text=True)
    assert done.returncode != 0
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_a_gguf_file_is_recalibrated_like_a_folder(train, tmp_path):
    model = tiny_llama(layers=2, hidden_size=64)
    file, folder = write(model, tmp_path / "tiny.gguf"), save(model, tmp_path / "folder")
    last = [train(name, str(start), max_steps=2) / "checkpoint-2" for name, start in (("a", file), ("b", folder))]
    assert same(*map(weights, last))
    assert position_response(load(str(last[0]), device="cpu").model, torch.arange(16)[None])["change"] == 0
