"""Massive channels against the next-largest and random ones of equal energy: each zeroed, and put to its mean."""

import numpy as np
import pytest
import torch

from fixtures.models.tiny import DIM, as_arm, tiny_llama
from lib.definitions.words import DRAWS, EDITED, SELECTED, compared_conditions
from lib.measuring.scoring import score
from lib.measuring.specificity import energy_share, means_of_texts, measure_specificity
from lib.measuring.tests.test_disruption import TEXTS

pytestmark = pytest.mark.cpu

CHOSEN = {"threshold": 3.0, "scope": "layer", "seed": 0}
"""At the study's threshold two massive channels of 32 hold more energy than all others."""


@pytest.fixture
def counted():
    """Norms of two counting texts: two massive channels in layers 0 and 2, none in layer 1."""
    heads = {"query": 4, "key": 2}
    generator = torch.Generator().manual_seed(0)
    norms = {name: 1 + torch.rand(2, 3, heads[name], DIM, generator=generator) / 2 for name in EDITED}
    for name in EDITED:
        for layer in (0, 2):
            norms[name][:, layer, 1, [3, 9]] = 4.5
    return norms


@pytest.fixture
def counting():
    return torch.randint(0, 260, (3, 20), generator=torch.Generator().manual_seed(5))


def model():
    found = tiny_llama(kv_heads=2, attention_bias=True)
    for layer in found.model.layers:
        for name in EDITED:
            torch.nn.init.normal_(getattr(layer.self_attn, f"{name[0]}_proj").bias, std=0.5)
    return found


def measured(ids, counted, counting, **changed):
    return measure_specificity(as_arm(model()), ids, TEXTS, counted, counting, **{**CHOSEN, **changed})


def means_by_hand(counting):
    """Means of the projections' outputs over all positions, by plain hooks."""
    found, plain = {}, model()

    def keep(name, layer):
        return lambda module, args, output: found.update({(name, layer): output.double().mean((0, 1))})

    for i, layer in enumerate(plain.model.layers):
        for name in EDITED:
            getattr(layer.self_attn, f"{name[0]}_proj").register_forward_hook(keep(name, i))
    with torch.inference_mode():
        plain(counting)
    return found


def test_the_selections_are_the_massive_the_next_largest_and_others_of_as_much_energy(ids, counted, counting):
    record = measured(ids, counted, counting)
    assert record["condition"].values.tolist() == compared_conditions()
    for name in EDITED:
        masks = torch.from_numpy(record[f"{name}_replaced"].values)
        assert not masks[0].any()
        assert torch.equal(masks[1 : 1 + len(SELECTED)], masks[1 + len(SELECTED) :])
        massive, following, *drawn = masks[1 : 1 + len(SELECTED)]
        assert massive.nonzero().tolist() == [[layer, 1, dim] for layer in (0, 2) for dim in (3, 9)]
        assert following.sum((1, 2)).tolist() == [2, 0, 2]
        assert len({mask.numpy().tobytes() for mask in drawn}) == len(drawn) == DRAWS
        assert not any((mask & massive).any() for mask in drawn)


def test_query_and_key_are_drawn_apart(counted):
    same = {"query": counted["query"], "key": counted["query"]}
    ids = torch.zeros(2, 17, dtype=torch.long)
    arm = as_arm(tiny_llama())
    record = measure_specificity(arm, ids + torch.arange(17), TEXTS, same, ids, **CHOSEN)
    assert (record["query_replaced"].values[3] != record["key_replaced"].values[3]).any()


def test_the_energy_that_is_replaced_is_a_share_of_the_layers(ids, counted, counting):
    record = measured(ids, counted, counting)
    for name in EDITED:
        energy = (counted[name].double() ** 2).mean(0)
        total = energy.sum((1, 2))
        for mask, share in zip(record[f"{name}_replaced"].values, record[f"{name}_share"].values, strict=True):
            expected = [float(energy[i][torch.from_numpy(mask[i])].sum() / total[i]) for i in range(3)]
            np.testing.assert_allclose(share, expected, rtol=1e-6)
        massive, drawn = record[f"{name}_share"].values[1], record[f"{name}_share"].values[3]
        assert (drawn[[0, 2]] >= massive[[0, 2]]).all()
        assert massive[0] > 0.2


def test_all_channels_together_hold_all_energy():
    norms = torch.rand(2, 3, 4)
    masks = torch.stack([torch.ones(2, 3, 4, dtype=torch.bool), torch.zeros(2, 3, 4, dtype=torch.bool)])
    assert energy_share(norms, masks).tolist() == [[1.0, 1.0], [0.0, 0.0]]


def test_means_are_those_of_all_positions_of_all_texts(counting):
    expected = means_by_hand(counting)
    found = means_of_texts(model(), counting)
    for (name, layer), mean in expected.items():
        torch.testing.assert_close(found[name][layer].flatten(), mean, rtol=0, atol=1e-6)
        assert mean.abs().max() > 0.1


def test_a_second_implementation_finds_the_same_losses(ids, counted, counting):
    record, means = measured(ids, counted, counting), means_by_hand(counting)
    plain = score(model(), ids).numpy()
    np.testing.assert_allclose(record["nll"].values[:, 0], plain, rtol=0, atol=1e-6)
    for i, condition in list(enumerate(compared_conditions()))[1:]:
        changed = model()
        with torch.no_grad():
            for name in EDITED:
                for layer, head, dim in np.argwhere(record[f"{name}_replaced"].values[i]):
                    projection = getattr(changed.model.layers[layer].self_attn, f"{name[0]}_proj")
                    row = head * DIM + dim
                    projection.weight[row] = 0
                    projection.bias[row] = means[name, int(layer)][row] if condition.endswith("mean") else 0
        expected = score(changed, ids).numpy()
        np.testing.assert_allclose(record["nll"].values[:, i], expected, rtol=0, atol=1e-5, err_msg=condition)
        assert np.abs(expected - plain).min() > 1e-5


def test_where_nothing_is_massive_nothing_is_replaced_and_no_loss_moves(ids, counted, counting):
    record = measured(ids, counted, counting, threshold=100.0)
    assert not record["query_replaced"].values.any()
    np.testing.assert_allclose(record["nll"].values - record["nll"].values[:, :1], 0, atol=1e-6)


def test_the_number_of_rows_at_once_changes_nothing(ids, counted, counting):
    one, other = (measured(ids, counted, counting, rows=rows)["nll"].values for rows in (3, 16))
    np.testing.assert_allclose(one, other, rtol=0, atol=1e-6)


def test_progress_moves_half_a_text_with_each_kind_of_replacement(ids, counted, counting):
    moved = []
    measured(ids, counted, counting, progress=moved.append)
    assert moved == [0.5] * 2 * len(ids)
