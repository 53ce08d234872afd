"""Claims compare shares of channels: repeated heads change nothing, layers that do not correspond decide nothing."""

import json
from functools import partial

import numpy as np
import pytest

from claims.counterexamples import CASES
from fixtures.planted.subjects import disruption, massive_values, repeated, with_third
from fixtures.plugin.trial import outcome, reads, run
from lib.judging.verdicts import ClaimRefuted, NoSubject

pytestmark = pytest.mark.cpu
GROUPED = {"kv_heads": 4}
"""Key and value have half of query's channels."""
COUNTING = [c for c in CASES if reads(c) in ("massive_values", "with_continued") and c[0] != "S"] + ["S1[drope-key]"]
NOTHING = partial(massive_values, query=([1e-9] * 4,) * 2, value=([1e-9] * 4,) * 2)
BY_LAYER = ["L1", "L2", "L3", "V2"]


def same(claim, subject, other):
    """Does a claim's test come to the same verdict and the same numbers on two subjects, but for rounding?"""
    found, again = outcome(claim, subject), outcome(claim, other)
    ends = [[(part.estimate, part.low, part.high) for part in j.parts or (j,)] for j in (found, again)]
    return found.verdict == again.verdict and np.allclose(*ends, rtol=1e-9)


@pytest.mark.parametrize("case", [0, 1], ids=["supported", "refuted"])
@pytest.mark.parametrize("claim", COUNTING)
def test_heads_of_an_arm_that_are_repeated_change_no_verdict_and_no_estimate(claim, case):
    subject = CASES[claim][case]()
    assert same(claim, subject, repeated(subject, "drope", heads=3))


@pytest.mark.parametrize("claim", [claim for claim in COUNTING if claim not in BY_LAYER])
def test_layers_of_an_arm_that_are_repeated_change_no_verdict_and_no_estimate(claim):
    subject = CASES[claim][0]()
    assert same(claim, subject, repeated(subject, "drope", layers=2))


@pytest.mark.parametrize("subject", [lambda claim: CASES[claim][0](), lambda _: NOTHING()], ids=["some", "none"])
@pytest.mark.parametrize("claim", BY_LAYER)
def test_layers_that_do_not_correspond_decide_no_claim_about_layers(claim, subject):
    deeper = repeated(subject(claim), "drope", layers=2)
    with pytest.raises(NoSubject, match=r"the arms have \d+ and \d+ layers, so layers do not correspond"):
        run(claim, deeper)


def test_one_layer_has_no_layer_1():
    shallow = massive_values(query=([100], [50]), key=([100], [89]), value=([40], [40]))
    with pytest.raises(NoSubject, match="has no layer 1: there is nothing to judge"):
        run("L1", shallow)


def test_fewer_heads_of_value_are_no_fewer_massive_values():
    # 300 of 8192 channels are 3.7 %, 60 of 4096 are 1.5 %: five times as many, and not four times the rate
    few = massive_values(query=([75] * 4,) * 2, value=([15] * 4,) * 2, **GROUPED)
    assert (few.totals("rope", "query") >= 4 * few.totals("rope", "value")).all()
    with pytest.raises(ClaimRefuted, match="query - 4 x value, % of channels"):
        run("A1[query]", few)


def test_more_heads_of_value_are_no_more_massive_values():
    # value's heads are repeated: eight times the count, and the rate that it had
    fewer = massive_values(key=([60] * 4,) * 2, value=([3] * 4,) * 2)
    value = fewer.records["rope"]["value_norm"].rename(kv_head="value_head")
    many = value.isel(value_head=np.repeat(np.arange(8), 8))
    wide = type(fewer)({"rope": fewer.records["rope"].drop_vars("value_norm").assign(value_norm=many)})
    assert (wide.totals("rope", "key") < 4 * wide.totals("rope", "value")).all()
    assert run("A1[key]", wide).verdict == run("A1[key]", fewer).verdict == "supported"


def test_equal_heads_are_judged_in_channels_and_say_nothing_of_rates():
    judged = outcome("A1[query]", massive_values())
    assert (judged.unit, judged.note) == ("query - 4 x value", "")


@pytest.mark.parametrize("claim", ["Q1", "K1", "V1", "A1[query]", "A1[key]", "L1", "L2", "L3", "R3", "O1[query]"])
def test_where_heads_differ_a_claim_says_the_rates_it_compares(claim):
    arm = {"R3": "continued", "O1[query]": "dropped"}.get(claim)
    found = outcome(claim, with_third(arm, [95, 3, 95, 95], **GROUPED) if arm else massive_values(**GROUPED))
    assert "rope " in found.note
    assert " % of " in found.note
    assert " channels" in found.note


def test_losses_of_other_tokens_do_not_compare_and_those_of_the_same_do():
    found = CASES["D3"][0]()
    for arm, tokenizer in (("rope", "a"), ("drope", "b")):
        found.records[arm].attrs["provenance"] = json.dumps({"tokenizer": tokenizer})
    with pytest.raises(NoSubject, match="different tokenizers: their losses are of different tokens"):
        run("D3", found)
    found.records["drope"].attrs["provenance"] = found.records["rope"].attrs["provenance"]
    assert run("D3", found).verdict == run("D3", disruption()).verdict == "supported"


@pytest.mark.parametrize("claim", ["D1[rope]", "D2[drope]", "D4[drope]"])
def test_losses_within_an_arm_need_no_other_arms_tokens(claim):
    found = CASES[claim][0]()
    for i, record in enumerate(found.records.values()):
        record.attrs["provenance"] = json.dumps({"tokenizer": str(i)})
    assert run(claim, found).verdict == "supported"
