import numpy as np
import pytest
import xarray as xr

from lib.effects.losses import Disruption
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


@pytest.mark.parametrize("loss", [400, 1e5, 6e38])
def test_a_rise_beyond_any_perplexity_leaves_claims_on_it_open(loss):
    record = losses(baseline=[1, 2, 3], massive=[2, 4, loss], control_0=[1, 2, 3])
    with pytest.raises(NoSubject, match=r"the rope arm loses \S+ nats per token, more than a perplexity can tell"):
        Disruption({"rope": record}).percent_by_kind("rope")


def test_the_number_of_zeroed_channels_is_that_of_query_and_key():
    masks = {f"{name}_zeroed": (("layer", "head", "dim"), np.ones((2, 3, 4), bool)) for name in ("query", "key")}
    assert Disruption({"rope": xr.Dataset(masks)}).zeroed("rope") == 48
