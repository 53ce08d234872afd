import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from fixtures.models.tiny import DIM, plant, tiny_llama
from lib.definitions.massive import massive_mask, pooled_norms
from lib.definitions.words import NAMES, SCOPES
from lib.measuring.norms import channel_norms, norms_and_loss
from lib.probing.probe import geometry

pytestmark = pytest.mark.cpu

examples = settings(deadline=None, max_examples=60, derandomize=True, database=None)
# whole numbers: their sums are exact, so that no property below hangs on the order of a summation
whole_norms = arrays(
    np.float32, array_shapes(min_dims=3, max_dims=3, max_side=12), elements=st.sampled_from([0.0, 1, 2, 3, 40, 1000])
).map(torch.from_numpy)
thresholds = st.integers(9, 80).map(lambda eighths: eighths / 8)
scopes = st.sampled_from(SCOPES)


@pytest.mark.parametrize("name", NAMES)
def test_the_mask_finds_exactly_the_planted_channel(tiny, ids, name):
    plant(tiny, name, layer=1, head=0, dim=5)
    _, norms = norms_and_loss(tiny, ids, geometry(tiny))
    assert massive_mask(norms[name]).nonzero().tolist() == [[text, 1, 0, 5] for text in range(2)]


@examples
@given(norms=whole_norms, threshold=thresholds, scope=scopes, power=st.integers(-60, 60))
def test_scaling_by_a_power_of_two_changes_no_mask(norms, threshold, scope, power):
    scaled = massive_mask(norms * 2.0**power, threshold=threshold, scope=scope)
    assert torch.equal(scaled, massive_mask(norms, threshold=threshold, scope=scope))


@examples
@given(norms=whole_norms, pair=st.tuples(thresholds, thresholds).map(sorted), scope=scopes)
def test_a_larger_threshold_marks_a_subset(norms, pair, scope):
    loose, strict = (massive_mask(norms, threshold=threshold, scope=scope) for threshold in pair)
    assert not (strict & ~loose).any()


@examples
@given(norms=whole_norms, threshold=thresholds, scope=scopes, data=st.data())
def test_permuting_heads_permutes_the_mask(norms, threshold, scope, data):
    order = data.draw(st.permutations(range(norms.shape[-2])))
    permuted = massive_mask(norms[:, order], threshold=threshold, scope=scope)
    assert torch.equal(permuted, massive_mask(norms, threshold=threshold, scope=scope)[:, order])


@examples
@given(norms=whole_norms, threshold=thresholds, scope=scopes)
def test_at_most_one_channel_in_threshold_is_marked(norms, threshold, scope):
    mask = massive_mask(norms, threshold=threshold, scope=scope)
    dims = (-2, -1) if scope == "layer" else (-1,)
    size = np.prod([norms.shape[dim] for dim in dims])
    assert (mask.sum(dims) <= size / threshold).all()


@examples
@given(norms=whole_norms, threshold=thresholds)
def test_both_scopes_agree_on_a_layer_of_one_head(norms, threshold):
    flat = norms.flatten(1)[:, None]
    by_scope = [massive_mask(flat, threshold=threshold, scope=scope) for scope in SCOPES]
    assert torch.equal(*by_scope)


@examples
@given(norms=whole_norms, threshold=thresholds, scope=scopes)
def test_layers_are_judged_one_by_one(norms, threshold, scope):
    alone = [massive_mask(layer, threshold=threshold, scope=scope) for layer in norms]
    assert torch.equal(massive_mask(norms, threshold=threshold, scope=scope), torch.stack(alone))


@examples
@given(value=st.floats(0, 2.0**100, width=32), heads=st.integers(1, 9), dim=st.integers(1, 9), threshold=thresholds)
def test_equal_norms_mark_nothing(value, heads, dim, threshold):
    for scope in SCOPES:
        assert not massive_mask(torch.full((heads, dim), value), threshold=threshold, scope=scope).any()


def test_rounding_of_the_mean_marks_nothing_just_above_a_threshold_of_one():
    values = torch.rand(200, 1, 1, generator=torch.Generator().manual_seed(0))
    assert not massive_mask(values.expand(200, 7, 129), threshold=1 + 1e-12).any()


@pytest.mark.parametrize("scope", SCOPES)
def test_a_norm_exactly_at_the_threshold_is_not_massive(scope):
    norms = torch.zeros(1, 10)
    norms[0, :2] = 1.0  # the mean is 1/5
    assert not massive_mask(norms, threshold=5.0, scope=scope).any()
    assert massive_mask(norms, threshold=4.99, scope=scope).sum() == 2


def test_the_threshold_is_five_unless_told():
    norms = torch.ones(1, 1000)
    norms[0, :2] = torch.tensor([4.9, 5.2])
    assert massive_mask(norms).nonzero().tolist() == [[0, 1]]


def test_the_scope_is_the_layer_unless_told():
    norms = torch.ones(2, 100)
    norms[0] = 1000
    norms[1, 3] = 50  # massive among its head's, ordinary in its layer
    assert not massive_mask(norms).any()
    assert massive_mask(norms, scope="head").nonzero().tolist() == [[1, 3]]


@pytest.mark.parametrize("threshold", [1, 1.0, 0, -5.0, float("nan"), float("inf")])
def test_a_threshold_of_one_or_less_is_refused(threshold):
    with pytest.raises(ValueError, match="threshold must be a number above 1"):
        massive_mask(torch.ones(2, 4), threshold=threshold)


@pytest.mark.parametrize("broken", [float("nan"), float("inf"), float("-inf"), -1e-6])
def test_norms_that_cannot_be_norms_are_refused(broken):
    norms = torch.ones(2, 4)
    norms[1, 2] = broken
    with pytest.raises(ValueError, match="finite and not negative"):
        massive_mask(norms)


@pytest.mark.parametrize("scope", ["", "Layer", "model", None])
def test_an_unknown_scope_is_refused(scope):
    with pytest.raises(ValueError, match="scope must be one of layer, head"):
        massive_mask(torch.ones(2, 4), scope=scope)


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


def test_pooled_norms_are_the_norms_of_the_concatenated_texts():
    states = (
        torch.randn(5, 7, 2, 4, generator=torch.Generator().manual_seed(0)) * torch.arange(1, 6)[:, None, None, None]
    )
    pooled = pooled_norms(channel_norms(states))
    assert pooled.dtype == torch.float32
    torch.testing.assert_close(pooled, channel_norms(states.flatten(0, 1)), rtol=1e-6, atol=0)


@pytest.mark.parametrize("kv_heads", [4, 2, 1], ids=["MHA", "GQA", "MQA"])
def test_a_second_implementation_counts_the_same(kv_heads, ids):
    model = tiny_llama(kv_heads=kv_heads)
    for layer, name, dim, factor in PLANTED:
        plant(model, name, layer, head=0, dim=dim, factor=factor)
    _, norms = norms_and_loss(model, ids, geometry(model))
    ours = {name: massive_mask(norms[name]).sum((-2, -1)).tolist() for name in NAMES}
    assert ours == {name: second_count(model, ids, name) for name in NAMES}
    assert all(0 < np.sum(ours[name]) < np.size(ours[name]) * 2 for name in NAMES)


PLANTED = [
    (0, "query", 1, 9),
    (0, "query", 2, 7),
    (1, "query", 3, 4),
    (2, "key", 0, 9),
    (1, "key", 5, 6),
    (0, "value", 4, 8),
]


def second_count(model, ids, name, threshold=5.0):
    """Massive values [text][layer], from the words of the definition and nothing else."""
    return [
        [count_massive(states, threshold) for states in text] for text in zip(*captured(model, ids, name), strict=True)
    ]


def captured(model, ids, name):
    """Outputs of one projection, [layer][text], each [pos, width] in float64."""
    outputs = []
    keep = lambda module, given, output: outputs.append(output.numpy().astype(np.float64))  # noqa: E731
    hooks = [
        layer.self_attn.get_submodule(f"{name[0]}_proj").register_forward_hook(keep) for layer in model.model.layers
    ]
    with torch.no_grad():
        model(ids)
    for hook in hooks:
        hook.remove()
    return outputs


def count_massive(states, threshold):
    heads = np.split(states, states.shape[1] // DIM, axis=1)
    norms = [sum(x * x for x in head[:, dim]) ** 0.5 for head in heads for dim in range(DIM)]
    return sum(norm > threshold * sum(norms) / len(norms) for norm in norms)
