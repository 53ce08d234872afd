"""Streams: massive activations and shares, from records whose numbers are known."""

import numpy as np
import pytest
import xarray as xr

from fixtures.planted.records import TOKENS, stream_record
from lib.effects.stream import DIMS, Stream
from lib.judging import NoSubject

pytestmark = pytest.mark.cpu


def stream(drope=None, **rope):
    return Stream({"rope": stream_record(**rope), "drope": stream_record(**{**rope, **(drope or {})})})


def test_the_limit_that_is_reached_least_counts_in_the_layer_where_most_is_reached():
    record = stream_record(texts=2)
    record["largest"][:] = 1.0
    record["median"][:] = 0.2
    record["largest"][0, 2, 3] = -500.0  # 5 times 100, and 2.5 times 1000 medians
    record["largest"][1, 2, 0] = 50.0
    record["median"][1, 2] = 0.01  # 5000 medians, and half of 100
    found = Stream({"rope": record})
    assert found.times_the_limits("rope") == pytest.approx([2.5, 0.5])
    assert found.massive("rope").sum((1, 2)).tolist() == [1, 0]


@pytest.mark.parametrize(
    ("what", "placed"),
    [
        ({}, 100),
        ({"position": 3}, 0),
        ({"position": 3, "at_delimiter": True}, 100),
        ({"channel": 0}, 100),
        ({"largest": 1.0}, 0),
    ],
)
def test_a_text_counts_if_all_of_its_massive_activations_sit_where_they_should(what, placed):
    record = stream_record(texts=2)
    for name, value in what.items():
        record[name][1] = value
    assert Stream({"rope": record}).placed("rope").tolist() == [100, placed]


@pytest.mark.parametrize(("dims", "placed"), [(DIMS, 100), (DIMS + 1, 0)])
def test_massive_activations_in_more_than_four_dims_are_not_few(dims, placed):
    assert Stream({"rope": stream_record(dims=dims)}).placed("rope").tolist() == [placed] * 20


def test_values_deviate_from_their_own_dims_mean_over_the_texts():
    record = stream_record(texts=2, dims=2, varies=0)
    record["largest"][:, 1, 0] = [900.0, 1100.0]
    record["largest"][:, 1, 1] = [-200.0, -200.0]
    assert Stream({"rope": record}).deviation("rope") == pytest.approx([5, 5])


def test_where_they_appear_is_said_with_their_dims():
    record = stream_record(texts=2, dims=2, varies=0, times=2)
    told = Stream({"rope": record}).describe("rope")
    assert told == "they appear behind layer 0: -200 in dim 0, -200 in dim 1"


def test_without_massive_activations_there_is_nothing_to_say_of_them():
    with pytest.raises(NoSubject, match="no layer of RoPE has massive activations"):
        stream(times=0.5).activations("rope")


def test_shares_are_of_norms_over_all_positions_the_first_one_included():
    record = stream_record(texts=2, share=(50.0, 50.0), lengths=(1.0, 1.0)).isel(text=[0])
    norms = np.zeros((1, 2, 2, 2), dtype=np.float32)
    norms[0, 0] = [[10.0, 1.0], [100.0, 3.0]]  # attention and MLP, at the first position and at the others
    norms[0, 1] = [[0.0, 1.0], [0.0, 1.0]]
    record["added_norm"] = record["added_norm"].copy(data=norms)
    found = Stream({"rope": record})
    attention, mlp = 10 + (TOKENS - 1), 100 + 3 * (TOKENS - 1)
    assert found.shares("rope")[0] == pytest.approx([100 * attention / (attention + mlp), 50])
    assert found.shares("rope", first=False)[0] == pytest.approx([25, 50])


def test_gains_are_shares_against_those_of_rope():
    found = stream(share=(50, 5, 35, 35), drope={"share": (10, 70, 40, 35)}, spread=0.0)
    assert found.gains("drope").mean(0) == pytest.approx([-40, 65, 5, 0])
    assert found.gain("drope", 1).mean() == pytest.approx(65)
    assert found.without_first("drope", 1) == "without the first position 5 % under RoPE and 70 % under DroPE"


def test_lengths_grow_by_a_ratio_of_means():
    found = stream(lengths=(40, 10), share=(50, 50), drope={"lengths": (40, 1000)})
    assert found.times("drope", "query", 1).value == pytest.approx(10_000)
    assert found.times("drope", "query", 0).value == pytest.approx(100)
    assert found.of_value("drope", 1) == "value 100 times"


def test_arms_of_other_depth_and_layers_that_do_not_exist_have_nothing_to_compare():
    found = Stream({"rope": stream_record(), "drope": stream_record(share=(50, 50), lengths=(1, 1))})
    with pytest.raises(NoSubject, match="the arms have 4 and 2 layers"):
        found.gains("drope")
    with pytest.raises(NoSubject, match="the arms have 2 layers, and 3 are needed"):
        Stream(dict.fromkeys(("rope", "drope"), found.records["drope"])).need_layers("drope", least=3)


@pytest.mark.parametrize("first", [True, False])
def test_a_layer_that_adds_nothing_has_no_shares(first):
    record = stream_record()
    record["added_norm"][:, 2] = 0
    with pytest.raises(NoSubject, match="a layer of RoPE adds nothing"):
        Stream({"rope": record}).shares("rope", first=first)


def test_states_that_are_zero_do_not_grow():
    record = stream_record()
    record["state_norm"][:] = 0
    with pytest.raises(NoSubject, match="the query states of layer 1 of the rope arm are zero"):
        Stream({"rope": record, "drope": stream_record()}).times("drope", "query", 1)


def test_a_text_without_any_where_most_have_some_is_named():
    record = stream_record(texts=20)
    record["largest"][0, 1] = 1.0
    with pytest.raises(NoSubject, match="a text has no massive activation behind layer 0, where most have some"):
        Stream({"rope": record}).deviation("rope")
    assert isinstance(record, xr.Dataset)
