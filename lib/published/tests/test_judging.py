import pytest

from lib.judging.estimates import difference, mean
from lib.judging.spread import typical_variation
from lib.judging.verdicts import ClaimInconclusive, ClaimRefuted
from lib.published.figures import NotPublished
from lib.published.judging import CONTRADICTS, MEETS, FigureJudge, Stated

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


def two(first, second):
    return difference({"first": [first], "second": [second]}, "first", "second")


def test_a_difference_of_two_figures_is_one_figure():
    found = Stated(two(30.0, 15.0), unit="%", label="a", note="b").at_most(0)
    assert (found.verdict, found.estimate, found.n) == ("refuted", 15, 1)
    assert (found.unit, found.label, found.note) == ("%", "a", "b")


@pytest.fixture
def judge():
    return FigureJudge(0.01)


def test_one_figure_refutes_and_supports_nothing(judge):
    with pytest.raises(ClaimInconclusive, match="one figure supports nothing"):
        judge([-38.0]).at_most(-30)
    with pytest.raises(ClaimRefuted, match="the figure itself contradicts it"):
        judge([-28.0]).at_most(-30)
    with pytest.raises(ClaimRefuted):
        judge.all_of(judge.part([2.0]).above(1), judge.part(two(3.0, 1.0)).at_most(0))


def test_a_sample_is_judged_like_a_measured_one(judge):
    assert judge([-38.0, -39.0, -40.0]).at_most(-30).verdict == "supported"
    with pytest.raises(ClaimInconclusive, match="2 texts are too few"):
        judge([-28.0, -28.1]).at_most(-30)


def test_a_published_spread_of_0_makes_one_figure_of_a_sample(judge):
    with pytest.raises(ClaimInconclusive, match="one figure supports nothing"):
        judge([-38.0] * 20).at_most(-30)
    with pytest.raises(ClaimRefuted, match="the figure itself contradicts it"):
        judge([-28.0] * 20).at_most(-30)


@pytest.mark.parametrize(
    ("values", "reason"),
    [([float("nan")], "for layer 1 alone"), (typical_variation([5.0]), "no spread over texts is published")],
)
def test_what_is_not_known_is_not_judged(judge, values, reason):
    with pytest.raises(NotPublished, match=reason):
        judge(values).at_most(1)


def test_the_judgement_of_a_figure_is_kept_by_its_judge(judge):
    with pytest.raises(ClaimRefuted) as raised:
        judge([-28.0], unit="%").at_most(-30)
    assert judge.judgement == raised.value.judgement
    assert (judge.judgement.reason, judge.judgement.unit) == (CONTRADICTS, "%")
