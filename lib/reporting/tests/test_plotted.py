import json

import numpy as np
import pytest

from fixtures.planted import records
from lib.definitions.words import ARMS
from lib.effects.counts import MassiveValues
from lib.records.layout import LAYOUT
from lib.reporting.plotted import EXPERIMENTS, POINTS, numbers

pytestmark = pytest.mark.cpu

COUNTS = {"query": [[3, 0], [5, 2], [4, 1]], "key": [[2, 2], [2, 2], [2, 2]], "value": [[0, 0], [0, 1], [0, 0]]}


@pytest.fixture
def found():
    norms = {arm: records.norms_record(COUNTS, seed=i) for i, arm in enumerate((*ARMS, "dropped"))}
    losses = {arm: records.disruption_record(records.losses(2.0, [0.0, 0.1])) for arm in ARMS}
    return numbers({"norms": norms, "disruption": losses}, threshold=5.0, scope="layer")


def of_rope(**made):
    """The numbers of the RoPE arm with records of norms and of these experiments."""
    records_of = {"norms": records.norms_record(COUNTS), **made}
    found = numbers({name: {"rope": record} for name, record in records_of.items()}, threshold=5.0, scope="layer")
    return found["arms"]["rope"]


def test_planted_counts_are_the_counts_of_every_arm(found):
    assert all(entry["counts"] == COUNTS for entry in found["arms"].values())


def test_everything_is_plain_json(found):
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_losses_come_with_the_names_of_their_conditions(found):
    damage = found["arms"]["rope"]["disruption"]
    assert damage["conditions"] == ["baseline", "massive", "control 0", "control 1"]
    rise = np.array(damage["nll"])[:, 1] - np.array(damage["nll"])[:, 0]
    assert rise.mean() == pytest.approx(2.0)
    assert damage["zeroed"] == 2 * 4 * 2
    assert "disruption" not in found["arms"]["dropped"]


def test_losses_of_bands_come_with_what_was_zeroed():
    found = of_rope(bands=records.bands_record(0.5, 0.1))["bands"]
    assert found["conditions"] == ["baseline", "slow", "fast"]
    assert found["zeroed"] == {"slow": 2 * 4 * 2, "fast": 2 * 4 * 2}
    assert np.diff(found["nll"]).mean(0) == pytest.approx([0.5, -0.4])
    assert "bands" not in of_rope()


def test_lorenz_curves_go_from_nothing_to_everything(found):
    curve = found["arms"]["drope"]["lorenz"]["query"]
    assert len(curve) == POINTS
    assert (curve[0], curve[-1]) == (0, pytest.approx(1))
    assert curve == sorted(curve)


def test_where_nothing_is_shared_there_is_null():
    counts = {name: [[0, 3], [0, 3]] for name in COUNTS}
    norms = {arm: records.norms_record(counts) for arm in ARMS}
    shared = numbers({"norms": norms}, threshold=5.0, scope="layer")["between"]["query"]
    assert shared == {"kept": [None, 1.0], "jaccard": [None, 1.0]}


def test_a_layer_of_zeros_is_no_reason_to_lose_the_report():
    norms = {arm: records.norms_record(COUNTS) for arm in ARMS}
    for record in norms.values():
        record["query_norm"].values[:, 0] = 0
        record["query_row_norm"].values[0] = 0
    found = numbers({"norms": norms}, threshold=5.0, scope="layer")
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["arms"]["rope"]["rank_agreement"]["query"][0][0] is None
    assert found["arms"]["rope"]["gini"]["query"] is None
    assert found["arms"]["rope"]["gini"]["key"] is not None


@pytest.mark.parametrize(("slow", "half"), [(1.0, slice(64, None)), (0.0, slice(None, 64))])
def test_massive_channels_of_rotary_pairs_add_up_to_all_of_them(slow, half):
    values = MassiveValues({"rope": records.norms_record(COUNTS, slow=slow)})
    pairs = values.per_pair("rope", "query")
    assert len(pairs) == 128
    assert pairs.sum() == pairs[half].sum() == pytest.approx(values.totals("rope", "query").mean())


def test_specificity_is_told_with_the_channels_and_the_energy_of_each_selection():
    found = of_rope(specificity=records.specificity_record((4, 2), (3, 1), (3, 1)))["specificity"]
    assert found["conditions"][1] == "massive, zero"
    assert (found["channels"]["next"], found["energy"]["energy 4"]) == (16, pytest.approx(40))
    assert np.mean([row[1] - row[0] for row in found["nll"]]) == pytest.approx(4)
    assert "specificity" not in of_rope()


def test_answers_are_told_by_task_with_those_that_are_none_of_the_choices():
    shares = {"baseline": 0.8, "massive": 0.3}
    found = of_rope(tasks=records.answers_record(shares, {"baseline": 0.7}, items=40))["tasks"]
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert (found["conditions"][:2], found["trained_length"]) == (["baseline", "massive"], None)
    key, capitals = found["by_task"]["passkey"], found["by_task"]["capitals"]
    assert (key["knowledge"], key["items"], key["chance"]) == ("contextual", 40, 25)
    assert (key["right"][:2], key["written"][:2], key["unparsed"][:2]) == ([32, 12], [32, 12], [8, 28])
    # of 4 choices one is e**2 times as likely as each other
    right, wrong = np.log([1 / (1 + 3 * np.exp(-2)), 1 / (3 + np.exp(2))])
    assert key["odds"][1] == pytest.approx(0.3 * right + 0.7 * wrong)
    assert (capitals["knowledge"], capitals["right"][:2], "hidden" in capitals) == ("parametric", [28, 28], False)
    assert "tasks" not in of_rope()


def test_answers_about_hidden_facts_are_told_by_length_and_depth():
    asked = records.answers_record({"baseline": 0.5}, {"baseline": 0.5})
    asked["tokens"].values[asked["length"].values == 8] += 7
    key = of_rope(tasks=asked)["tasks"]["by_task"]["passkey"]
    assert [(place["length"], place["depth"]) for place in key["hidden"]] == records.HIDDEN
    assert [place["tokens"] for place in key["hidden"]][::5] == [60, 80, 127, 200]
    assert {place["items"] for place in key["hidden"]} == {100}
    assert np.sum([place["right"] for place in key["hidden"]], 0).tolist() == key["right"]


def test_every_experiment_has_its_numbers():
    assert set(EXPERIMENTS) == set(LAYOUT)


def test_the_stream_is_told_by_run_of_positions_with_the_shares_and_states_of_layers():
    record = records.stream_record(share=(50, 5, 35, 30), lengths=(10, 20, 30, 40), spread=0, texts=2)
    record["run_norm"].values[:] = 10 * np.arange(5)[:, None] + np.arange(5)
    record["run_norm"].values[1] += 2
    record["added_norm"].loc[{"layer": 1, "part": "mlp", "where": "first"}] *= 100
    found = of_rope(stream=record)["stream"]
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["tokens"] == records.TOKENS
    assert found["norms"] == [[10.0 * row + column + 1 for column in range(5)] for row in range(5)]
    mlp = 95 * (100 + records.TOKENS - 1) / records.TOKENS
    assert found["share"] == pytest.approx([50, 100 * 5 / (5 + mlp), 35, 30])
    assert found["share_of_rest"] == pytest.approx([50, 5, 35, 30])
    assert found["states"] == {name: pytest.approx([10, 20, 30, 40]) for name in COUNTS}
    assert "stream" not in of_rope()


def test_a_layer_that_adds_nothing_costs_no_number_but_the_shares():
    record = records.stream_record(texts=2)
    record["added_norm"].values[:, 2] = 0
    found = of_rope(stream=record)["stream"]
    assert (found["share"], found["share_of_rest"]) == (None, None)
    assert found["states"]["key"] == pytest.approx([40] * 4, rel=0.1)


def test_sinks_are_told_by_input_with_what_each_head_gives_the_first_position():
    record = records.sinks_record(texts=2)
    shares = np.full(record["first_share"].shape, 0.05)
    shares[0, 0, 1, :25] = 0.6  # a half of layer 1's heads, on one text of two
    shares[1, :, 0] = 0.3  # random tokens: exactly what makes a sink
    record["first_share"].values[:] = shares
    found = of_rope(sinks=record)["sinks"]
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["rate"] == {"texts": [12.5, 0], "random": [25, 25], "repeated": [0, 0]}
    assert found["rate_by_layer"]["texts"] == [0, 25, 0, 0]
    assert found["rate_by_layer"]["random"] == [100, 0, 0, 0]
    assert (found["first_share"][1][0], found["first_share"][1][25]) == (32.5, 5.0)
    assert (found["tokens"], found["uniform"]) == (64, pytest.approx(7.41, abs=0.01))


def test_losses_of_modules_come_with_the_layers_that_are_edited():
    record = records.modules_record({"mlp": 7.5}).assign(spike=3)
    without = record.sel(condition=["baseline", "mlp", "both"])
    found, few = of_rope(modules=record)["modules"], of_rope(modules=without)["modules"]
    assert few["conditions"] == ["baseline", "mlp", "both"]
    assert np.mean([row[1] - row[0] for row in few["nll"]]) == pytest.approx(7.5, abs=0.02)
    assert (len(found["conditions"]), len(found["nll"][0])) == (9, 9)
    assert (found["layer"], found["spike"], found["replaced"]) == (1, 3, 2)
