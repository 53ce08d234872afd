import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from lib.checkpoints.arguments import ModelArguments
from lib.definitions.words import NAMES, SCOPES
from lib.effects.multiverse import OF_COUNTS, THRESHOLDS, Asked, multiverse
from lib.effects.subjects import Records
from lib.judging.verdicts import assess, undecided
from lib.settings import Settings

pytestmark = pytest.mark.cpu

TEXTS, CHANNELS = 20, 512
STEPS = {"drope@step1": 1, "drope@step2": 2, "drope": 3}
RUN = Settings(
    pair="p",
    description="",
    arms=dict.fromkeys(("rope", *STEPS, "dropped", "linear"), ModelArguments("m")),
    device="cpu",
    max_tokens=8,
    threshold=5.0,
    scope="layer",
    site="projection",
    controls=2,
    records=Path("records"),
    steps=STEPS,
)
ARMS = ("rope", "drope")


def norms(mild, strong):
    """One layer of two heads: of the first head's channels, so many of 6 x and of 20 x the norm of all others.

    With 12 of them at most, the mean norm is below 1.12 in the layer, and above 1.22 in the first head with 8 and 4.
    """
    found = np.ones((TEXTS, 1, 2, CHANNELS), dtype=np.float32)
    found[:, :, 0, :mild], found[:, :, 0, mild : mild + strong] = 6, 20
    return xr.Variable(("text", "layer", "head", "dim"), found)


def record(mild, strong, rest=None):
    """`rest` is the same without the first position, by default equal."""
    found = {f"{name}_norm": norms(mild, strong) for name in NAMES}
    found |= {f"{name}_rest_norm": norms(*(rest or (mild, strong))) for name in NAMES}
    frequency = ("layer", "dim"), np.ones((1, CHANNELS))
    return xr.Dataset({**found, "frequency": frequency}, attrs={"sites": "projection attention"})


FALLS = {"rope": record(8, 4), "drope": record(0, 4)}
STAYS = {"rope": record(8, 4), "drope": record(8, 4)}


def falls(values, **_):
    """Judges whether query has fewer massive values in the DroPE arm, texts being different ones."""
    change = values.totals("drope", "query") - values.totals("rope", "query")
    return assess(change, distinct=TEXTS).below(0)


def found(taken, claims=None, settings=RUN):
    """What the multiverse has of claims, by default of one whose test is `falls`; `taken` are norms by site."""
    records = {settings.named("norms", site): arms for site, arms in taken.items()}
    claims = claims or {"Q": Asked("massive_values", falls)}
    return multiverse(Records(lambda experiment: records.get(experiment, {}), settings), claims)


def letters(cells):
    return "".join(cell[4][0] for cell in cells)


def rows(taken, **changes):
    """The letters of the verdicts on `falls`, thresholds across, by site, scope and first."""
    cells = found(taken, **changes)["claims"]["Q"]["cells"]
    return {tuple(start[1:4]): letters(cells[i : i + 6]) for i, start in enumerate(cells) if start[0] == THRESHOLDS[0]}


def test_a_claim_may_hold_at_the_threshold_of_5_in_one_scope_and_not_beyond():
    assert rows({"projection": FALLS}) == {
        ("layer", "projection", True): "sssrrr",
        ("layer", "projection", False): "sssrrr",
        ("head", "projection", True): "ssrrrr",
        ("head", "projection", False): "ssrrrr",
    }


def test_a_claim_may_hold_with_the_first_position_only():
    turned = rows({"projection": {**FALLS, "rope": record(8, 4, rest=(0, 4))}})
    assert [turned["layer", "projection", first] for first in (True, False)] == ["sssrrr", "rrrrrr"]


@pytest.mark.parametrize("own", ["projection", "attention"])
def test_each_site_is_judged_on_its_own_records_whichever_the_run_reads(own):
    turned = rows({"projection": FALLS, "attention": STAYS}, settings=replace(RUN, site=own))
    assert [turned["layer", site, True] for site in ("projection", "attention")] == ["sssrrr", "rrrrrr"]


def test_a_site_at_which_a_record_is_missing_is_no_cell():
    made = found({"projection": FALLS, "normed": {"rope": record(8, 4)}})
    assert made["axes"]["site"] == ["projection"]
    assert made["claims"]["Q"]["of"] == len(THRESHOLDS) * len(SCOPES) * 2


def test_cells_are_counted_and_the_runs_own_is_among_them():
    found_here = found({"projection": FALLS, "attention": STAYS})["claims"]["Q"]
    assert (found_here["holds"], found_here["of"]) == (10, 48)
    assert found_here["cells"][found_here["own"]] == [5.0, "layer", "projection", True, "supported", -8.0]
    other = found({"projection": FALLS}, settings=replace(RUN, scope="head"))["claims"]["Q"]
    assert other["cells"][other["own"]][1:5] == ["head", "projection", True, "refuted"]
    assert found({"projection": FALLS}, settings=replace(RUN, threshold=4.5))["claims"]["Q"]["own"] is None


def test_a_claim_without_a_subject_is_inconclusive_in_that_cell_and_the_cell_counts():
    def only_mild(values, **_):
        return falls(values) if values.totals("rope", "query").mean() > 4 else undecided("too few")

    made = found({"projection": FALLS}, {"Q": Asked("massive_values", only_mild)})["claims"]["Q"]
    assert letters(made["cells"][:6]) == "sssiii"
    assert (made["cells"][5][5], made["of"]) == (None, 24)


def test_a_test_that_breaks_in_a_cell_costs_no_other():
    def fragile(values, **_):
        return falls(values) if values.threshold < 8 else 1 / 0

    made = found({"projection": FALLS}, {"Q": Asked("massive_values", fragile), "K": Asked("massive_values", falls)})
    assert letters(made["claims"]["Q"]["cells"][:6]) == "sssrre"
    assert letters(made["claims"]["K"]["cells"][:6]) == "sssrrr"


def test_subjects_that_choose_their_sites_have_none_to_choose_from():
    taken = {"projection": {"rope": record(8, 4), "linear": record(0, 4)}, "attention": {"rope": record(0, 4)}}
    asked = {
        "X1": Asked("with_rescaled", lambda v, **_: assess(v.totals("linear", "query")).below(9), {"kind": "linear"}),
        "X2": Asked("both_sites", lambda v, **_: assess(v.totals("attention", "key"), distinct=TEXTS).below(9)),
    }
    made = found(taken, asked, replace(RUN, site="attention"))
    assert [made["claims"][claim]["of"] for claim in asked] == [24, 24]
    assert {cell[2] for claim in asked for cell in made["claims"][claim]["cells"]} == {None}
    assert made["claims"]["X2"]["cells"][made["claims"]["X2"]["own"]][:4] == [5.0, "layer", None, True]
    assert made["axes"]["site"] == []


def course(*arms):
    return {arm: record(8, 4, rest=(0, 2)) for arm in arms}


def test_every_part_of_a_series_is_read_in_the_cell():
    def as_here(series, **_):
        parts = (*series.values, series.start)
        seen.append({(part.threshold, part.scope, part.first, part.totals("rope", "key")[0]) for part in parts})
        return undecided("")

    seen = []
    found({"projection": course("rope", *STEPS, "dropped")}, {"R": Asked("trajectory", as_here)})
    assert all(len(parts) == 1 for parts in seen)
    assert [number for ((*_, number),) in seen[:12]] == [12, 12, 12, 4, 4, 4, 2, 2, 2, 2, 2, 2]


@pytest.mark.parametrize("missing", ["drope@step2", "dropped"])
def test_a_series_that_is_shorter_at_another_site_has_no_cells_there(missing):
    steps = {"drope@step0": 0, **STEPS}
    whole = course("rope", *steps, "dropped")
    taken = {"projection": whole, "attention": {arm: one for arm, one in whole.items() if arm != missing}}
    asked = {"R": Asked("trajectory", lambda series, **_: undecided(""))}
    assert found(taken, asked, replace(RUN, steps=steps))["axes"]["site"] == ["projection"]


def test_claims_on_the_same_subject_read_the_same_one_so_that_its_masks_are_made_once():
    seen = {"Q": [], "K": []}
    claims = {
        claim: Asked("massive_values", lambda values, claim=claim, **_: seen[claim].append(values) or undecided(""))
        for claim in seen
    }
    found({"projection": FALLS}, claims)
    assert len(seen["Q"]) == 24
    assert all(one is other for one, other in zip(seen["Q"], seen["K"], strict=True))


def test_claims_on_norms_alone_are_of_counts_and_those_on_losses_or_beside_a_subject_are_not():
    assert {"massive_values", "trajectory", "with_rescaled", "both_sites"} <= set(OF_COUNTS)
    assert not {"disruption", "bands", "specificity", "answers", "rope_answers", "trained_steps"} & set(OF_COUNTS)


def test_thresholds_run_from_3_to_8():
    assert found({"projection": FALLS})["axes"]["threshold"] == [3, 4, 5, 6, 7, 8]


def test_a_claim_is_given_what_it_may_ask_for_beside_its_subject():
    given = []
    found(
        {"projection": FALLS},
        {"R3": Asked("massive_values", lambda _, **beside: given.append(beside) or undecided(""))},
    )
    assert set(given[0]) == {"trained_steps"}


def test_without_records_or_claims_there_is_none():
    assert found({}) is None
    assert multiverse(Records(lambda experiment: {}, RUN), {}) is None


def test_what_is_found_is_plain():
    made = found({"projection": FALLS})
    assert json.loads(json.dumps(made, allow_nan=False)) == made


def test_subjects_of_counts_are_those_that_need_norms_alone():
    assert set(OF_COUNTS) == {
        *("massive_values", "rope_values", "with_dropped", "with_rescaled", "with_continued"),
        *("both_sites", "trajectory"),
    }
