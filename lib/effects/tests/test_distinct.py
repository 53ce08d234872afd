import numpy as np
import pytest
import xarray as xr

from fixtures.planted import records
from fixtures.planted.subjects import bands, course, disruption, massive_values, with_texts, worth
from lib.definitions.words import ARMS
from lib.effects.answers import Answers
from lib.effects.counts import MassiveValues
from lib.effects.distinct import distinct_measurements
from lib.effects.losses import Disruption

pytestmark = pytest.mark.cpu
SUBJECTS = {
    "counts": massive_values(texts=6),
    "losses": disruption(),
    "bands": bands(0.5, 0.1),
    "a course of counts": course(20, 15, 10),
    "a course of losses": worth(2.0, 1.0, 0.5),
}
every_subject = pytest.mark.parametrize("subject", SUBJECTS.values(), ids=SUBJECTS)


@every_subject
def test_texts_of_their_own_are_so_many_measurements_and_copies_of_one_text_are_one(subject):
    assert distinct_measurements(subject) in (6, 18, 20)
    assert distinct_measurements(with_texts(subject, [2] * 6)) == 1
    assert distinct_measurements(with_texts(subject, [0, 1, 1, 0, 2])) == 3


def test_a_difference_in_the_last_bit_is_another_measurement():
    losses = np.ones((4, 3))
    losses[1:, 1] = np.nextafter(1, 2), np.nextafter(1, 0), 1
    assert distinct_measurements(Disruption({"rope": records.disruption_record(losses)})) == 3


def test_the_arm_that_was_repeated_counts_and_so_does_the_tensor():
    found = massive_values(texts=6)
    stuck = with_texts(found, [0] * 6).records["drope"]
    assert distinct_measurements(MassiveValues({**found.records, "drope": stuck})) == 1
    one = found.records["rope"].assign(key_norm=stuck["key_norm"].variable)
    assert distinct_measurements(MassiveValues(dict.fromkeys(ARMS, one))) == 1


def test_of_several_subjects_the_one_with_the_fewest_counts():
    assert distinct_measurements(SUBJECTS["losses"], SUBJECTS["counts"]) == 6


@pytest.mark.parametrize("nothing", [(), (None,), ({"drope": 5},), (Disruption({}),)])
def test_where_nothing_is_known_of_the_measurements_there_is_one(nothing):
    assert distinct_measurements(*nothing) == 1


def test_items_are_as_many_as_the_largest_task_has_unless_a_task_repeats_some():
    asked = records.answers_record({"baseline": 0.9}, {"baseline": 0.5}, items=6)
    small = asked.isel(item=range(3, asked.sizes["item"]))
    assert [distinct_measurements(Answers({"rope": of})) for of in (asked, small)] == [6, 6]
    repeated = asked.isel(item=[3, 3, 3, *range(3, asked.sizes["item"])])
    assert distinct_measurements(Answers({"rope": repeated})) == 3


def test_a_record_of_neither_norms_nor_losses_counts_as_one_measurement():
    assert distinct_measurements(MassiveValues({"rope": xr.Dataset()})) == 1
