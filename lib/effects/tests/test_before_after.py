from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fixtures.models.architectures import ARCHITECTURES, ROTATING, build
from fixtures.models.by_hand import turned
from fixtures.models.tiny import as_arm
from fixtures.planted import records
from lib.definitions.rotary_pairs import pair_norms
from lib.effects.before_after import AFTER, BEFORE, describe_pairs, massive_pairs, norms_of_pairs, where_it_rotates
from lib.effects.counts import MassiveValues
from lib.judging.verdicts import NoSubject
from lib.measuring.norms import channel_norms, measure_norms
from lib.records.shapes import site_before, sites_of
from lib.texts.reading import Text

pytestmark = pytest.mark.cpu
IDS = torch.randint(1, 64, (3, 20), generator=torch.Generator().manual_seed(0))
TEXTS = [Text(f"t{i}", "a", "count", str(i)) for i in range(3)]

NORMED_AFTER = ("llama4_text", "hunyuan_v1_dense", "nanochat")


def both(name, threshold=2.0):
    """A tiny model of an architecture, measured before its rotation and at attention."""
    arm = as_arm(build(name))
    at_attention = measure_norms(arm, IDS, TEXTS, site="attention")
    before = measure_norms(arm, IDS, TEXTS, site=site_before(at_attention))
    return MassiveValues({BEFORE: before, AFTER: at_attention}, threshold)


@settings(deadline=None, max_examples=60, derandomize=True, database=None)
@given(
    seed=st.integers(0, 999),
    speeds=st.lists(st.floats(1e-4, 3.0), min_size=1, max_size=5, unique=True),
    rest=st.integers(0, 4),
    layout=st.sampled_from(["halves", "neighbours"]),
)
def test_no_rotation_changes_the_norms_of_its_pairs(seed, speeds, rest, layout):
    pairs = torch.tensor(speeds, dtype=torch.float64)
    both = pairs.repeat(2) if layout == "halves" else pairs.repeat_interleave(2)
    frequency = torch.cat([both, torch.zeros(rest, dtype=torch.float64)])
    states = torch.randn(2, 9, 3, len(frequency), generator=torch.Generator().manual_seed(seed)).exp()
    found = [channel_norms(s)[:, None].numpy() for s in (states, turned(frequency, layout, states))]
    before, after = (pair_norms(norms, frequency[None].numpy()) for norms in found)
    assert before.shape == (2, 1, 3, len(speeds))
    np.testing.assert_allclose(after, before, rtol=1e-5)
    assert len(speeds) < 3 or not np.allclose(*found, rtol=1e-3)


@pytest.mark.parametrize("name", sorted({*ROTATING} - {"deepseek_v3", *NORMED_AFTER}))
def test_attention_receives_pairs_with_the_norms_they_had_before_the_rotation_times_its_factor(name):
    values = where_it_rotates(both(name))
    for tensor in ("query", "key"):
        before, after = (norms_of_pairs(values, site, tensor) for site in (BEFORE, AFTER))
        np.testing.assert_allclose(after, before * ARCHITECTURES[name].factor, rtol=1e-4)
        assert massive_pairs(values, BEFORE, tensor).tolist() == massive_pairs(values, AFTER, tensor).tolist()
        assert not np.allclose(*(values.norms(site, tensor) for site in (BEFORE, AFTER)), rtol=1e-3)


@pytest.mark.parametrize("name", NORMED_AFTER)
def test_norms_after_the_rotation_change_the_norms_of_its_pairs(name):
    values = where_it_rotates(both(name))
    before, after = (norms_of_pairs(values, site, "key") for site in (BEFORE, AFTER))
    assert not np.allclose(before, after, rtol=0.01)


def test_a_massive_channel_is_spread_over_its_pair_which_stays_as_massive():
    values = MassiveValues(dict.fromkeys((BEFORE, AFTER), records.norms_record(COUNTS)), 3.0)
    norms = values.records[BEFORE]["query_norm"]
    norms.values[:] = 1
    norms.values[:, 0, 2, 5] = 40
    spread = values.records[BEFORE].copy(deep=True)
    for dim in (5, 5 + 128):
        spread["query_norm"].values[:, 0, 2, dim] = np.sqrt((40**2 + 1) / 2)
    values = MassiveValues({BEFORE: values.records[BEFORE], AFTER: spread}, 3.0)
    assert values.change("query", AFTER).value == 100
    assert massive_pairs(values, BEFORE, "query").tolist() == massive_pairs(values, AFTER, "query").tolist() == [1] * 3
    assert massive_pairs(replace(values, threshold=1e4), AFTER, "query").tolist() == [0] * 3
    assert describe_pairs(values, "query").startswith("massive rotary pairs 1 before and 1 after, their norms move by ")


COUNTS = dict.fromkeys(("query", "key", "value"), np.zeros((3, 2), dtype=int))


def test_layers_that_do_not_rotate_are_left_out():
    found = where_it_rotates(both("smollm3"))
    assert [record.sizes["layer"] for record in found.records.values()] == [3, 3]
    assert found.threshold == 2.0


def test_how_far_norms_move_is_a_share_of_what_they_were_before():
    before = records.norms_record(COUNTS)
    before["query_norm"].values[:] = 2
    after = before.copy(deep=True)
    after["query_norm"].values[0, 0, 0, :] = 3
    assert describe_pairs(MassiveValues({BEFORE: before, AFTER: after}), "query").endswith("move by 0.5 at most")


@pytest.mark.parametrize(("value", "why"), [(0.0, "no layer of the rope arm rotates"), (np.nan, "cannot be read from")])
def test_without_a_known_rotation_there_is_nothing_to_compare(value, why):
    record = records.norms_record(COUNTS)
    record["frequency"].values[:] = value
    with pytest.raises(NoSubject, match=why):
        where_it_rotates(MassiveValues(dict.fromkeys((BEFORE, AFTER), record)))


@pytest.mark.parametrize(
    ("name", "there", "before"),
    [
        ("llama", ["projection", "attention"], "projection"),
        ("qwen3", ["projection", "normed", "attention"], "normed"),
        ("gptj", ["projection"], "projection"),
    ],
)
def test_a_record_says_where_its_model_can_be_read(name, there, before):
    record = measure_norms(as_arm(build(name)), IDS, TEXTS)
    assert sites_of(record) == there
    assert site_before(record) == before
