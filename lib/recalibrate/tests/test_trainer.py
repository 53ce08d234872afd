import shutil

import pytest
import torch
import transformers

from fixtures.models.tiny import byte_tokenizer, tiny_llama
from lib.recalibrate.options import Training
from lib.recalibrate.resuming import newest
from lib.recalibrate.stopping import Stopped
from lib.recalibrate.trainer import Recalibrator, regroup

pytestmark = pytest.mark.cpu


def groups_of(model, groups, lr=1.0):
    optimizer = torch.optim.AdamW([{"params": list(model.parameters()), "weight_decay": 0.1}], lr=lr)
    regroup(optimizer, model, groups)
    names = {weight: name for name, weight in model.named_parameters()}
    return [({names[w] for w in group["params"]}, group) for group in optimizer.param_groups], names


def test_weights_get_the_optimizer_settings_of_the_first_pattern_that_matches():
    found, names = groups_of(tiny_llama(), {"q_proj": {"lr": 3.0}, "[qk]_proj": {"eps": 0.5, "weight_decay": 0.0}})
    settings = {name: (g["lr"], g["eps"], g["weight_decay"]) for chosen, g in found for name in chosen}
    assert len(settings) == len(names)
    assert settings["model.layers.1.self_attn.q_proj.weight"] == (3.0, 1e-8, 0.1)
    assert settings["model.layers.1.self_attn.k_proj.weight"] == (1.0, 0.5, 0.0)
    assert settings["model.layers.1.self_attn.v_proj.weight"] == (1.0, 1e-8, 0.1)


@pytest.mark.parametrize(
    ("groups", "sentence"),
    [
        ({"r_proj": {"lr": 1}}, "no weight has a name that matches 'r_proj'"),
        ({"q_proj": {"rate": 1}}, "no setting 'rate'"),
    ],
)
def test_groups_that_mean_nothing_get_a_sentence(groups, sentence):
    with pytest.raises(ValueError, match=sentence):
        groups_of(tiny_llama(), groups)


def test_all_weights_keep_the_settings_of_their_group_where_no_pattern_matches():
    model = tiny_llama()
    weights = list(model.parameters())
    optimizer = torch.optim.AdamW([{"params": weights[:3]}, {"params": weights[3:], "weight_decay": 0.0}], lr=1.0)
    regroup(optimizer, model, {"norm": {"lr": 0.5}})
    decays = {id(weight): group["weight_decay"] for group in optimizer.param_groups for weight in group["params"]}
    assert [decays[id(weight)] for weight in weights] == [0.01] * 3 + [0.0] * (len(weights) - 3)


@pytest.fixture
def trainer(tmp_path):
    """A Trainer of a tiny model on random tokens; it saves every two steps."""

    def make(model=None, **options):
        ids = torch.randint(3, 259, (16, 8), generator=torch.Generator().manual_seed(0)).tolist()
        settings = {"max_steps": 6, "save_steps": 2, "per_device_train_batch_size": 2, "learning_rate": 1e-2}
        training = Training(str(tmp_path), use_cpu=True, disable_tqdm=True, **{**settings, **options})
        return Recalibrator(
            model or tiny_llama(layers=1),
            training,
            train_dataset=[{"input_ids": row, "labels": row} for row in ids],
            data_collator=transformers.default_data_collator,
            processing_class=byte_tokenizer(),
            groups={},
            dropped=True,
        )

    return make


def left(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_ends_the_training_and_the_last_good_checkpoint_stays(
    trainer, tmp_path, monkeypatch, bad
):
    compute = transformers.Trainer.compute_loss

    def spoil(self, *args, **options):
        return compute(self, *args, **options) * (bad if self.state.global_step == 4 else 1)

    monkeypatch.setattr(transformers.Trainer, "compute_loss", spoil)
    with pytest.raises(
        ValueError, match=f"^the loss of step 5 is {bad}: .* the last good checkpoint is .*nt-4; give a"
    ):
        trainer().train()
    assert left(tmp_path) == ["checkpoint-2", "checkpoint-4"]
    assert newest(tmp_path) == tmp_path / "checkpoint-4"
    monkeypatch.undo()
    trainer().train(resume_from_checkpoint=str(tmp_path / "checkpoint-4"))
    assert newest(tmp_path) == tmp_path / "checkpoint-6"


def test_gradients_that_are_not_finite_end_the_training_before_they_reach_a_weight(trainer, tmp_path):
    made = trainer()
    weight = made.model.lm_head.weight
    weight.register_hook(lambda gradient: gradient * float("nan"))
    before = weight.detach().clone()
    with pytest.raises(ValueError, match=r"^the norm of the gradients of step 1 is nan: .* no checkpoint is saved yet"):
        made.train()
    assert torch.equal(weight, before)
    assert left(tmp_path) == []


def test_weights_that_are_not_finite_are_not_saved(trainer, tmp_path, monkeypatch):
    made = trainer()

    def spoil(state):
        if state.global_step == 4:
            made.model.lm_head.weight.data[0, 0] = float("inf")

    made.add_callback(
        type("Spoil", (transformers.TrainerCallback,), {"on_step_end": lambda s, a, state, c, **_: spoil(state)})
    )
    with pytest.raises(ValueError, match=r"^the weights are not finite after step 4 \(lm_head.weight\): they are not"):
        made.train()
    assert left(tmp_path) == ["checkpoint-2"]


def test_a_model_that_is_not_finite_from_the_start_is_not_trained(trainer, tmp_path):
    model = tiny_llama(layers=1)
    model.lm_head.weight.data[0, 0] = float("nan")
    with pytest.raises(ValueError, match=r"^the weights are not finite after step 0"):
        trainer(model).train()
    assert left(tmp_path) == []


def test_what_cannot_be_saved_is_known_before_the_first_step_and_nothing_is_left(trainer, tmp_path, monkeypatch):
    made = trainer()
    made.model.generation_config.temperature = 1e-6
    monkeypatch.setattr(made, "training_step", lambda *_, **__: pytest.fail("a step was trained"))
    with pytest.raises(ValueError, match=r"^no checkpoint of this model can be saved: .*temperature"):
        made.train()
    assert left(tmp_path) == []


@pytest.mark.parametrize(("free", "trained"), [(0, []), (10_000_000, ["checkpoint-2"])])
def test_a_disk_without_room_for_a_checkpoint_is_noticed_before_it_is_written(
    trainer, tmp_path, monkeypatch, free, trained
):
    room = iter([10_000_000, 10_000_000, 0, 0])  # before the first step, and at each checkpoint
    monkeypatch.setattr(shutil, "disk_usage", lambda _: type("", (), {"free": next(room) and free})())
    with pytest.raises(ValueError, match=r"^a checkpoint needs 0.000\d+ GB and .* has room for 0: make room, then the"):
        trainer().train()
    assert left(tmp_path) == trained


@pytest.mark.parametrize("part", ["_save_rng_state", "save_model"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), RuntimeError("write failed"), Stopped(15)])
def test_a_save_that_fails_leaves_nothing_half_written(trainer, tmp_path, monkeypatch, part, error):
    made = trainer()
    save = getattr(made, part)

    def fail(folder, *args, **options):
        save(folder, *args, **options)
        if made.state.global_step == 4:
            raise error

    monkeypatch.setattr(made, part, fail)
    with pytest.raises(
        (ValueError, Stopped), match=r"checkpoint-4 cannot be saved \((.*No space|write failed)|^SIGTERM$"
    ):
        made.train()
    assert left(tmp_path) == ["checkpoint-2"]
    assert newest(tmp_path) == tmp_path / "checkpoint-2"
