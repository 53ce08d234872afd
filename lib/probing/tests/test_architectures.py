"""Every architecture of the table, with keys of its own for each head and with shared ones."""

from contextlib import contextmanager

import pytest
import torch

from fixtures.models import by_hand
from fixtures.models.architectures import ARCHITECTURES, VARIANTS, build
from lib.definitions.words import NAMES, SITES
from lib.measuring.interventions import zeroing
from lib.probing.anatomy import survey
from lib.probing.probe import geometry, visiting
from lib.probing.rotation import frequencies

pytestmark = pytest.mark.cpu
IDS = torch.randint(1, 64, (2, 12), generator=torch.Generator().manual_seed(0))
LABELS = [f"{name}-{'shared' if shared else 'own'}" for name, shared in VARIANTS]


@pytest.fixture(params=VARIANTS, ids=LABELS)
def variant(request):
    """What is known of an architecture, and a model of it."""
    name, shared = request.param
    return ARCHITECTURES[name], build(name, shared=shared)


def sites(known):
    there = (known.projection, known.norm and not known.late, known.interface)
    return [site for site, is_there in zip(SITES, there, strict=True) if is_there]


def logits(model, **inputs):
    with torch.inference_mode():
        return model(**{"input_ids": IDS, "use_cache": False, **inputs}).logits


def seen(model, site, **inputs):
    """{(name, layer): states} at a site."""
    found = {}
    with visiting(model, lambda name, layer, states: found.update({(name, layer): states.clone()}), site):
        logits(model, **inputs)
    return found


def masks(model, *channels, rows=2):
    """Empty masks but for `channels`, each (name, row, layer, head, dim)."""
    sizes = geometry(model)
    found = {name: torch.zeros(rows, sizes.layers, *sizes.shape(name), dtype=torch.bool) for name in NAMES}
    for name, *place in channels:
        found[name][tuple(place)] = True
    return found


def zeroed(model, site, found, **inputs):
    with visiting(model, zeroing(found), site):
        return logits(model, **inputs)


def without_value(name, layer, states):
    return 0 * states if name == "value" else None


@contextmanager
def watching(model):
    """For every state that attention receives, whether there is anything in it."""
    found = []
    with visiting(model, lambda name, layer, states: found.append(bool(states.any())), "attention"):
        yield found


def token_by_token(model):
    """Logits of single steps with a KV cache."""
    cache, found = None, []
    for step in range(IDS.shape[1]):
        with torch.inference_mode():
            out = model(input_ids=IDS[:, step : step + 1], past_key_values=cache, use_cache=True)
        cache = out.past_key_values
        found.append(out.logits)
    return torch.cat(found, 1)


def test_sites_are_those_that_the_architecture_has(variant):
    known, model = variant
    assert sorted({*survey(model).taps, *(["attention"] if known.interface else [])}) == sorted(sites(known))


def test_states_are_those_that_are_recomputed_by_hand(variant):
    known, model = variant
    expected = by_hand.states(known, model, IDS)
    for site in sites(known):
        for (name, layer), states in seen(model, site).items():
            torch.testing.assert_close(states, expected[site][layer][NAMES.index(name)], rtol=1e-4, atol=1e-4)


def test_reading_and_an_empty_mask_leave_the_logits_bit_identical(variant):
    known, model = variant
    plain = logits(model)
    for site in sites(known):
        assert torch.equal(zeroed(model, site, {}), plain)
        assert torch.equal(zeroed(model, site, masks(model)), plain)


@pytest.fixture
def one_thread():
    """Experts multiply tokens of all rows at once; several threads round a product by how many tokens are in it."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("name", NAMES)
def test_ablating_one_channel_changes_the_row_whose_mask_says_so(variant, name, one_thread):
    known, model = variant
    plain = logits(model)
    for site in sites(known):
        changed = zeroed(model, site, masks(model, (name, 1, 1, 0, 3)))
        assert torch.equal(changed[0], plain[0])
        assert not torch.allclose(changed[1], plain[1], atol=1e-5)


def test_attention_receives_what_a_visit_puts_there(variant):
    known, model = variant
    for site in sites(known) if known.interface else ():
        with watching(model) as received, visiting(model, without_value, site):
            logits(model)
        assert received == [True, True, False] * len(known.rotates)


def test_layers_rotate_and_dims_turn_as_the_architecture_says(variant):
    known, model = variant
    if not known.interface:
        assert frequencies(model).isnan().all()
        return
    expected = torch.stack([by_hand.frequency(known, layer) for layer in range(len(known.rotates))])
    torch.testing.assert_close(frequencies(model), expected, rtol=1e-6, atol=0)


def test_states_of_a_padded_row_are_those_of_the_row_alone(variant):
    known, model = variant
    mask = torch.ones_like(IDS)
    mask[0, :4] = 0
    padded = {"attention_mask": mask, "position_ids": (mask.cumsum(1) - 1).clamp(min=0)}
    for site in sites(known):
        alone = seen(model, site, input_ids=IDS[:1, 4:])
        for key, states in seen(model, site, **padded).items():
            torch.testing.assert_close(states[:1, 4:], alone[key], rtol=1e-4, atol=1e-4)


def test_with_a_cache_one_step_at_a_time_comes_out_as_in_one_pass(variant):
    known, model = variant
    for site in sites(known):
        found = masks(model, *((name, 0, layer, 0, dim) for name in NAMES for layer in (0, 1) for dim in (1, 3)))
        with visiting(model, zeroing(found), site):
            steps = token_by_token(model)
        torch.testing.assert_close(steps, zeroed(model, site, found), rtol=1e-3, atol=1e-3)
        assert not torch.allclose(steps[0], logits(model)[0], atol=1e-3)


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
def test_both_attention_implementations_go_on_behind_the_probe(variant, implementation):
    known, model = variant
    if implementation == "eager" or model._supports_sdpa:
        model.set_attn_implementation(implementation)
    plain = logits(model)
    for site in sites(known):
        assert torch.equal(zeroed(model, site, masks(model)), plain)
        assert not torch.equal(zeroed(model, site, masks(model, ("key", 0, 0, 0, 3))), plain)
