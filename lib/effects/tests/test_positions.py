import numpy as np
import pytest
import xarray as xr

from fixtures.planted.subjects import positions
from lib.effects import Positions
from lib.judging import NoSubject

pytestmark = pytest.mark.cpu


def plain(*each, trained=4):
    record = xr.Dataset({"token_nll": (("text", "predicted"), np.array(each, dtype=float))})
    return Positions({"rope": record}, trained)


def test_the_last_token_of_the_trained_length_is_within_it():
    """With 4 tokens in all there are 3 that are predicted: those of positions 1, 2 and 3."""
    found = plain([1, 2, 3, 10, 20], [1, 1, 1, 4, 8])
    assert found.within("rope").tolist() == [2, 1]
    assert found.beyond("rope").tolist() == [15, 6]


def test_planted_losses_lie_on_their_side_of_the_trained_length():
    found = positions(6.0, 3.2, kind="yarn", spread=0)
    assert found.within("rope") == pytest.approx(np.full(20, 3.0))
    assert found.beyond("rope") == pytest.approx(np.full(20, 6.0))
    assert found.beyond("yarn") == pytest.approx(np.full(20, 3.2))
    assert found.describe("rope", "yarn") == "nats per token within and beyond 32 tokens: rope 3 and 6, yarn 3 and 3.2"


def test_a_run_of_the_curve_ends_with_the_trained_length():
    found = positions(6.0, 3.2, kind="yarn", spread=0)
    middles, losses = found.course("rope")
    assert losses[middles < 32].mean() == pytest.approx(3, abs=0.2)
    assert losses[middles > 32].mean() == pytest.approx(6, abs=0.2)
    assert middles[0] < 2
    assert (np.diff(middles) > 0).all()


def test_a_curve_has_the_mean_loss_of_its_positions():
    middles, losses = plain(np.arange(1, 11), trained=None).course("rope")
    assert middles.tolist() == losses.tolist() == list(range(1, 11))
    _, long = plain(np.arange(1, 1001), trained=None).course("rope")
    assert len(long) == 48
    assert long[0] == pytest.approx(np.arange(1, 22).mean())


@pytest.mark.parametrize(
    ("tokens", "trained", "reason"),
    [
        (
            20,
            32,
            r"^inconclusive: texts of 20 tokens do not go beyond the 32 that the rope arm was .* 48 or more$",
        ),
        (47, 32, "^inconclusive: texts of 47 tokens do not go beyond the 32"),
        (48, None, "does not tell how long a text it was trained to read"),
    ],
)
def test_texts_that_end_within_the_trained_length_are_nothing_to_judge(tokens, trained, reason):
    with pytest.raises(NoSubject, match=reason):
        plain(np.ones(tokens - 1), trained=trained).need_beyond()


def test_texts_that_go_beyond_it_are_judged():
    assert plain(np.ones(47), trained=32).need_beyond() is None


def test_an_older_record_without_losses_by_position_is_nothing_to_judge():
    with pytest.raises(NoSubject, match="older than losses by position"):
        Positions({"rope": xr.Dataset({"nll": ("text", [1.0])})}, 4).losses("rope")
