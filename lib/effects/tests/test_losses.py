from contextlib import nullcontext

import numpy as np
import pytest
import xarray as xr

from lib.effects.losses import MOST, Bands, Disruption, Specificity, need_perplexity
from lib.judging import NoSubject

pytestmark = pytest.mark.cpu


def losses(**nll):
    record = xr.Dataset({"nll": (("text", "condition"), np.array(list(nll.values())).T)})
    kinds = ["a", "b", "a"]
    return record.assign_coords(condition=[name.replace("_", " ") for name in nll], kind=("text", kinds))


def test_losses_are_increases_over_the_baseline():
    record = losses(baseline=[1, 2, 3], massive=[2, 4, 6], control_0=[1, 2, 3], control_1=[1, 3, 3])
    both = Disruption({"rope": record, "drope": record})
    assert both.massive("rope").tolist() == [1, 2, 3]
    assert both.controls("rope").tolist() == [[0, 0], [0, 1], [0, 0]]
    assert both.control("drope").tolist() == [0, 0.5, 0]
    percents = both.percent_by_kind("rope")
    assert percents["b"] == pytest.approx([100 * (np.e**2 - 1)])
    assert list(percents) == ["a", "b"]


def test_arms_are_those_of_the_records():
    assert Disruption({"rope": losses(baseline=[1, 2, 3])}).arms == ("rope",)


@pytest.mark.parametrize(("nats", "told"), [(148.9, True), (151.1, False)])
def test_a_perplexity_is_told_of_up_to_150_nats(nats, told):
    with nullcontext() if told else pytest.raises(NoSubject):
        need_perplexity("rope", np.array([1.0, nats]))
    assert MOST == 150


def test_a_band_costs_what_it_adds_to_the_baseline():
    record = losses(baseline=[1, 2, 3], slow=[2, 4, 6], fast=[1, 2, 4])
    assert Bands({"rope": record}).nats("slow").tolist() == [1, 2, 3]
    assert Bands({"rope": record}).nats("fast").tolist() == [0, 0, 1]


def selections():
    """Three texts of a loss of 1. Massive channels cost 2 nats, the next-largest 1, and each draw its number."""
    costs = {"massive": 2.0, "next": 1.0, **{f"energy {draw}": draw for draw in range(5)}}
    names = ["baseline", *(f"{name}, {value}" for name in costs for value in ("zero", "mean"))]
    cost = np.array([0, *(cost * factor for cost in costs.values() for factor in (1, 0.5))])
    of_layers = {"massive": [0.4, 0.2], "next": [0.0, 0.0]}
    share = np.array([[0, 0], *(of_layers.get(name, [0.1, 0.1]) for name in costs for _ in range(2))])
    replaced = np.array([0, *(8 if name == "massive" else 5 for name in costs for _ in range(2))])
    tensors = {f"{name}_share": (("condition", "layer"), share) for name in ("query", "key")}
    numbers = {f"{name}_replaced": ("condition", replaced) for name in ("query", "key")}
    nll = (("text", "condition"), 1 + np.tile(cost, (3, 1)))
    return Specificity({"rope": xr.Dataset({"nll": nll, **tensors, **numbers}, {"condition": names})})


def test_a_selection_costs_what_it_adds_to_the_baseline_and_holds_its_share_of_the_energy():
    found = selections()
    assert found.nats("rope", "massive", "zero").tolist() == [2] * 3
    assert found.nats("rope", "massive", "mean").tolist() == [1] * 3
    assert found.drawn("rope", "zero").tolist() == [[0, 1, 2, 3, 4]] * 3
    assert found.share("rope", "massive") == pytest.approx(30)
    assert found.replaced("rope", "next") == 10


def test_damage_is_compared_for_each_percent_of_the_energy_where_there_is_any():
    found = selections()
    massive = "massive +2 nats, 16 channels with 30 % of the energy, 0.0667 nats for each percent"
    assert found.compare("rope", "next-largest", "zero") == (
        f"{massive}; next-largest +1 nats, 10 channels with 0 % of the energy"
    )
    assert found.compare("rope", "random", "zero").endswith(
        "; random +2 nats, 10 channels with 10 % of the energy, 0.2 nats for each percent"
    )


@pytest.mark.parametrize("loss", [400, 1e5, 6e38])
def test_a_rise_beyond_any_perplexity_leaves_claims_on_it_open(loss):
    record = losses(baseline=[1, 2, 3], massive=[2, 4, loss], control_0=[1, 2, 3])
    with pytest.raises(NoSubject, match=r"the rope arm loses \S+ nats per token, more than a perplexity can tell"):
        Disruption({"rope": record}).percent_by_kind("rope")


def test_the_number_of_zeroed_channels_is_that_of_query_and_key():
    masks = {f"{name}_zeroed": (("layer", "head", "dim"), np.ones((2, 3, 4), bool)) for name in ("query", "key")}
    assert Disruption({"rope": xr.Dataset(masks)}).zeroed("rope") == 48
