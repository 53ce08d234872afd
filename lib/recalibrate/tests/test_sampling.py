"""Texts that a model writes itself: its own distribution, the same again after a stop, and used as they are."""

import json

import datasets
import numpy as np
import pytest
import torch
from scipy import stats

from fixtures.models.tiny import save, tiny_llama
from lib.models import load
from lib.recalibrate import sampling
from lib.recalibrate.run import Recalibration, Training, recalibrate
from lib.recalibrate.texts import read, rows

pytestmark = pytest.mark.cpu

TOKENS = 12


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(sampling, "ROWS", 4)


@pytest.fixture
def folder(tmp_path):
    return save(tiny_llama(layers=2), tmp_path / "model")


@pytest.fixture
def arm(folder):
    return load(str(folder), device="cpu")


def written(file):
    return [json.loads(line)["input_ids"] for line in file.read_text().splitlines()]


def sample(arm, file, total=120, seed=0):
    return sampling.sample(arm, "this model", file, total=total, tokens=TOKENS, seed=seed)


def test_rows_are_whole_begin_with_the_start_token_and_hold_as_many_tokens_as_asked(arm, tmp_path):
    found = written(sample(arm, tmp_path / "self.jsonl"))
    assert len(found) == 10
    assert {len(row) for row in found} == {TOKENS}
    assert {row[0] for row in found} == {arm.tokenizer.bos_token_id}
    assert len({tuple(row) for row in found}) == 10


def test_the_second_token_comes_from_the_models_own_distribution(arm, monkeypatch):
    monkeypatch.setattr(sampling, "ROWS", 4000)
    with torch.no_grad():
        arm.model.lm_head.weight *= 40  # so that it is far from uniform
        start = arm.tokenizer.bos_token_id
        known = len(arm.tokenizer)
        expected = arm.model(torch.tensor([[start]])).logits[0, -1, :known].softmax(-1).numpy()
    drawn = np.bincount(sampling.rows(arm, start, 2, seed=3)[:, 1], minlength=known)
    likely = expected > 0.002
    table = [np.append(v[likely], v[~likely].sum()) for v in (drawn, 4000 * expected)]
    table[1] *= table[0].sum() / table[1].sum()
    assert stats.chisquare(*table).pvalue > 0.001
    assert stats.chisquare(table[0], np.full(len(table[0]), 4000 / len(table[0]))).pvalue < 1e-6  # it can fail


def test_later_tokens_are_drawn_given_all_earlier_ones(arm, monkeypatch):
    """With a distribution that is nearly certain, every row is what greedy decoding gives without a cache."""
    monkeypatch.setattr(sampling, "ROWS", 2)
    with torch.no_grad():
        arm.model.lm_head.weight *= 1e5
    start = arm.tokenizer.bos_token_id
    row = torch.tensor([[start]])
    for _ in range(TOKENS - 1):
        logits = arm.model(row).logits[:, -1:, : len(arm.tokenizer)]
        row = torch.cat([row, logits.argmax(-1)], 1)
    assert sampling.rows(arm, start, TOKENS, seed=0).tolist() == row.tolist() * 2


def test_a_stopped_file_is_gone_on_with_and_becomes_the_same(arm, tmp_path):
    whole = sample(arm, tmp_path / "a.jsonl")
    sample(arm, tmp_path / "b.jsonl")
    lines = whole.read_bytes().splitlines(keepends=True)
    (tmp_path / "b.jsonl").write_bytes(b"".join(lines[:6]) + lines[6][:20])  # a batch and a half, and half a line
    assert sample(arm, tmp_path / "b.jsonl").read_bytes() == whole.read_bytes()
    assert written(sample(arm, tmp_path / "c.jsonl", seed=1)) != written(whole)


def test_a_file_of_another_model_is_refused(arm, tmp_path):
    sample(arm, tmp_path / "self.jsonl")
    with pytest.raises(ValueError, match="was sampled with seed 0, now it is 1: delete it, or give it itself"):
        sample(arm, tmp_path / "self.jsonl", seed=1)


def test_a_model_without_start_token_begins_with_its_end_token_and_one_without_both_is_refused(arm, tmp_path):
    arm.tokenizer.bos_token = None
    assert {row[0] for row in written(sample(arm, tmp_path / "a.jsonl"))} == {arm.tokenizer.eos_token_id}
    arm.tokenizer.eos_token = None
    with pytest.raises(ValueError, match="this model has neither a start nor an end token to begin a text with"):
        sample(arm, tmp_path / "b.jsonl")


def test_rows_are_trained_on_as_they_are(arm, tmp_path):
    file = sample(arm, tmp_path / "self.jsonl")
    documents, name = read([str(file)])
    used = rows(documents, name, arm.tokenizer, TOKENS)
    assert used["input_ids"] == used["labels"] == written(file)
    with pytest.raises(ValueError, match=f"the texts hold rows of {TOKENS} tokens: give --tokens so"):
        rows(documents, name, arm.tokenizer, TOKENS + 1)


@pytest.fixture
def train(folder, tmp_path):
    def go(name, texts, **changes):
        settings = Recalibration(str(folder), texts, tokens=TOKENS, **changes)
        training = Training(
            output_dir=str(tmp_path / name), max_steps=2, per_device_train_batch_size=2, use_cpu=True, disable_tqdm=True
        )
        return recalibrate(settings, training)

    return go


def test_a_model_is_recalibrated_on_what_it_wrote_with_its_rotation_and_its_control_on_the_same(train, arm, tmp_path):
    train("drope", ["self:100"])
    file = tmp_path / "drope" / "self.jsonl"
    assert written(file) == written(sample(arm, tmp_path / "expected.jsonl", total=100))
    train("continued", [str(file)], rotation="keep")
    rows = [
        json.loads((tmp_path / name / "recalibration.json").read_text())["first row"] for name in ("drope", "continued")
    ]
    assert rows[0] == rows[1]


@pytest.mark.parametrize("asked", [["self:5"], ["self:"], ["self:many"], ["self:100", "more.txt"]])
def test_a_wrong_number_of_tokens_gets_a_sentence(train, asked):
    with pytest.raises(
        ValueError, match=f"--texts {asked[0]}: write self:TOKENS alone, TOKENS being a whole number of 12"
    ):
        train("run", asked)
