import numpy as np
import pytest

from fixtures.planted import records
from lib.definitions.words import ARMS
from lib.effects.counts import MassiveValues
from lib.effects.losses import Disruption
from lib.effects.trajectory import Trajectory
from lib.judging.verdicts import NoSubject

pytestmark = pytest.mark.cpu

NAMES = ("query", "key", "value")


def counted(*totals):
    """Both arms with so many massive channels of every tensor in one text after the other, in layer 1 of 2."""
    record = records.norms_record({name: np.array([[0, total] for total in totals]) for name in NAMES})
    return MassiveValues(dict.fromkeys(ARMS, record))


def hurt(*nats, zeroed=2):
    record = records.disruption_record(np.array([[1.0, 1.0 + n, 1.0] for n in nats]), zeroed=zeroed)
    return Disruption(dict.fromkeys(ARMS, record))


def test_totals_are_texts_by_checkpoints():
    course = Trajectory((5, 10, 15), (counted(9, 8), counted(7, 6), counted(5, 4)))
    assert course.totals("query").tolist() == [[9, 7, 5], [8, 6, 4]]


def test_layers_are_means_over_texts():
    course = Trajectory((5, 10), (counted(9, 8), counted(7, 4)))
    assert course.per_layer("key").tolist() == [[0, 0], [8.5, 5.5]]


def test_reliance_is_the_rise_of_the_loss_at_every_checkpoint():
    course = Trajectory((5, 10), (counted(9, 8),) * 2, (hurt(1.0, 2.0), hurt(0.5, 0.0)))
    np.testing.assert_allclose(course.reliance(), [[1.0, 0.5], [2.0, 0.0]])


def test_losses_are_those_of_the_texts_that_are_counted():
    values = counted(9, 8)
    assert Trajectory((5, 10), (values,) * 2).loss()[:, 1].tolist() == values.records["drope"]["nll"].values.tolist()


def test_one_checkpoint_with_massive_values_is_a_subject_and_none_is_not():
    Trajectory((5, 10), (counted(0, 0), counted(1, 1))).need("query")
    with pytest.raises(NoSubject, match=r"no checkpoint has more than 0.5 massive query values per text"):
        Trajectory((5, 10), (counted(0, 0), counted(1, 0))).need("query")


def test_one_checkpoint_with_zeroed_channels_is_a_subject_and_none_is_not():
    Trajectory((5, 10), (), (hurt(1.0, zeroed=0), hurt(1.0, zeroed=1))).need_zeroed()
    with pytest.raises(NoSubject, match="no checkpoint has a massive query or key channel to zero"):
        Trajectory((5, 10), (), (hurt(1.0, zeroed=0),) * 2).need_zeroed()


def test_an_axis_of_steps_says_how_many_tokens_a_step_has_where_that_is_known():
    assert Trajectory((5, 10), (), tokens_per_step=2048).unit == "steps of 2,048 tokens"
    assert Trajectory((5, 10), ()).unit == "steps"
