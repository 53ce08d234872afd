import tomllib
from decimal import Decimal

import numpy as np
import pytest
from scipy import stats

from lib.published.figures import Figure
from lib.published.reading import published, read
from lib.published.trials import PAIRED, STUDENT, WELCH, d_of_arm, p_of_arm, p_of_arms, squared, that_gives

pytestmark = pytest.mark.cpu
STUDY = '[study]\ntitle = "A"\nrope = "r"\ndrope = "d"\nlayers = 3\n'
STORED = read("africa2026").columns["stored"]
MASSIVE, RANDOM = {"rope": [8.1, 7.9, 8.3, 8.2], "drope": [4.2, 4.1, 3.8, 4.0]}, [2.1, 2.0, 1.9, 2.2]


def column(baseline="2.0", digits=6, **massive):
    """Stored trials of both arms, written with so many digits."""
    text = STUDY
    for arm, of_arm in (massive or MASSIVE).items():
        text += f"[stored.disruption.{arm}]\n" + (f"baseline = [{', '.join([baseline] * 4)}]\n" if baseline else "")
        for name, series in (("massive", of_arm), ("random", RANDOM)):
            text += f"{name} = [{', '.join(f'{number:.{digits}f}' for number in series)}]\n"
    return published(tomllib.loads(text, parse_float=Decimal)).columns["stored"]


def increases(arm):
    return 50 * np.subtract(MASSIVE[arm], RANDOM)


def test_p_is_that_of_each_usual_test():
    by_test = p_of_arm(column(), "rope")
    massive = MASSIVE["rope"]
    assert by_test[PAIRED].value == pytest.approx(stats.ttest_rel(massive, RANDOM).pvalue)
    assert by_test[STUDENT].value == pytest.approx(stats.ttest_ind(massive, RANDOM).pvalue)
    assert by_test[WELCH].value == pytest.approx(stats.ttest_ind(massive, RANDOM, equal_var=False).pvalue)


def test_p_of_the_arms_is_of_their_increases_in_percent():
    by_test = p_of_arms(column())
    rope, drope = increases("rope"), increases("drope")
    assert by_test[PAIRED].value == pytest.approx(stats.ttest_rel(rope, drope).pvalue)
    assert by_test[STUDENT].value == pytest.approx(stats.ttest_ind(rope, drope).pvalue)
    assert by_test[WELCH].value == pytest.approx(stats.ttest_ind(rope, drope, equal_var=False).pvalue)


def test_cohens_d_is_that_of_the_differences():
    difference = np.subtract(MASSIVE["rope"], RANDOM)
    found = d_of_arm(column(), "rope")
    assert found.value == pytest.approx(difference.mean() / difference.std())
    assert found.low < difference.mean() / difference.std(ddof=1) < found.value < found.high


@pytest.mark.parametrize("test", [PAIRED, STUDENT, WELCH])
def test_whatever_the_trials_were_before_the_rounding_their_p_is_in_the_range(test):
    found = column("1.9", digits=1)
    generator = np.random.default_rng(0)
    for _ in range(50):
        exact = {arm: np.add(m, generator.uniform(-0.05, 0.05, 4)) for arm, m in MASSIVE.items()}
        within = p_of_arm(found, "rope")[test]
        assert within.low < p_of_arm(column("1.9", 9, **exact), "rope")[test].value < within.high
        within = p_of_arms(found)[test]
        assert within.low < p_of_arms(column("1.93", 9, **exact))[test].value < within.high


def test_the_least_and_the_greatest_sum_of_squares_are_exact():
    values, halves = np.array([0.0, 1.0, 5.0]), np.array([0.5, 0.5, 1.0])
    steps = np.stack(np.meshgrid(*(np.linspace(v - h, v + h, 41) for v, h in zip(values, halves, strict=True))))
    sums = ((steps - steps.mean(0)) ** 2).sum(0)
    found = squared(values, halves)
    assert (found.low, found.value, found.high) == pytest.approx((sums.min(), 14, sums.max()))


def test_numbers_that_may_be_the_same_may_have_no_squares():
    assert squared(np.array([1.0, 1.5]), np.array([0.5, 0.5])).low == pytest.approx(0)
    assert squared(np.ones(2), np.zeros(2)).high == 0


def test_a_number_that_is_repeated_adds_no_spread_by_its_rounding():
    constant = p_of_arm(column(rope=[8.0] * 4, drope=[8.0] * 4), "rope")[PAIRED]
    coarse = column(digits=2, rope=[8.0] * 4, drope=[8.0] * 4)
    assert constant.high / constant.low < 1.01
    assert p_of_arm(coarse, "rope")[PAIRED].high < 10 * constant.value


def test_differences_that_may_be_none_leave_any_p_open():
    assert p_of_arm(column(digits=0, rope=[2.0, 3.0, 2.0, 2.0], drope=RANDOM), "rope")[STUDENT].high == 1


def test_arms_with_different_numbers_of_trials_are_not_compared():
    table = {"baseline": [2] * 3, "massive": [8, 9, 8], "random": [2, 2, 3]}
    fewer = {name: series[:2] for name, series in table.items()}
    for drope, compared in ((table, True), (fewer, False)):
        losses = {"disruption": {"rope": table, "drope": drope}}
        found = published({**tomllib.loads(STUDY), "stored": losses}).columns["stored"]
        assert bool(p_of_arms(found)) is compared


@pytest.mark.parametrize(
    "given",
    [
        column(rope=np.add(RANDOM, 4), drope=np.add(RANDOM, 4)),
        published({**tomllib.loads(STUDY), "stored": {"disruption": {"rope": {"massive": [3, 4]}}}}).columns["stored"],
        published(
            {
                **tomllib.loads(STUDY),
                "stored": {"disruption": {"rope": {"baseline": [2, 3], "massive": [8, 8], "random": [2, 3]}}},
            }
        ).columns["stored"],
    ],
)
def test_nothing_is_tested_where_nothing_varies_or_a_series_is_missing_or_the_baseline_varies(given):
    assert p_of_arm(given, "rope") == p_of_arms(given) == {}
    assert d_of_arm(given, "rope") is None


def test_the_arms_are_compared_in_percent_so_a_baseline_is_needed():
    assert p_of_arm(column(baseline=""), "rope")
    assert p_of_arms(column(baseline="")) == {}


@pytest.mark.parametrize(
    ("meaning", "by_test", "test"),
    [
        (("p", "rope"), p_of_arm(STORED, "rope"), PAIRED),
        (("p", "drope"), p_of_arm(STORED, "drope"), PAIRED),
        (("p of arms",), p_of_arms(STORED), STUDENT),
    ],
)
def test_the_test_that_gave_a_stored_p_is_found(meaning, by_test, test):
    assert that_gives(STORED.get(*meaning), by_test) == test
    assert that_gives(Figure(1e-20, 0), by_test) is None
    assert that_gives(None, by_test) is None
