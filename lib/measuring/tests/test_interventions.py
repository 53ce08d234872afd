import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fixtures.models.tiny import plant
from lib.definitions.words import NAMES
from lib.measuring.interventions import (
    REPLACEMENTS,
    averaging,
    both_bands,
    equal_energy,
    halves,
    largest_among,
    next_largest,
    smallest_of_heads,
    top_of_heads,
    zeroing,
)
from lib.probing.probe import geometry, visiting

pytestmark = pytest.mark.cpu

examples = settings(deadline=None, max_examples=40, derandomize=True, database=None)
every_replacement = pytest.mark.parametrize("replacement", REPLACEMENTS)
every_name = pytest.mark.parametrize("name", NAMES)


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@st.composite
def norms(draw, layers=3):
    """Norms [layer, head, dim] with many ties, and a number of channels that every head has."""
    shape = (layers, draw(st.integers(1, 4)), 2 * draw(st.integers(1, 6)))
    found = random(*shape, seed=draw(st.integers(0, 99))).abs().mul(draw(st.sampled_from([2, 100]))).round()
    return found, draw(st.integers(1, shape[-1]))


def turning(dim, layers=3, still=()):
    """Frequencies [layer, dim] as Llama has them, in the layers that are not `still`."""
    found = (10000.0 ** (-2 * (torch.arange(dim) % (dim // 2)).double() / dim)).repeat(layers, 1)
    found[list(still)] = 0
    return found


@examples
@given(given=norms())
def test_the_top_channels_of_a_head_are_so_many_and_none_is_larger(given):
    found, k = given
    mask = top_of_heads(found, k)
    assert (mask.sum(-1) == k).all()
    assert (found.masked_fill(~mask, 1e9).amin(-1) >= found.masked_fill(mask, -1).amax(-1)).all()


@examples
@given(given=norms())
def test_the_smallest_channels_are_the_top_ones_of_negated_norms(given):
    found, k = given
    assert torch.equal(smallest_of_heads(found, k), top_of_heads(found.max() - found, k))


@examples
@given(given=norms(), seed=st.integers(0, 99))
def test_every_head_chooses_for_itself(given, seed):
    found, k = given
    order = torch.randperm(found.shape[1], generator=torch.Generator().manual_seed(seed))
    assert torch.equal(top_of_heads(found[:, order], k), top_of_heads(found, k)[:, order])
    assert torch.equal(top_of_heads(found[1, 0][None], k), top_of_heads(found, k)[1, 0][None])


def test_of_equal_channels_the_first_is_chosen():
    level = torch.ones(2, 3, 100)
    for choose in (top_of_heads, smallest_of_heads):
        assert choose(level, 2).nonzero()[:, 2].tolist() == [0, 1] * 6


def test_of_equal_channels_of_a_band_the_first_is_chosen():
    band = torch.arange(100) >= 60
    mask = largest_among(torch.ones(2, 3, 100), band.expand(2, 3, 100), torch.tensor([2, 41]))
    assert mask.nonzero().tolist() == [[0, 0, 60], [0, 0, 61], *([1, 0, dim] for dim in range(60, 100)), [1, 1, 60]]


@pytest.mark.parametrize("k", [0, 9, -1])
def test_more_channels_than_a_head_has_or_none_at_all_cannot_be_chosen(k):
    with pytest.raises(ValueError, match=f"^{k} channels of every head cannot be chosen: a head has 8$"):
        top_of_heads(torch.ones(2, 3, 8), k)


@pytest.mark.parametrize("broken", [float("nan"), float("inf"), -1.0])
def test_norms_that_are_none_choose_nothing(broken):
    found = torch.ones(1, 2, 8)
    found[0, 1, 3] = broken
    with pytest.raises(ValueError, match="norms must be finite and not negative"):
        smallest_of_heads(found)
    with pytest.raises(ValueError, match="norms must be finite and not negative"):
        largest_among(found, torch.ones(1, 2, 8, dtype=torch.bool), torch.tensor([1]))


@pytest.mark.parametrize("dim", [2, 4, 6, 16, 128])
def test_halves_are_those_of_the_rotary_pairs(dim):
    found = halves(turning(dim))
    assert torch.equal(found["slow"], (torch.arange(dim) % (dim // 2) >= (dim + 2) // 4).expand(3, -1))
    assert torch.equal(found["fast"], ~found["slow"])


def test_dims_and_layers_that_do_not_rotate_are_in_neither_half():
    frequency = turning(8, still=[1])
    frequency = torch.cat([frequency, torch.zeros(3, 4)], 1)  # partial rotation
    found = halves(frequency)
    assert torch.equal(found["slow"] | found["fast"], frequency > 0)
    assert found["slow"].sum(1).tolist() == found["fast"].sum(1).tolist() == [4, 0, 4]


@examples
@given(pairs=st.integers(1, 8), seed=st.integers(0, 99))
def test_both_dims_of_a_pair_are_in_the_same_half_however_they_are_laid_out(pairs, seed):
    order = torch.randperm(2 * pairs, generator=torch.Generator().manual_seed(seed))
    plain, mixed = halves(turning(2 * pairs)), halves(turning(2 * pairs)[:, order])
    assert all(torch.equal(mixed[band], plain[band][:, order]) for band in plain)


@examples
@given(given=norms(), seed=st.integers(0, 99))
def test_the_largest_of_some_are_among_them_and_none_of_them_is_larger(given, seed):
    found, _ = given
    inside = random(*found.shape, seed=seed) > 0
    number = torch.tensor([0, 1, 2]).minimum(inside.sum((1, 2)))
    mask = largest_among(found, inside, number)
    assert mask.sum((1, 2)).tolist() == number.tolist()
    assert not (mask & ~inside).any()
    left = found.masked_fill(~inside | mask, -1).amax((1, 2))
    assert (found.masked_fill(~mask, 1e9).amin((1, 2)) >= left).all()


def test_more_channels_than_there_are_to_choose_among_are_an_error():
    among = torch.arange(8).expand(2, 3, 8) < 2
    with pytest.raises(ValueError, match="7 of the marked channels cannot be chosen"):
        largest_among(torch.ones(2, 3, 8), among, torch.tensor([6, 7]))


def largest(norms, numbers):
    """The largest channels of each layer, so many or half of all."""
    half = norms[0].numel() // 2
    return largest_among(norms, torch.ones_like(norms, dtype=torch.bool), torch.tensor(numbers).clamp(max=half))


@examples
@given(given=norms())
def test_the_next_largest_are_as_many_as_are_massive_and_just_below_them(given):
    found, _ = given
    massive = largest(found, [0, 1, 3])
    chosen = next_largest(found, massive)
    assert not (chosen & massive).any()
    assert torch.equal(chosen.sum((1, 2)), massive.sum((1, 2)))
    both = chosen | massive
    assert (found.masked_fill(~both, 1e9).amin((1, 2)) >= found.masked_fill(both, -1).amax((1, 2))).all()


@examples
@given(given=norms(), seed=st.integers(0, 99))
def test_channels_of_equal_energy_reach_it_and_would_not_without_the_last_that_was_drawn(given, seed):
    found, _ = given
    massive = largest(found, [0, 1, 3])
    chosen = equal_energy(found, massive, str(seed))
    energy = found.double().square()
    assert not (chosen & massive).any()
    assert not chosen[0].any()
    for layer in (1, 2):
        held, needed = energy[layer][chosen[layer]], energy[layer][massive[layer]].sum()
        everything = bool((chosen[layer] | massive[layer]).all())
        assert everything or held.sum() >= needed
        assert held.sum() - held.max() < needed


def test_channels_of_equal_energy_differ_from_draw_to_draw_and_not_within_one():
    found = torch.rand(2, 4, 16, generator=torch.Generator().manual_seed(0)) + 0.5
    massive = torch.zeros_like(found, dtype=torch.bool)
    massive[:, 0, :3] = True
    one, again, other = (equal_energy(found, massive, seed) for seed in ("a", "a", "b"))
    assert torch.equal(one, again)
    assert not torch.equal(one[0], other[0])
    assert not torch.equal(one[0], one[1])


@examples
@given(given=norms(), seed=st.integers(0, 99))
def test_both_bands_are_as_many_channels_as_are_massive_or_fit(given, seed):
    found, _ = given
    massive = random(*found.shape, seed=seed) > 0
    frequency = turning(found.shape[-1], still=[2])
    bands, half = both_bands(found, massive, frequency), halves(frequency)
    room = torch.stack([half[band].sum(1) * found.shape[1] for band in half])
    for band, mask in bands.items():
        assert not (mask & ~half[band][:, None]).any()
        assert mask.sum((1, 2)).tolist() == torch.cat([room, massive.sum((1, 2))[None]]).amin(0).tolist()
        assert not mask[2].any()


@examples
@given(seed=st.integers(0, 99), rows=st.integers(1, 3), half=st.booleans())
def test_states_are_replaced_where_the_mask_says_and_nowhere_else(seed, rows, half):
    states = random(rows, 5, 2, 8, seed=seed).to(torch.bfloat16 if half else torch.float32)
    mask = random(rows, 3, 2, 8, seed=seed + 1) > 0
    for replacement, visit in REPLACEMENTS.items():
        found = visit({"key": mask})("key", 1, states)
        for row, head, dim in torch.ones(rows, 2, 8).nonzero().tolist():
            channel, was = found[row, :, head, dim], states[row, :, head, dim]
            mean = (was.float().sum() / 5).to(states.dtype) if replacement == "mean" else torch.zeros(())
            expected = mean.expand(5).to(states.dtype) if mask[row, 1, head, dim] else was
            torch.testing.assert_close(channel, expected, rtol=1e-2 if half else 1e-5, atol=1e-6)
            assert mask[row, 1, head, dim] or torch.equal(channel, was)


@every_replacement
def test_an_empty_mask_leaves_states_bit_identical_and_no_mask_touches_none(replacement):
    states = random(2, 5, 2, 8)
    visit = REPLACEMENTS[replacement]({"query": torch.zeros(2, 3, 2, 8, dtype=torch.bool)})
    assert torch.equal(visit("query", 2, states), states)
    assert visit("key", 2, states) is None


def test_a_mean_of_half_precision_states_is_formed_in_float32():
    states = torch.full((1, 4096, 1, 1), 1.0, dtype=torch.bfloat16)  # summed in bfloat16 they stop at 256
    found = averaging({"query": torch.ones(1, 1, 1, 1, dtype=torch.bool)})("query", 0, states)
    assert (found.dtype, found.unique().tolist()) == (torch.bfloat16, [1.0])


@every_replacement
@pytest.mark.parametrize("shape", [(2, 3, 4, 8), (1, 3, 2, 8), (2, 3, 2, 1), (2, 3, 1, 8)])
def test_a_mask_of_another_shape_is_refused(replacement, shape):
    visit = REPLACEMENTS[replacement]({"query": torch.zeros(shape, dtype=torch.bool)})
    with pytest.raises(ValueError, match=r"^the query mask is"):
        visit("query", 0, random(2, 5, 2, 8))


def logits(model, ids, visit=lambda name, layer, states: None):
    with torch.no_grad(), visiting(model, visit):
        return model(ids).logits


def empty(model, name):
    sizes = geometry(model)
    return torch.zeros(2, sizes.layers, *sizes.shape(name), dtype=torch.bool)


@every_replacement
def test_empty_masks_leave_logits_bit_identical(tiny, ids, replacement):
    visit = REPLACEMENTS[replacement]({name: empty(tiny, name) for name in NAMES})
    assert torch.equal(logits(tiny, ids, visit), logits(tiny, ids))


@every_name
@every_replacement
def test_a_chosen_channel_changes_the_logits_of_the_row_whose_mask_says_so(tiny, ids, replacement, name):
    plant(tiny, name, layer=1, head=0, dim=5, factor=30)
    mask = empty(tiny, name)
    mask[1, 1, 0, 5] = True
    plain, found = logits(tiny, ids), logits(tiny, ids, REPLACEMENTS[replacement]({name: mask}))
    assert torch.equal(found[0], plain[0])
    assert (found[1] - plain[1]).abs().max() > 1e-4


def test_what_a_model_computes_with_is_what_was_put_there(tiny, ids):
    mask, seen = empty(tiny, "key"), []
    mask[0, 1, 0, 2] = mask[1, 1, 0, 7] = True
    projection = tiny.model.layers[1].self_attn.k_proj
    projection.register_forward_hook(lambda module, given, out: seen.append(out.unflatten(-1, (-1, 16))))
    logits(tiny, ids)
    for visit in (zeroing, averaging):
        logits(tiny, ids, visit({"key": mask}))
    plain, zeroed, averaged = (states[[0, 1], :, 0, [2, 7]] for states in seen)
    assert not zeroed.any()
    torch.testing.assert_close(averaged, plain.mean(1, keepdim=True).expand_as(plain))
    assert plain.std(1).min() > 1e-3
