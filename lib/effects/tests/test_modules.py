"""What modules are worth, and how much of a loss has come back, from records whose losses are known."""

import numpy as np
import pytest

from fixtures.planted.records import loss_record, modules_record
from lib.definitions import OF_ACTIVATIONS
from lib.effects.modules import Modules
from lib.effects.recovery import Recovery
from lib.judging import NoSubject

pytestmark = pytest.mark.cpu


def test_losses_are_increases_over_the_baseline():
    found = Modules({"rope": modules_record({"mlp": 2.0, "attention": 0.5})})
    assert found.nats("rope", "mlp").mean() == pytest.approx(2)
    assert found.nats("rope", "both").mean() == pytest.approx(0)
    assert (found.spike("rope"), found.replaced("rope")) == (1, 2)


@pytest.mark.parametrize("condition", OF_ACTIVATIONS)
def test_without_massive_activations_their_conditions_have_no_subject(condition):
    record = modules_record({})
    without = record.sel(condition=[c for c in record["condition"].values if c not in OF_ACTIVATIONS])
    with pytest.raises(NoSubject, match="no layer of RoPE has massive activations"):
        Modules({"rope": without}).nats("rope", condition)


def test_an_arm_is_compared_in_percent_of_what_rope_loses():
    found = Modules(
        {"rope": modules_record({"value at first": 2.0}), "drope": modules_record({"value at first": 3.0}, seed=9)}
    )
    assert found.compared("drope", "value at first").value == pytest.approx(150)
    with pytest.raises(NoSubject, match="the rope arm loses nothing"):
        Modules(dict.fromkeys(("rope", "drope"), modules_record({"mlp": -1.0}))).compared("drope", "mlp")


def test_an_arm_of_one_layer_has_no_layer_1():
    record = modules_record({}).assign(layer=0)
    with pytest.raises(NoSubject, match="the drope arm has one layer"):
        Modules({"rope": modules_record({}), "drope": record}).need_layer("rope", "drope")


def test_what_is_recovered_is_a_share_of_what_dropping_costs():
    losses = {"rope": 3.0, "dropped": 9.0, "drope": 4.5}
    found = Recovery({arm: loss_record(loss, spread=0.0) for arm, loss in losses.items()})
    assert found.recovered().value == pytest.approx(75)
    assert found.describe() == "nats per token: rope 3, dropped 9, drope 4.5"


def test_where_dropping_costs_nothing_there_is_nothing_to_recover():
    losses = {"rope": 3.0, "dropped": 3.0, "drope": 4.5}
    with pytest.raises(NoSubject, match="there is nothing to recover"):
        Recovery({arm: loss_record(loss, spread=0.0) for arm, loss in losses.items()}).recovered()
    assert np.isfinite(list(losses.values())).all()
