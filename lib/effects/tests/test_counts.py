import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from fixtures.planted.records import frequency
from lib.effects.concentration import gini
from lib.effects.counts import MassiveValues
from lib.judging.verdicts import NoSubject

pytestmark = pytest.mark.cpu


def arm(*layers, dims=range(32)):
    """A record of two equal texts with so many massive channels per layer, for query, key and value alike."""
    norms = np.ones((2, len(layers), 8, 32), dtype=np.float32)
    for layer, count in enumerate(layers):
        norms[:, layer, 0, list(dims)[:count]] = 1000
    tensors = dict.fromkeys(("query_norm", "key_norm", "value_norm"), (("text", "layer", "head", "dim"), norms))
    return xr.Dataset({**tensors, "frequency": (("layer", "dim"), frequency(len(layers), 32))})


def thrice(*layers):
    """The same with three texts."""
    return arm(*layers).isel(text=[0, 0, 0])


def together(*records):
    """The texts of several records in one."""
    return xr.concat(records, "text", data_vars="minimal", coords="minimal", compat="override", join="override")


def values(rope, drope):
    return MassiveValues({"rope": rope, "drope": drope})


def test_counts_are_those_that_were_planted():
    both = values(arm(3, 0, 5), arm(1, 2, 0))
    assert both.counts("rope", "query").tolist() == [[3, 0, 5]] * 2
    assert both.totals("drope", "key").tolist() == [3, 3]
    assert both.channels("value") == 256


def test_percent_change_is_from_rope_to_drope():
    assert values(arm(4, 4), arm(3, 3)).change("query").value == -25
    assert values(arm(3, 3), arm(4, 4)).change("query").value == pytest.approx(100 / 3)


def test_a_change_is_that_of_the_mean_count_and_not_the_mean_of_changes():
    both = values(together(arm(1), arm(9)), together(arm(2), arm(9)))
    assert both.change("query").value == pytest.approx(10)


def test_points_between_two_arms_are_in_percent_of_rope():
    three = MassiveValues({"rope": arm(4, 4), "drope": arm(3, 3), "continued": arm(4, 2)})
    assert three.change_against("query", "drope", "continued").value == 0
    assert three.change_against("query", "drope", "rope").value == -25


def test_channels_that_stay_are_counted_and_not_how_many_there_are():
    same, others = arm(4, 4), arm(4, 4, dims=range(2, 32))
    assert values(same, same).kept("query", "drope").value == 100
    assert values(same, others).change("query").value == 0
    assert values(same, others).kept("query", "drope").value == 50


def test_a_change_without_a_layer_is_the_mean_of_the_others():
    assert values(arm(4, 0, 6), arm(1, 9, 5)).change_but_for("query", 1).tolist() == [-2, -2]


def test_without_the_first_position_other_channels_may_be_massive():
    record = arm(3)
    rest = record.assign({f"{name}_rest_norm": arm(1)[f"{name}_norm"] for name in ("query", "key", "value")})
    assert MassiveValues({"rope": rest}).totals("rope", "query").tolist() == [3, 3]
    assert MassiveValues({"rope": rest}, first=False).totals("rope", "query").tolist() == [1, 1]


def test_the_change_of_the_loss_is_from_rope():
    losses = (arm(1).assign(nll=("text", nll)) for nll in ([1.0, 2.0], [1.5, 1.0]))
    assert values(*losses).loss_change("drope").tolist() == [0.5, -1]


def test_a_change_from_nothing_has_no_percent():
    for number in ("change", "kept"):
        with pytest.raises(NoSubject, match="no massive query value in the RoPE arm"):
            getattr(values(arm(0, 0), arm(1, 1)), number)("query", "drope")


def test_values_that_swap_layers_have_moved_though_the_total_stays():
    assert values(thrice(6, 2), thrice(2, 6)).moved_share("value").tolist() == [50] * 3
    assert values(thrice(6, 0), thrice(0, 3)).moved_share("value").tolist() == [100] * 3


def test_noise_that_differs_from_text_to_text_moves_nothing_on_average():
    rng = np.random.default_rng(0)
    rope, drope = (together(*(arm(*row) for row in rng.poisson(6, (20, 6)) + 1)) for _ in range(2))
    moved = values(rope, drope).moved_share("value")
    assert abs(moved.mean()) < 3 * moved.std() / len(moved) ** 0.5
    shares = [values(rope, drope).layer_rates(a, "value") for a in ("rope", "drope")]
    plain = 50 * np.abs(np.subtract(*[share / share.sum(-1, keepdims=True) for share in shares])).sum(-1)
    assert plain.mean() > 10


def test_where_the_other_texts_cancel_what_a_text_gains_or_loses_counts_for_nothing():
    # in the first layer the others gain 0.2 and lose 0.2, but for a rounding error
    rope = together(arm(1, 6, 3), arm(5, 2, 3), arm(5, 1, 4))
    drope = together(arm(3, 2, 5), arm(3, 5, 2), arm(2, 2, 6))
    each = {"text": [0, 2, 4]}
    three = values(rope.isel(each), drope.isel(each))
    gains = np.subtract(*[c / c.sum(1, keepdims=True) for c in (three.counts(a, "value") for a in ("drope", "rope"))])
    assert 0 < abs((gains.sum(0) - gains)[2, 0]) < 1e-12
    # a loss of 0.3 counts for nothing; 0.1 is gained where the others lose, and 0.2 where they gain
    assert three.moved_share("value")[2] == pytest.approx(50 * (-0.1 + 0.2))


def test_two_texts_cannot_tell_what_moves_from_noise():
    with pytest.raises(NoSubject, match="2 texts are too few to tell what moves"):
        values(arm(6, 2), arm(2, 6)).moved_share("value")


@given(st.lists(st.integers(1, 6), min_size=2, max_size=4), st.integers(1, 3))
def test_nothing_has_moved_where_every_layer_keeps_its_share(layers, factor):
    grown = thrice(*(factor * count for count in layers))
    assert values(thrice(*layers), grown).moved_share("value") == pytest.approx([0] * 3, abs=1e-9)


def test_the_slow_half_is_found_in_both_halves_of_a_head():
    fast, slow = [0, 1, 16, 17], [8, 15, 24, 31]
    assert values(arm(4, dims=slow), arm(4)).slow_share("rope", "key").tolist() == [100, 100]
    assert values(arm(4, dims=fast[:3] + slow[:1]), arm(4)).slow_share("rope", "key").tolist() == [25, 25]


def test_one_channel_on_a_pair_has_a_share():
    assert values(arm(1, dims=[8]), arm(1)).slow_share("rope", "key").tolist() == [100, 100]


def test_the_channels_of_a_pair_are_those_of_its_two_dims_in_all_layers_and_heads():
    record = together(arm(3, 1, dims=[0, 16, 5]), arm(3, 3, dims=[0, 16, 5]))
    record["query_norm"].values[:, 0, 7, 5] = 1000
    per_pair = values(record, arm(1)).per_pair("rope", "query")
    assert per_pair.tolist() == [3.5, 0, 0, 0, 0, 2.5, *[0] * 10]


def test_dims_that_do_not_turn_lie_on_no_pair():
    partial = turning(arm(3, dims=[0, 1, 9]), [0], [0, 1, 2, 3, 16, 17, 18, 19])
    assert values(partial, arm(1)).per_pair("rope", "key").tolist() == [1, 1, 0, 0]
    assert values(turning(arm(3), []), arm(1)).per_pair("rope", "key").tolist() == []


def turning(record, layers, dims=range(32)):
    """The record as of a model that turns these dims in these layers only."""
    kept = np.zeros_like(record["frequency"].values)
    kept[np.ix_(layers, dims)] = record["frequency"].values[np.ix_(layers, dims)]
    return record.assign(frequency=(("layer", "dim"), kept))


def test_channels_of_layers_that_do_not_rotate_have_no_frequency():
    fast_then_slow = values(turning(arm(4, 0, dims=[0, 1, 16, 17]), [1]), arm(1))
    with pytest.raises(NoSubject, match="no massive query value on a rotary pair in the rope arm"):
        fast_then_slow.slow_share("rope", "query")
    both = arm(2, 4, dims=[0, 1, 8, 15])
    assert values(turning(both, [1]), arm(1)).slow_share("rope", "query").tolist() == [50, 50]
    assert values(both, arm(1)).slow_share("rope", "query") == pytest.approx([100 / 3] * 2)


def test_channels_of_dims_that_a_partial_rotation_leaves_out_count_in_neither_half():
    # dims 0 to 3 and 16 to 19 turn: pairs 0 to 3, of which 2 and 3 are slow
    partial = turning(arm(3, dims=[2, 1, 9]), [0], [0, 1, 2, 3, 16, 17, 18, 19])
    found = values(partial, arm(1))
    assert found.on_pairs("rope", "key").tolist() == [2, 2]
    assert found.slow_share("rope", "key").tolist() == [50, 50]


@pytest.mark.parametrize(
    ("value", "why"), [(0, "no layer of the rope arm rotates"), (np.nan, "cannot be read from it")]
)
def test_where_nothing_is_known_to_rotate_there_is_no_share(value, why):
    record = arm(3, 3)
    record["frequency"].values[1 if np.isnan(value) else slice(None)] = value
    with pytest.raises(NoSubject, match=why):
        values(record, arm(1)).slow_share("rope", "query")


def test_masks_are_those_of_every_arm_and_tensor_and_made_once():
    both = values(arm(3), arm(1))
    assert set(both.masks) == {(a, name) for a in ("rope", "drope") for name in ("query", "key", "value")}
    assert len(both.masks) == 6
    assert both.masks["drope", "key"].sum() == 2
    assert both.masks["drope", "key"] is both.masks["drope", "key"]


def test_a_tensor_that_is_asked_for_waits_for_no_other():
    both = values(arm(3)[["query_norm"]], arm(1)[["query_norm"]])
    assert both.change("query").value == pytest.approx(-200 / 3)


@pytest.mark.parametrize(("norm", "number"), [(4.9, 0), (5.3, 1)])
def test_five_times_the_mean_is_massive_unless_another_threshold_is_given(norm, number):
    record = arm(0)
    record["query_norm"].values[:, 0, 0, 0] = norm  # beside 255 norms of 1 it hardly moves the mean
    assert values(record, arm(0)).totals("rope", "query").tolist() == [number] * 2


def test_a_mask_that_does_not_exist_is_no_mask():
    with pytest.raises(KeyError, match="dropped"):
        values(arm(3), arm(1)).masks["dropped", "query"]


def test_almost_no_massive_values_are_no_subject():
    both = values(arm(0, 0), arm(1, 1))
    both.need("query", "rope", "drope")
    both.need("query", "drope", layer=1)
    with pytest.raises(NoSubject, match="rope arm has 0 massive query values per text, fewer than 1"):
        both.need("query", "rope")


def test_a_change_may_be_that_of_another_arm():
    three = MassiveValues({"rope": arm(4, 4), "drope": arm(3, 3), "continued": arm(8, 4)})
    assert three.change("query").value == -25
    assert three.change("query", "continued").value == 50


def test_one_arm_alone_can_be_counted():
    alone = MassiveValues({"rope": arm(4, 4)})
    alone.need("query", "rope")
    assert alone.totals("rope", "query").tolist() == [8, 8]


def test_the_gini_coefficient_is_that_of_each_layer_and_the_mean_of_layers():
    both = values(arm(4, 0), arm(1, 1))
    first, second = (gini(np.sort(both.norms("rope", "query")[0, layer])) for layer in (0, 1))
    assert second == 0
    assert both.gini("rope", "query") == pytest.approx([(first + second) / 2] * 2)


def ranked(rows):
    """A record of 3 layers with 8 channels whose norms are 1 to 8, and the given row norms in every layer."""
    norms = np.tile(np.arange(1.0, 9.0, dtype=np.float32).reshape(1, 1, 2, 4), (2, 3, 1, 1))
    tensors = dict.fromkeys(("query_norm", "key_norm", "value_norm"), (("text", "layer", "head", "dim"), norms))
    rows = np.array(rows, dtype=np.float32).reshape(3, 2, 4)
    return MassiveValues({"rope": xr.Dataset({**tensors, "query_row_norm": (("layer", "head", "dim"), rows)})})


def test_rows_in_the_order_of_the_norms_agree_and_the_median_layer_decides():
    rising, falling = list(range(8)), list(range(8, 0, -1))
    assert ranked([rising, rising, falling]).rank_agreement("rope", "query") == pytest.approx([1, 1])
    assert ranked([rising, falling, falling]).rank_agreement("rope", "query") == pytest.approx([-1, -1])


def test_the_agreement_is_spearmans_with_ties():
    rows = [[1, 1, 2, 2, 9, 3, 3, 3], [5, 1, 4, 2, 2, 6, 7, 8], [1, 3, 2, 4, 6, 5, 8, 7]]
    expected = np.median([stats.spearmanr(row, range(8)).statistic for row in rows])
    assert ranked(rows).rank_agreement("rope", "query") == pytest.approx([expected] * 2)


def test_rows_that_are_all_alike_rank_no_channel():
    with pytest.raises(NoSubject, match="all rows of a layer's query projection have the same norm"):
        ranked([list(range(8)), [2] * 8, list(range(8))]).rank_agreement("rope", "query")


def test_what_two_arms_share_is_counted_layer_by_layer():
    both = values(arm(4, 2, 0, 0), arm(2, 4, 3, 0))
    kept, jaccard = both.overlap("query")
    np.testing.assert_array_equal(kept, [0.5, 1, np.nan, np.nan])
    np.testing.assert_array_equal(jaccard, [0.5, 0.5, 0, np.nan])
