import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.definitions.massive import massive_mask
from lib.definitions.words import conditions
from lib.measuring.interventions import chosen_mask, condition_masks, random_control
from lib.measuring.norms import channel_norms

pytestmark = pytest.mark.cpu

examples = settings(deadline=None, max_examples=60, derandomize=True, database=None)
seeds = st.integers(0, 1000)
counts = st.integers(0, 4)


@st.composite
def massive_masks(draw):
    """Bool [layer, head, dim], at most half of every layer marked."""
    layers, heads, dim = draw(st.tuples(*[st.integers(1, most) for most in (4, 4, 8)]))
    marked = st.sets(st.integers(0, heads * dim - 1), max_size=heads * dim // 2)
    mask = torch.zeros(layers, heads * dim, dtype=torch.bool)
    for layer in mask:
        layer[sorted(draw(marked))] = True
    return mask.view(layers, heads, dim)


@pytest.fixture
def massive():
    """Four channels of 64 in each of two layers, the same ones."""
    mask = torch.zeros(2, 4, 16, dtype=torch.bool)
    mask[:, 1, [0, 3, 7, 15]] = True
    return mask


@examples
@given(massive=massive_masks(), seed=seeds)
def test_a_control_has_as_many_channels_in_every_layer_as_are_massive_there(massive, seed):
    control = random_control(massive, str(seed))
    assert control.dtype == torch.bool
    assert torch.equal(control.sum((1, 2)), massive.sum((1, 2)))


@examples
@given(massive=massive_masks(), seed=seeds)
def test_a_control_has_no_massive_channel(massive, seed):
    assert not (random_control(massive, str(seed)) & massive).any()


@examples
@given(massive=massive_masks(), seed=seeds)
def test_drawing_a_control_leaves_the_massive_mask_alone(massive, seed):
    before = massive.clone()
    condition_masks(massive, name="query", controls=2, seed=seed)
    assert torch.equal(massive, before)


@examples
@given(massive=massive_masks(), seed=seeds)
def test_the_same_seed_draws_the_same_control(massive, seed):
    assert torch.equal(random_control(massive, str(seed)), random_control(massive, str(seed)))


def test_a_draw_depends_on_no_global_generator(massive):
    draws = [(torch.manual_seed(i), random_control(massive, "a"))[1] for i in range(2)]
    state = torch.get_rng_state()
    random_control(massive, "a")
    assert torch.equal(*draws)
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("seed", ["1/query/1", "2/query/0", "1/key/0", "1/query/", ""])
def test_another_seed_draws_another_control(massive, seed):
    assert not torch.equal(random_control(massive, seed), random_control(massive, "1/query/0"))


def test_a_seed_draws_what_it_always_drew(massive):
    control = random_control(massive, "0/query/0")
    assert [layer.flatten().nonzero().flatten().tolist() for layer in control] == [[4, 13, 30, 42], [3, 24, 29, 53]]


def test_every_layer_has_its_own_draw(massive):
    control = random_control(massive, "1/query/0")
    assert not torch.equal(control[0], control[1])


def test_every_channel_that_is_not_massive_can_be_drawn(massive):
    drawn = torch.stack([random_control(massive, str(seed)) for seed in range(200)]).any(0)
    assert torch.equal(drawn, ~massive)


@examples
@given(massive=massive_masks(), controls=counts, seed=seeds)
def test_conditions_are_nothing_then_the_massive_then_the_controls(massive, controls, seed):
    masks = condition_masks(massive, name="query", controls=controls, seed=seed)
    assert masks.dtype == torch.bool
    assert masks.shape == (len(conditions(controls)), *massive.shape)
    assert not masks[0].any()
    assert torch.equal(masks[1], massive)
    for i in range(controls):
        assert torch.equal(masks[2 + i], random_control(massive, f"{seed}/query/{i}"))


@examples
@given(massive=massive_masks(), fewer=counts, more=counts, seed=seeds)
def test_adding_controls_changes_none_of_the_earlier(massive, fewer, more, seed):
    first = condition_masks(massive, name="key", controls=fewer, seed=seed)
    second = condition_masks(massive, name="key", controls=fewer + more, seed=seed)
    assert torch.equal(first, second[: len(first)])


def test_no_two_draws_share_a_stream(massive):
    draws = [(n, s) for n in ("query", "key") for s in (0, 1)]
    tables = [condition_masks(massive, name=name, controls=5, seed=seed)[2:] for name, seed in draws]
    assert len({tuple(control.flatten().tolist()) for table in tables for control in table}) == 4 * 5


@pytest.mark.parametrize("massive", [5, 6, 9])
def test_more_massive_channels_than_others_are_refused(massive):
    mask = torch.zeros(2, 3, 3, dtype=torch.bool)
    mask[1].view(-1)[:massive] = True
    with pytest.raises(ValueError, match=f"layer 1 has {massive} massive channels and only {9 - massive} others"):
        random_control(mask, "a")


def test_half_of_a_layer_can_be_massive():
    mask = torch.arange(8).view(1, 2, 4) < 4
    assert torch.equal(random_control(mask, "a"), ~mask)


def test_a_mask_that_is_not_contiguous_gets_a_control_all_the_same(massive):
    turned = massive.transpose(1, 2)
    control = random_control(turned, "a")
    assert control.sum((1, 2)).tolist() == [4, 4]
    assert not (control & turned).any()


def test_channels_are_chosen_by_their_norm_over_all_positions_of_all_texts():
    states = torch.ones(3, 2, 5, 2, 16)  # text layer pos head dim
    states[0, 1, :, 0, 3] = 30  # massive in one text, and strong enough over all
    states[0, 1, :, 1, 4] = 8  # massive in one text only
    norms = channel_norms(states)
    together = channel_norms(states.transpose(0, 1).flatten(1, 2))
    assert torch.equal(chosen_mask(norms), massive_mask(together))
    assert chosen_mask(norms).nonzero().tolist() == [[1, 0, 3]]


@pytest.mark.parametrize(("norm", "chosen"), [(4.9, False), (5.1, True)])
def test_channels_are_chosen_above_five_times_the_mean_of_their_layer(norm, chosen):
    norms = torch.ones(2, 1, 2, 1000)
    norms[:, 0, 1, 7] = norm
    assert chosen_mask(norms).any() == chosen


def test_channels_are_chosen_by_the_given_threshold_and_scope():
    norms = torch.ones(2, 1, 2, 100)
    norms[:, :, 0] = 1000
    norms[:, :, 1, 3] = 50
    assert not chosen_mask(norms).any()
    assert chosen_mask(norms, scope="head").nonzero().tolist() == [[0, 1, 3]]
    assert not chosen_mask(norms, scope="head", threshold=40).any()


def test_the_chosen_channels_are_massive_over_all_positions_of_all_texts():
    norms = torch.ones(2, 1, 1, 100)
    norms[1, 0, 0, 7] = 8.5  # root mean square over both texts 6.05, above 5 x the mean; plain mean 4.75, below it
    assert chosen_mask(norms).nonzero().tolist() == [[0, 0, 7]]
    assert not chosen_mask(norms, threshold=6.0).any()
