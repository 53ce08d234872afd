import pytest

from lib.judging.estimates import contrast, mean
from lib.published.judging import CONTRADICTS, MEETS, Stated

pytestmark = pytest.mark.cpu


@pytest.mark.parametrize(
    ("rule", "meets", "contradicts"),
    [
        (lambda s: s.at_most(3), 3, 3.1),
        (lambda s: s.at_least(3), 3, 2.9),
        (lambda s: s.below(3), 2.9, 3),
        (lambda s: s.above(3), 3.1, 3),
        (lambda s: s.within(-3, 3), -3, 3.1),
    ],
)
def test_a_figure_refutes_what_it_contradicts_and_supports_nothing(rule, meets, contradicts):
    met, missed = rule(Stated(mean([meets]))), rule(Stated(mean([contradicts])))
    assert (met.verdict, met.reason) == ("inconclusive", MEETS)
    assert (missed.verdict, missed.reason) == ("refuted", CONTRADICTS)
    assert (met.n, met.low, met.high, met.estimate, met.values) == (1, None, None, meets, (meets,))


def test_a_contrast_of_two_figures_is_one_figure():
    found = Stated(contrast([30.0], [10.0], 1.5), unit="%", label="a", note="b").at_most(0)
    assert (found.verdict, found.estimate, found.n) == ("refuted", 15, 1)
    assert (found.unit, found.label, found.note) == ("%", "a", "b")
