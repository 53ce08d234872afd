"""The stream's record, against plain passes that keep every hidden state."""

import numpy as np
import pytest
import torch

from fixtures.models.architectures import build
from fixtures.models.tiny import as_arm, tiny_llama
from lib.measuring.stream import RANKS, first_and_rest, is_delimiter, measure_stream, runs
from lib.texts.reading import Text

pytestmark = pytest.mark.cpu
TEXTS = [Text("a", "plain", "count", "x"), Text("b", "odd", "count", "y"), Text("c", "odd", "count", "z")]


@pytest.fixture(scope="module")
def arm():
    return as_arm(tiny_llama(kv_heads=2, initializer_range=0.3))


@pytest.fixture(scope="module")
def tokens():
    ids = torch.randint(3, 259, (3, 20), generator=torch.Generator().manual_seed(0))
    ids[:, 7] = 3 + ord(".") - ord("!")  # byte tokens are sorted by their sign
    return ids


@pytest.fixture(scope="module")
def record(arm, tokens):
    return measure_stream(arm, tokens, TEXTS)


def hidden(arm, tokens):
    """The stream in every layer but behind the last one, whose hidden state transformers gives after the last norm."""
    with torch.inference_mode():
        states = arm.model(input_ids=tokens, use_cache=False, output_hidden_states=True).hidden_states
    return torch.stack(states[:-1], 1).double().numpy()  # [text, stream, pos, width]


def test_norms_are_those_of_the_hidden_states(arm, tokens, record):
    norms = np.linalg.norm(hidden(arm, tokens), axis=-1)
    np.testing.assert_allclose(record["stream_norm"].sel(where="first").values[:, :-1], norms[..., 0], rtol=1e-5)
    np.testing.assert_allclose(
        record["stream_norm"].sel(where="rest").values[:, :-1], norms[..., 1:].mean(-1), rtol=1e-5
    )


def test_the_largest_values_and_their_places_are_those_of_the_hidden_states(arm, tokens, record):
    magnitudes = np.abs(hidden(arm, tokens))
    flat = magnitudes.reshape(*magnitudes.shape[:2], -1)
    largest = record["largest"].values[:, :-1]
    np.testing.assert_allclose(np.abs(largest), -np.sort(-flat)[..., :RANKS], rtol=1e-5)
    middle = np.sort(flat)[..., (flat.shape[-1] - 1) // 2]
    np.testing.assert_allclose(record["median"].values[:, :-1], middle, rtol=1e-5)
    places = record["position"].values * record["width"].item() + record["channel"].values
    signed = hidden(arm, tokens).reshape(flat.shape)
    np.testing.assert_allclose(np.take_along_axis(signed, places[:, :-1], -1), largest, rtol=1e-5)
    assert (largest < 0).any()
    delimits = np.array([[is_delimiter(arm.tokenizer.decode([token])) for token in of] for of in tokens.tolist()])
    assert delimits.any()
    at = np.take_along_axis(delimits[:, None], record["position"].values.reshape(3, 1, -1), -1)
    assert (record["at_delimiter"].values.reshape(3, 1, -1) == at).all()


def test_what_is_added_is_what_the_modules_give(arm, tokens, record):
    given = {}
    layer = arm.model.model.layers[1]
    hooks = [
        layer.self_attn.register_forward_hook(lambda m, a, out: given.update(attention=out[0].double())),
        layer.mlp.register_forward_hook(lambda m, a, out: given.update(mlp=out.double())),
    ]
    with torch.inference_mode():
        arm.model(input_ids=tokens, use_cache=False)
    for hook in hooks:
        hook.remove()
    for part, states in given.items():
        norms = states.norm(dim=-1).numpy()
        found = record["added_norm"].sel(part=part).isel(layer=1)
        np.testing.assert_allclose(found.sel(where="first").values, norms[:, 0], rtol=1e-5)
        np.testing.assert_allclose(found.sel(where="rest").values, norms[:, 1:].mean(1), rtol=1e-5)


def test_norms_over_runs_are_those_of_the_hidden_states(arm, tokens, record):
    norms = np.linalg.norm(hidden(arm, tokens), axis=-1)
    assert record.sizes["run"] == 20  # each position of a short text is a run of its own
    np.testing.assert_allclose(record["run_norm"].values[:, :-1], norms, rtol=1e-5)


def test_norms_of_states_are_those_of_the_projections(arm, tokens, record):
    given = {}
    attention = arm.model.model.layers[1].self_attn
    hooks = [
        getattr(attention, f"{name[0]}_proj").register_forward_hook(
            lambda m, a, out, name=name: given.update({name: out.double().norm(dim=-1).numpy()})
        )
        for name in ("query", "key", "value")
    ]
    with torch.inference_mode():
        arm.model(input_ids=tokens, use_cache=False)
    for hook in hooks:
        hook.remove()
    for name, norms in given.items():
        found = record["state_norm"].sel(state=name).isel(layer=1)
        np.testing.assert_allclose(found.sel(where="first").values, norms[:, 0], rtol=1e-5)
        np.testing.assert_allclose(found.sel(where="rest").values, norms[:, 1:].mean(1), rtol=1e-5)


@pytest.mark.parametrize(
    ("tokens", "sizes"), [(2, [1, 1]), (33, [1] * 33), (65, [1, *[2] * 32]), (66, [1, 3, *[2] * 31])]
)
def test_the_first_position_is_a_run_of_its_own_and_the_others_are_alike(tokens, sizes):
    run_of, number = runs(tokens)
    assert torch.bincount(run_of, minlength=number).tolist() == sizes
    assert (run_of.diff() >= 0).all()


@pytest.mark.parametrize("rows", [1, 2])
def test_fewer_texts_at_once_give_the_same(arm, tokens, record, rows):
    moved = []
    found = measure_stream(arm, tokens, TEXTS, rows=rows, progress=moved.append)
    for name in ("stream_norm", "run_norm", "added_norm", "state_norm", "median", "largest", "nll"):
        np.testing.assert_allclose(found[name].values, record[name].values, rtol=1e-4)
    assert sum(moved) == 3


def test_a_planted_massive_activation_is_found_where_it_was_planted(tokens):
    model = tiny_llama()
    with torch.no_grad():
        model.model.embed_tokens.weight[5, 17] = 500.0
    ids = tokens.clone()
    ids[:, 11] = 5
    found = measure_stream(as_arm(model), ids, TEXTS)
    assert (found["position"].values[..., 0] == 11).all()
    assert (found["channel"].values[..., 0] == 17).all()
    assert (found["largest"].values[..., 0] / found["median"].values > 1000).all()


def test_layers_with_norms_behind_their_parts_add_what_comes_out_of_these(tokens):
    model = build("gemma3_text")
    ids = tokens % 60
    found = measure_stream(as_arm(model), ids, TEXTS)
    added = hidden(as_arm(model), ids)
    gained = np.linalg.norm(added[:, 1] - added[:, 0], axis=-1)[:, 0]
    parts = found["added_norm"].isel(layer=0).sel(where="first").values
    assert (np.abs(parts[:, 0] - parts[:, 1]) <= gained + 1e-5).all()
    assert (gained <= parts.sum(1) + 1e-5).all()


def test_states_that_are_not_finite_or_of_one_position_are_refused():
    with pytest.raises(ValueError, match="the stream is not finite"):
        first_and_rest(torch.tensor([[[1.0, torch.inf], [0.0, 1.0]]]))
    with pytest.raises(ValueError, match="a text needs at least two tokens"):
        first_and_rest(torch.ones(1, 1, 4))


@pytest.mark.parametrize(
    ("token", "expected"), [(".", True), (" ,\n", True), ("", False), (" a", False), ("</s>", False), ("—", True)]
)
def test_a_delimiter_is_punctuation_and_blanks_alone(token, expected):
    assert is_delimiter(token) is expected
