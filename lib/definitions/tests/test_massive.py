import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from lib.definitions.massive import massive_mask, pooled_norms
from lib.definitions.words import SCOPES

pytestmark = pytest.mark.cpu

examples = settings(deadline=None, max_examples=60, derandomize=True, database=None)
# whole numbers: their sums are exact, so that no property below hangs on the order of a summation
whole_norms = arrays(
    np.float32, array_shapes(min_dims=3, max_dims=3, max_side=12), elements=st.sampled_from([0.0, 1, 2, 3, 40, 1000])
).map(torch.from_numpy)
thresholds = st.integers(9, 80).map(lambda eighths: eighths / 8)
scopes = st.sampled_from(SCOPES)


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


# numbers of half precision: in float64 their sums are exact as well
any_norms = arrays(
    st.sampled_from([np.float32, np.float64]),
    array_shapes(min_dims=3, max_dims=3, max_side=9),
    elements=st.floats(0, 65504, width=16),
)


def both_masks(norms, threshold, scope):
    """The mask of an array and that of a tensor with the same norms, both as arrays."""
    of_array, of_tensor = (massive_mask(n, threshold=threshold, scope=scope) for n in (norms, torch.from_numpy(norms)))
    assert (type(of_array), type(of_tensor)) == (np.ndarray, torch.Tensor)
    assert (of_array.dtype, of_tensor.dtype) == (np.bool_, torch.bool)
    return of_array, of_tensor.numpy()


@examples
@given(norms=any_norms | whole_norms.map(torch.Tensor.numpy), threshold=thresholds, scope=scopes)
def test_arrays_and_tensors_have_the_same_mask(norms, threshold, scope):
    of_array, of_tensor = both_masks(norms, threshold, scope)
    assert of_array.shape == norms.shape
    assert np.array_equal(of_array, of_tensor)


@examples
@given(
    mean=st.floats(2.0**-14, 4096, width=16),
    threshold=st.integers(2, 9),
    others=st.integers(0, 40),
    heads=st.integers(1, 3),
    scope=scopes,
)
def test_arrays_and_tensors_agree_on_a_norm_exactly_at_the_threshold(mean, threshold, others, heads, scope):
    head = [threshold * mean, *[0.0] * (threshold - 1), *[mean] * others]
    norms = np.array([head] * heads, np.float32)
    assert not any(mask.any() for mask in both_masks(norms, threshold, scope))
    for mask in both_masks(norms, np.nextafter(threshold, 0), scope):
        assert np.argwhere(mask).tolist() == [[number, 0] for number in range(heads)]


@pytest.mark.parametrize(("dtype", "last_bits"), [("float32", 0), ("float64", 1)])  # square roots may differ in one
@examples
@given(
    norms=arrays(
        np.float64, array_shapes(min_dims=1, max_dims=4, max_side=6), elements=st.integers(0, 2**20).map(float)
    )
)
def test_arrays_and_tensors_have_the_same_pooled_norms(norms, dtype, last_bits):
    norms = norms.astype(dtype)
    pooled = pooled_norms(norms)
    assert pooled.dtype == norms.dtype
    assert np.shape(pooled) == norms.shape[1:]
    np.testing.assert_array_max_ulp(pooled, pooled_norms(torch.from_numpy(norms)).numpy(), maxulp=last_bits)


@pytest.mark.parametrize("broken", [float("nan"), float("inf"), -1e-6])
@pytest.mark.parametrize("kind", [np.array, torch.tensor])
def test_arrays_and_tensors_are_refused_alike(broken, kind):
    with pytest.raises(ValueError, match="finite and not negative"):
        massive_mask(kind([[1.0, broken]]))


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
