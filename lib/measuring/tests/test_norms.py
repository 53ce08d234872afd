import numpy as np
import pytest
import torch

from fixtures.models.tiny import as_arm, plant, tiny_llama
from lib.definitions.words import NAMES
from lib.measuring.disruption import measure_disruption
from lib.measuring.norms import measure_norms, rows_that_fit
from lib.texts.reading import Text

pytestmark = pytest.mark.cpu

TEXTS = [Text(f"t{i}", "ab"[i % 2], "count", str(i)) for i in range(5)]
IDS = torch.randint(3, 259, (5, 24), generator=torch.Generator().manual_seed(2))
NOTHING = {"query": torch.zeros(3, 4, 16, dtype=torch.bool), "key": torch.zeros(3, 2, 16, dtype=torch.bool)}


@pytest.fixture
def arm():
    return as_arm(tiny_llama(kv_heads=2))


def test_a_record_is_labelled(arm):
    record = measure_norms(arm, IDS, TEXTS)
    assert record["query_norm"].dims == ("text", "layer", "head", "dim")
    assert record["key_norm"].shape == (5, 3, 2, 16)
    assert record["text"].values.tolist() == ["t0", "t1", "t2", "t3", "t4"]
    assert record["kind"].values.tolist() == ["a", "b", "a", "b", "a"]


def test_the_number_of_rows_does_not_change_a_record(arm):
    whole, single = measure_norms(arm, IDS, TEXTS, rows=5), measure_norms(arm, IDS, TEXTS, rows=1)
    for name in NAMES:
        np.testing.assert_allclose(whole[f"{name}_norm"], single[f"{name}_norm"], rtol=1e-5)
    np.testing.assert_allclose(whole["nll"], single["nll"], atol=1e-5)


def test_progress_is_told_of_every_text(arm):
    seen = []
    measure_norms(arm, IDS, TEXTS, rows=2, progress=seen.append)
    measure_disruption(arm, IDS, TEXTS, NOTHING, controls=1, seed=0, progress=seen.append)
    assert seen == [2, 2, 1, 1, 1, 1, 1, 1]


def test_a_half_precision_copy_gives_norms_in_float32():
    arm = as_arm(tiny_llama().bfloat16())
    record = measure_norms(arm, IDS, TEXTS)
    assert record["value_norm"].dtype == np.float32
    assert np.isfinite(record["nll"]).all()


def test_nothing_to_zero_disrupts_nothing(arm):
    nll = measure_disruption(arm, IDS, TEXTS, NOTHING, controls=2, seed=0)["nll"]
    assert nll.condition.values.tolist() == ["baseline", "massive", "control 0", "control 1"]
    np.testing.assert_allclose(nll, nll.sel(condition="baseline").broadcast_like(nll), atol=1e-6)


def test_zeroing_a_planted_channel_moves_the_loss_and_a_control_hardly_does():
    model = tiny_llama(kv_heads=2)
    plant(model, "query", 0, 0, 3)
    plant(model, "key", 0, 0, 3)
    chosen = {name: mask.clone() for name, mask in NOTHING.items()}
    chosen["query"][0, 0, 3] = chosen["key"][0, 0, 3] = True
    nll = measure_disruption(as_arm(model), IDS, TEXTS, chosen, controls=3, seed=0)["nll"]
    moved = abs(nll - nll.sel(condition="baseline")).mean("text")
    assert moved.sel(condition="massive") > 10 * moved.sel(condition=["control 0", "control 1", "control 2"]).max()


def test_overflowing_states_are_an_error_and_no_record():
    model = tiny_llama()
    plant(model, "value", 2, 0, 0, factor=float("inf"))
    with pytest.raises(ValueError, match="not finite"):
        measure_norms(as_arm(model), IDS, TEXTS)


def test_longer_texts_get_fewer_rows(arm):
    assert rows_that_fit(arm, 10) >= rows_that_fit(arm, 1000) >= 1
    assert rows_that_fit(arm, 10**12) == 1
