import re

import pytest

from lib.reporting.page import audit
from lib.reporting.page.audit import claims_table

pytestmark = pytest.mark.cpu

ODD = '<b>&"'
ROW = {"what": ODD, "how": "text and store", "said": 2.0, "held": 3.0, "error": None, "ratio": 1.5, "agrees": False}
FINDING = {"kind": ODD, "what": "w", "said": None, "held": None, "ratio": None, "sentence": f"It is {ODD}."}
ENTRY = {
    "statement": ODD,
    "source": ODD,
    "published": ODD,
    "verdict": "not decidable",
    "reason": ODD,
    "judgement": None,
}


def section(findings=(), compared=()):
    made = {"study": {}, "findings": list(findings), "compared": list(compared)}
    return audit.findings(made) + audit.compared(made)


def test_every_cell_names_its_column():
    page = section(compared=[ROW, {**ROW, "agrees": True, "error": 0.25}])
    heads = re.findall("<th>(.*?)</th>", page)
    assert re.findall('<td data-label="(.*?)">', page) == heads * 2
    assert "<small>standard error 0.25</small>" in page


def test_a_disagreement_is_marked_and_agreement_is_not():
    assert '<span class="verdict refuted">disagrees</span>' in section(compared=[ROW])
    assert '<span class="verdict">agrees</span>' in section(compared=[{**ROW, "agrees": True}])


def test_without_findings_the_page_says_so():
    assert "Nothing was found." in section()
    assert "Nothing was found." not in section(findings=[FINDING])


def test_a_claim_has_a_cell_in_every_column():
    page = claims_table(["Q1"], {"Q1@text": ENTRY}, ["text", "stored"])
    assert re.findall('<td data-label="(.*?)">', page) == ["Claim", "Published", "Needed", "text", "stored"]
    assert '<span class="verdict not-decidable">not decidable</span>' in page
    assert '<td data-label="stored">not run</td>' in page


def test_everything_is_escaped():
    page = section([FINDING], [ROW]) + claims_table(["Q1"], {"Q1@text": ENTRY}, ["text"])
    assert ODD not in page
    assert page.count("&lt;b&gt;&amp;&quot;") == 7
