"""The slow and the fast half of the rotary pairs, zeroed in turn."""

import numpy as np
import pytest
import torch

from fixtures.models.tiny import as_arm, plant, tiny_llama
from lib.definitions.words import BANDS, EDITED
from lib.effects.losses import Bands
from lib.measuring.disruption import measure_bands
from lib.measuring.scoring import score
from lib.measuring.tests.test_disruption import MASSIVE, TEXTS

pytestmark = pytest.mark.cpu


FREQUENCY = (10000.0 ** (-2 * (torch.arange(16) % 8).double() / 16)).repeat(3, 1)


@pytest.fixture
def counted():
    """Norms of two counting texts: three massive channels in layers 0 and 2, two fast and one slow, none in layer 1."""
    norms = {name: 1 + torch.rand(2, 3, 4, 16, generator=torch.Generator().manual_seed(0)) / 2 for name in EDITED}
    for name in EDITED:
        for layer in (0, 2):
            norms[name][:, layer, 1, [0, 9, 14]] = 80
    return norms


def bands_of(model, ids, counted, frequency=FREQUENCY, **changed):
    return measure_bands(as_arm(model), ids, TEXTS, counted, frequency, **{**MASSIVE, **changed})


def test_of_both_bands_as_many_channels_are_zeroed_as_are_massive(ids, counted):
    record = bands_of(tiny_llama(), ids, counted)
    for name in EDITED:
        pooled = counted[name].square().mean(0).sqrt()
        for band, dims in (("slow", [4, 5, 6, 7, 12, 13, 14, 15]), ("fast", [0, 1, 2, 3, 8, 9, 10, 11])):
            mask = torch.from_numpy(record[f"{name}_{band}"].values)
            assert mask.sum((1, 2)).tolist() == [3, 0, 3]
            for layer in (0, 2):
                inside = pooled[layer][:, dims]
                assert sorted(pooled[layer][mask[layer]].tolist()) == sorted(inside.flatten().topk(3).values.tolist())
    assert Bands({"rope": record}).zeroed("slow") == Bands({"rope": record}).zeroed("fast") == 12


def test_threshold_and_scope_say_how_many_channels_of_a_band_are_zeroed(ids, counted):
    found = [{}, {"threshold": 10.0}, {"threshold": 90.0}, {"threshold": 10.0, "scope": "head"}]
    records = [bands_of(tiny_llama(), ids, counted, **changed) for changed in found]
    assert [Bands({"rope": record}).zeroed("fast") for record in records] == [12, 12, 0, 0]


def test_a_second_implementation_finds_the_same_cost_of_bands(ids, counted):
    record = bands_of(tiny_llama(), ids, counted)
    assert record["condition"].values.tolist() == ["baseline", *BANDS]
    torch.testing.assert_close(torch.from_numpy(record["nll"].values[:, 0]), score(tiny_llama(), ids))
    for band in BANDS:
        model = tiny_llama()
        for name in EDITED:
            for layer, head, dim in np.argwhere(record[f"{name}_{band}"].values):
                plant(model, name, layer, head, dim, factor=0.0)
        expected = (score(model, ids) - score(tiny_llama(), ids)).numpy()
        np.testing.assert_allclose(Bands({"rope": record}).nats(band), expected, rtol=0, atol=1e-5)
        assert np.abs(expected).min() > 1e-5


@pytest.mark.parametrize(("still", "why"), [([0, 1, 2], "no layer of the rope arm rotates"), ([0, 2], "has a massive")])
def test_where_massive_channels_do_not_rotate_there_are_no_bands(ids, counted, still, why):
    frequency = FREQUENCY.clone()
    frequency[still] = 0
    record = bands_of(tiny_llama(), ids, counted, frequency)
    with pytest.raises(Exception, match=why):
        Bands({"rope": record}).need()
    Bands({"rope": bands_of(tiny_llama(), ids, counted)}).need()
