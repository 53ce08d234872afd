"""Whether counts depend on the text."""

import pytest

from fixtures.claim import claim, tried_on
from fixtures.planted import counts
from fixtures.planted.subjects import study_counts
from lib.judging import typical_variation


@pytest.mark.parametrize("name", ["query", "key", "value"])
@pytest.mark.parametrize("arm", ["rope", "drope"])
@claim("S1", source="Africa 2026, massive values", published="1.5 to 6 %", family="stability", figure="counts")
@tried_on(
    supported=study_counts,
    refuted=counts(spread=0.2),
    open=counts(spread=0.1),
    inside=counts(spread=0.08, texts=100),
    outside=counts(spread=0.13, texts=100),
)
def test_counts_hardly_depend_on_the_text(massive_values, judge, arm, name):
    """Coefficient of variation over texts of the count of this tensor in this arm, without the text that lies furthest
    from the median: one odd text decides nothing.
    """
    massive_values.need(name, arm, least=20)
    judge(typical_variation(massive_values.totals(arm, name)), unit="sd / mean, without the oddest text").at_most(0.10)
