import csv
import io

import pytest

from lib.judging.verdicts import assess, undecided
from lib.reporting.claims_csv import COLUMNS, claims_csv

pytestmark = pytest.mark.cpu


def entry(judgement=None, **changes):
    plain = dict.fromkeys(("label", "published_estimate", "half_widths"))
    plain |= {"id": "Q1", "claim": "Q1", "family": "counts", "statement": "query loses", "verdict": "supported"}
    plain |= {"alpha": 0.01, "training": False, "published": "", "reason": "", "known": ""}
    return {**plain, "judgement": judgement and judgement.as_dict(), **changes}


def rows(*entries, **document):
    return list(csv.DictReader(io.StringIO(claims_csv({"claims": list(entries), **document}))))


def test_every_number_of_a_claim_can_be_read_back():
    judged = assess([1 / 3, 2.0, 3.0, 2.5, 1.5], unit="%").within(-9, 9)
    (row,) = rows(entry(judged, half_widths=-2.5, published_estimate=-38.9))
    assert tuple(row) == COLUMNS
    assert [float(row[key]) for key in ("estimate", "low", "high")] == [judged.estimate, judged.low, judged.high]
    assert [float(row[key]) for key in ("limit", "upper_limit", "n")] == [-9, 9, 5]
    assert float(row["largest"]) == judged.largest
    assert [float(row[key]) for key in ("half_widths", "published_estimate")] == [-2.5, -38.9]
    assert (row["rule"], row["unit"]) == ("in [-9, 9]", "%")


@pytest.mark.parametrize("training", [True, False])
def test_a_row_says_whether_training_is_judged_and_how_the_kinds_of_text_come_out(training):
    near, far = (
        assess([5.0, 5.2, 6.0, 6.2, 7.0, 7.1], kinds="aabbcc", alpha=0.2).at_most(limit) for limit in (6.5, 60)
    )
    found = rows(entry(near, training=training), entry(far, training=training))
    assert [row["over_kinds"] for row in found] == ["inconclusive", "supported"]
    assert {row["training"] for row in found} == {str(training)}


def test_a_number_that_does_not_exist_is_an_empty_cell():
    (row,) = rows(entry(assess([0.0] * 5, distinct=5).at_most(9)))
    assert (row["largest"], row["over_kinds"]) == ("", "")


def test_checkpoints_have_rows_of_their_own():
    found = rows(entry(), entry(id="Q1@step5", label="step5"))
    assert [(row["id"], row["label"]) for row in found] == [("Q1", ""), ("Q1@step5", "step5")]


def test_a_claim_of_counts_says_in_how_many_cells_it_holds_and_no_checkpoint_does():
    found = rows(entry(), entry(id="Q1@step5"), multiverse={"claims": {"Q1": {"holds": 0, "of": 48}}})
    assert [(row["holds_in"], row["of_cells"]) for row in found] == [("0", "48"), ("", "")]


def test_a_claim_without_a_judgement_has_empty_cells_and_its_reason():
    skipped, undetermined = rows(entry(reason="no series"), entry(undecided("nothing is massive")))
    assert (skipped["estimate"], skipped["rule"], skipped["reason"]) == ("", "", "no series")
    assert (undetermined["estimate"], undetermined["reason"]) == ("", "nothing is massive")


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t"])
def test_no_text_becomes_a_formula_and_no_number_becomes_a_text(start):
    evil = f"{start}1+cmd|'/c calc'!A0"
    (row,) = rows(entry(assess([-1.0, -2.0], unit=evil).at_most(-30), statement=evil, published=evil, known=evil))
    assert {row[key] for key in ("statement", "published", "known", "unit")} == {f"'{evil}"}
    assert float(row["estimate"]) == -1.5
    assert row["limit"] == "-30"


def test_commas_quotes_and_lines_stay_in_their_cell():
    (row,) = rows(entry(known='a, "b"\nc'))
    assert row["known"] == 'a, "b"\nc'
