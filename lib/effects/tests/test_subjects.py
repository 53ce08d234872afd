from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from fixtures.measured import Reading
from fixtures.planted import records
from fixtures.plugin.options import SETTINGS
from lib.checkpoints.arguments import ModelArguments
from lib.definitions.words import NAMES, RESCALED
from lib.effects.subjects import ENOUGH, SUBJECTS, Missing, Records, read_again
from lib.effects.trajectory import Trajectory
from lib.records.files import Unusable
from lib.settings import Settings

pytestmark = pytest.mark.cpu

STEPS = {"drope@step1": 1, "drope@step2": 2, "drope": 3}
ARMS = dict.fromkeys(("rope", *STEPS, "dropped", "continued", *RESCALED), ModelArguments("m"))
RUN = Settings(
    pair="p",
    description="",
    arms=ARMS,
    device="cpu",
    max_tokens=8,
    threshold=4.0,
    scope="head",
    site="attention",
    controls=2,
    records=Path("records"),
    steps=STEPS,
)
MADE = [row for row in SUBJECTS.values() if row.beside is None]


def record(count, sites="projection normed attention"):
    counts = dict.fromkeys(NAMES, np.full((3, 2), count))
    return records.norms_record(counts).assign_attrs(sites=sites)


def losses():
    return records.disruption_record(records.losses(1.0, (0.0, 0.0)))


TAKEN = {
    "norms": {arm: record(i) for i, arm in enumerate(("rope", *STEPS, "dropped", "continued"))},
    "norms@normed": {"rope": record(8)},
    "norms@projection": {"rope": record(9), "linear": record(10), "yarn": record(11)},
    "disruption": {arm: losses() for arm in ("rope", *STEPS)},
    "bands": {"rope": records.bands_record(0.5, 0.1)},
    "specificity": {arm: records.specificity_record((4, 2), (3, 1), (3, 1)) for arm in ("rope", "drope")},
    "tasks": {
        arm: records.answers_record({"baseline": 0.9}, {"baseline": 0.9}, items=3, seed=i)
        for i, arm in enumerate(("rope", "drope"))
    },
}


def over(taken, settings=RUN):
    """A reader of the records of a run that is over."""
    return Records(lambda experiment: taken.get(experiment, {}), settings)


class Measured:
    """A recorder that has all records already."""

    def record(self, arm, experiment, site=None):
        try:
            return TAKEN[RUN.named(experiment, site or RUN.site_of(arm))][arm]
        except KeyError:
            raise Unusable(f"no {experiment} of {arm}") from None


def parts(subject):
    """The records of a subject, each with its place, and how they are read."""
    if isinstance(subject, Trajectory):
        series = [*subject.values, *subject.disruptions]
        return {(i, *key): value for i, one in enumerate(series) for key, value in parts(one).items()}
    how = {("how",): (getattr(subject, "threshold", None), getattr(subject, "scope", None))}
    return how | {("record", arm): id(one) for arm, one in subject.records.items()}


@pytest.mark.parametrize("row", [row for row in MADE if not row.parameters], ids=lambda row: row.name)
def test_a_subject_that_is_made_again_equals_the_one_that_claims_read(row):
    reading = Reading(SimpleNamespace(stash={SETTINGS: RUN}), Measured())
    first, again = reading.subject(row), read_again(over(TAKEN))[row.name]
    assert type(first) is type(again)
    assert parts(first) == parts(again)
    assert getattr(first, "steps", None) == getattr(again, "steps", None)


def test_rescaled_arms_that_claims_read_one_by_one_are_made_again_together():
    reading = Reading(SimpleNamespace(stash={SETTINGS: RUN}), Measured())
    again = read_again(over(TAKEN))["with_rescaled"]
    each = [reading.subject(SUBJECTS["with_rescaled"], kind=kind) for kind in ("linear", "yarn")]
    assert parts(again) == parts(each[0]) | parts(each[1])
    assert list(again.records) == ["rope", "linear", "yarn"]


def test_every_checkpoint_of_a_series_takes_the_place_of_drope():
    reading = Reading(SimpleNamespace(stash={SETTINGS: RUN}), Measured())
    values, damage = (reading.subject(SUBJECTS[name], "drope@step1") for name in ("massive_values", "disruption"))
    assert values.records["drope"] is TAKEN["norms"]["drope@step1"]
    assert damage.records["drope"] is TAKEN["disruption"]["drope@step1"]


def test_rescaled_arms_are_read_at_the_projection_site_alone():
    projected = {"rope": record(5), "yarn": record(7)}
    taken = {"norms": {"rope": record(1), "linear": record(2)}, "norms@projection": projected}
    values = read_again(over(taken))["with_rescaled"]
    assert list(values.records) == ["rope", "yarn"]
    assert [values.totals(arm, "query").tolist() for arm in ("rope", "yarn")] == [[10] * 3, [14] * 3]
    assert values.threshold == 4.0
    assert list(read_again(over({**taken, "norms@projection": {"rope": record(5)}}))) == ["rope_values"]


def test_both_sites_are_the_last_one_before_the_rotation_and_attention():
    taken = {"norms": {"rope": record(7)}, "norms@projection": {"rope": record(5)}, "norms@normed": {"rope": record(6)}}
    values = read_again(over(taken))["both_sites"]
    assert [values.totals(site, "key").tolist() for site in ("rope", "attention")] == [[12] * 3, [14] * 3]
    del taken["norms@normed"]
    assert list(read_again(over(taken))) == ["rope_values"]


@pytest.mark.parametrize("row", [row for row in MADE if not row.parameters], ids=lambda row: row.name)
def test_a_subject_needs_a_treatment_exactly_when_it_reads_one(row):
    class Noting(Records):
        def get(self, experiment, arm, site=None):
            read.add(arm)
            return super().get(experiment, arm, site)

    read = set()
    row.make(Noting(lambda experiment: TAKEN.get(experiment, {}), RUN))
    assert row.treatment == bool(read & {*STEPS})


def others_read(row, elsewhere):
    """The arms but the treatment that a subject reads when arms `elsewhere` are measured by another worker."""

    class Noting(Records):
        def get(self, experiment, arm, site=None):
            if arm in elsewhere:
                raise Missing(f"the {arm} arm is measured by another run")
            read.add(arm)
            return super().get(experiment, arm, site)

    read = set()
    with suppress(Missing):
        row.make(Noting(lambda experiment: TAKEN.get(experiment, {}), RUN))
    return read - {*STEPS}


@pytest.mark.parametrize("row", [row for row in MADE if not row.parameters], ids=lambda row: row.name)
def test_a_worker_that_measures_no_treatment_reads_all_other_arms_of_a_subject(row):
    assert others_read(row, elsewhere=STEPS) == others_read(row, elsewhere=())


def test_counts_losses_and_what_is_recovered_are_judged_at_every_checkpoint():
    each = {row.name for row in SUBJECTS.values() if row.each_checkpoint}
    assert each == {"massive_values", "disruption", "recovery"}
    assert not SUBJECTS["trained_steps"].treatment


def test_a_series_has_losses_where_claims_ask_for_its_reliance_and_a_start_where_they_do_not():
    again = read_again(over(TAKEN))
    assert [len(again[name].disruptions) for name in ("trajectory", "reliance")] == [0, len(STEPS)]
    assert [bool(again[name].start) for name in ("trajectory", "reliance")] == [True, False]


def test_a_checkpoint_without_records_is_left_out_of_its_series():
    taken = {"norms": {arm: TAKEN["norms"][arm] for arm in ("rope", "drope@step1", "drope")}}
    assert "trajectory" not in read_again(over(taken))
    longer = {"drope@step0": 0, **STEPS}
    taken["norms"]["drope@step0"] = record(6)
    assert read_again(over(taken, replace(RUN, steps=longer)))["trajectory"].steps == (0, 1, 3)


@pytest.mark.parametrize(
    ("name", "changed", "taken", "sentence"),
    [
        ("with_dropped", {}, {"norms": {"rope": record(1)}}, "no record of norms was taken of the dropped arm"),
        ("with_continued", {"arms": {}}, TAKEN, "no arm was trained on with its rotation: give one with --continued"),
        ("trajectory", {"steps": {}}, TAKEN, f"a trend needs {ENOUGH} checkpoints, there are 0: give a series"),
        (
            "both_sites",
            {},
            {"norms": {"rope": record(1, sites="projection")}},
            "cannot be read at the site attention, only at projection",
        ),
        (
            "both_sites",
            {},
            {"norms": {"rope": record(1, sites="normed")}},
            "cannot be read at the site projection, only at normed",
        ),
    ],
)
def test_a_run_that_lacks_what_a_subject_needs_says_so(name, changed, taken, sentence):
    with pytest.raises(Missing, match=sentence):
        SUBJECTS[name].make(over(taken, replace(RUN, **changed)))


def test_only_a_plain_rotation_is_rescaled():
    off = replace(RUN, arms={"rope": ModelArguments("m", rope="off")})
    with pytest.raises(Missing, match="the RoPE arm is given with rope=off"):
        SUBJECTS["with_rescaled"].make(over(TAKEN, off), kind="yarn")


def test_steps_of_training_are_those_that_the_arms_tell():
    arms = {"rope": ModelArguments("m"), "drope": ModelArguments("folder/checkpoint-500")}
    steps = SUBJECTS["trained_steps"].make(over({}, replace(RUN, arms=arms)))
    assert steps == {"drope": 500, "continued": None}
