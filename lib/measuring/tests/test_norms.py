from types import SimpleNamespace

import numpy as np
import pytest
import torch
import transformers

from fixtures.models.architectures import SIZES, build, model_of
from fixtures.models.tiny import as_arm, plant, tiny_llama
from lib.definitions.words import NAMES
from lib.measuring.disruption import measure_disruption
from lib.measuring.norms import AT_ONCE_ON_CPU, POSITIONS_AT_ONCE, _dims, channel_norms, measure_norms, rows_that_fit
from lib.probing.rotation import position_response
from lib.probing.taps import Geometry
from lib.texts.reading import Text

pytestmark = pytest.mark.cpu

TEXTS = [Text(f"t{i}", "ab"[i % 2], "count", str(i)) for i in range(5)]
IDS = torch.randint(3, 259, (5, 24), generator=torch.Generator().manual_seed(2))
CUDA = torch.device("cuda")
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


def test_norms_without_the_first_position_are_those_of_all_others(arm):
    """By plain hooks on the projections."""
    record, found = measure_norms(arm, IDS, TEXTS), {}
    for layer in arm.model.model.layers:
        for name in NAMES:
            keep = lambda module, given, output, name=name: found.setdefault(name, []).append(output[:, 1:])  # noqa: E731
            getattr(layer.self_attn, f"{name[0]}_proj").register_forward_hook(keep)
    with torch.inference_mode():
        arm.model(IDS)
    for name in NAMES:
        norms = torch.stack(found[name], 1).square().mean(2).sqrt().unflatten(-1, (-1, 16)).numpy()
        np.testing.assert_allclose(record[f"{name}_rest_norm"], norms, rtol=1e-5)
        assert np.abs(record[f"{name}_norm"] - norms).max() > 1e-3


def test_positions_are_stretched_in_the_first_text_alone(arm):
    response = position_response(arm.model, IDS[:1])
    assert float(measure_norms(arm, IDS, TEXTS)["position_change"]) == response["change"]
    assert position_response(arm.model, IDS[:2])["change"] != response["change"]


@pytest.mark.parametrize(
    ("name", "value_dim", "dims"),
    [
        ("query", 16, ("head", "dim")),
        ("value", 16, ("kv_head", "dim")),
        ("key", 8, ("kv_head", "dim")),
        ("value", 8, ("kv_head", "value_dim")),
    ],
)
def test_values_have_a_dim_of_their_own_where_it_is_another(name, value_dim, dims):
    assert _dims(name, Geometry(3, 4, 2, 16, value_dim)) == dims


def test_a_half_precision_copy_gives_norms_in_float32():
    arm = as_arm(tiny_llama().bfloat16())
    record = measure_norms(arm, IDS, TEXTS)
    assert record["value_norm"].dtype == np.float32
    assert np.isfinite(record["nll"]).all()


def test_overflowing_states_are_an_error_and_no_record():
    model = tiny_llama()
    plant(model, "value", 2, 0, 0, factor=float("inf"))
    with pytest.raises(ValueError, match="not finite"):
        measure_norms(as_arm(model), IDS, TEXTS)


def test_longer_texts_get_fewer_rows(arm):
    assert rows_that_fit(arm, 10) >= rows_that_fit(arm, 1000) >= 1
    assert rows_that_fit(arm, 10**12) == 1


def test_rows_fill_half_of_the_memory_at_a_number_for_each_logit_and_four_for_each_inner_one(arm, monkeypatch):
    config = arm.model.config
    config.vocab_size, config.intermediate_size, config.hidden_size = 500_000, 100_000, 50_000
    assert rows_that_fit(arm, 64) == 2 * 1024**3 // (64 * 4 * (500_000 + 4 * 100_000))
    config.__dict__["intermediate_size"] = None  # its class allows it to no one
    assert rows_that_fit(arm, 64) == 2 * 1024**3 // (64 * 4 * (500_000 + 4 * 4 * 50_000))
    free = 64 * 10**9
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda device: (free, 7 * free) if device == CUDA else None)
    on_gpu = SimpleNamespace(config=config, dtype=torch.float16, device=CUDA)
    assert rows_that_fit(SimpleNamespace(model=on_gpu), 10) == free // 2 // (10 * 2 * 1_300_000) > 1_000


def test_a_processor_reads_no_more_at_once_than_its_caches_like_and_a_gpu_all_that_fits(arm, monkeypatch):
    assert [rows_that_fit(arm, tokens) for tokens in (AT_ONCE_ON_CPU // 4, AT_ONCE_ON_CPU + 1)] == [4, 1]
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda device: (2**33, 2**34))
    on_gpu = SimpleNamespace(config=arm.model.config, dtype=torch.float16, device=CUDA)
    assert rows_that_fit(SimpleNamespace(model=on_gpu), AT_ONCE_ON_CPU) > 4


def test_as_many_texts_run_at_once_as_fit_with_this_length(arm, monkeypatch):
    asked = []
    monkeypatch.setattr("lib.measuring.norms.rows_that_fit", lambda arm, tokens, chunk: asked.append(tokens) or 2)
    measure_norms(arm, IDS, TEXTS)
    assert asked == [IDS.shape[1]]


def test_heads_beyond_the_positions_that_are_widened_at_once_are_counted():
    states = torch.randn(3, POSITIONS_AT_ONCE + 2, 4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(channel_norms(states), states.square().mean(0).sqrt())


def test_states_without_positions_are_refused():
    with pytest.raises(ValueError, match="no positions"):
        channel_norms(torch.zeros(1, 0, 2, 4))


@pytest.mark.parametrize("value", [300.0, 60000.0])
def test_half_precision_states_whose_squares_overflow_have_the_right_norm(value):
    norms = channel_norms(torch.full((4, 2, 3), value, dtype=torch.float16))
    assert norms.dtype == torch.float32
    assert torch.equal(norms, torch.full((2, 3), torch.tensor(value, dtype=torch.float16).item()))


@pytest.mark.parametrize("broken", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_states_that_are_not_finite_are_refused(broken, dtype):
    states = torch.ones(3, 2, 4, dtype=dtype)
    states[2, 1, 3] = broken
    with pytest.raises(ValueError, match="norm is not finite"):
        channel_norms(states)


@pytest.mark.parametrize("sign", [1, -1])
def test_the_norm_of_a_constant_channel_is_its_magnitude_whatever_the_length(sign):
    for positions in (1, 4, 9):
        assert torch.equal(channel_norms(torch.full((positions, 2, 3), sign * 2.5)), torch.full((2, 3), 2.5))


def test_norms_of_a_batch_are_the_norms_of_its_texts():
    states = torch.randn(2, 3, 7, 2, 4, generator=torch.Generator().manual_seed(0))
    alone = torch.stack([torch.stack([channel_norms(text) for text in group]) for group in states])
    torch.testing.assert_close(channel_norms(states), alone)


@pytest.mark.parametrize("given", [64, [48, 64], None, "64", [], {"wide": 64}])
def test_rows_fit_whatever_a_config_calls_its_intermediate_size(arm, given):
    arm.model.config.__dict__["intermediate_size"] = given
    assert rows_that_fit(arm, 10) >= 1


def test_a_model_whose_layers_differ_in_intermediate_size_is_measured():
    config = transformers.AutoConfig.for_model(
        "gemma3n_text",
        **SIZES
        | {"intermediate_size": [48, 64], "num_key_value_heads": 2, "head_dim": 8, "vocab_size_per_layer_input": 64}
        | {"activation_sparsity_pattern": [0.5, 0.0], "hidden_size_per_layer_input": 8, "laurel_rank": 8}
        | {"layer_types": ["sliding_attention", "full_attention"], "num_kv_shared_layers": 0, "altup_num_inputs": 2},
    )
    record = measure_norms(as_arm(model_of(config)), IDS % 64, TEXTS)
    assert record["query_norm"].shape == (5, 2, 4, 8)


@pytest.mark.parametrize("name", ["gpt2", "opt"])
@pytest.mark.parametrize("tokens", [24, 200, 256])
def test_learned_positions_are_stretched_only_as_far_as_the_table_goes(name, tokens):
    ids = torch.randint(1, 64, (1, tokens), generator=torch.Generator().manual_seed(2))
    record = measure_norms(as_arm(build(name)), ids, TEXTS[:1])  # its table holds 256
    assert float(record["position_change"]) > 0.01
    assert not record["frequency"].any()


@pytest.mark.parametrize("name", ["gpt2", "opt", "gptj"])
def test_a_text_longer_than_the_table_of_positions_is_refused_in_a_sentence(name):
    with pytest.raises(ValueError, match="holds 20 positions and the texts have 24 tokens: lower --max-tokens to 20"):
        measure_norms(as_arm(build(name, max_position_embeddings=20)), IDS % 64, TEXTS)


def test_a_rotation_has_no_table_and_goes_on_as_far_as_the_texts():
    model = tiny_llama(max_position_embeddings=20)
    assert measure_norms(as_arm(model), IDS, TEXTS)["position_change"] > 0.01
