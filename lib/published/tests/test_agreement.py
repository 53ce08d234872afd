import json
import tomllib
from decimal import Decimal

import numpy as np
import pytest
from scipy import stats

from lib.published.agreement import compared
from lib.published.reading import FOLDER, published

pytestmark = pytest.mark.cpu
STUDY = '[study]\ntitle = "A"\nrope = "r"\ndrope = "d"\nlayers = 3\n'
TEXT = (FOLDER / "africa2026.toml").read_text()
EARLY = published(tomllib.loads(TEXT.split("# Experiments 4 to 10")[0], parse_float=Decimal))
ROWS = [row for row in compared(EARLY) if "accuracy" not in row["what"]]
"""All of experiments 1 and 2: test_accuracies.py has accuracies on tasks, and test_study.py later experiments."""
FEWER_WORDS = "massive query values lost per layer, mean over all layers but layer 1"
DISAGREE = {
    FEWER_WORDS,
    "massive key values under rope",
    "massive key values under drope",
    "massive value values under drope",
    "p of rope against drope (said: below)",
    "p of massive against random under rope (said: below)",
    "p of massive against random under drope (said: below)",
    *(
        f"increase of perplexity of {kind} texts under {arm} with massive zeroed, percent"
        for kind in ("technical", "repetitive")
        for arm in ("rope", "drope")
    ),
}


def rows(text):
    return compared(published(tomllib.loads(STUDY + text, parse_float=Decimal)))


def only(text):
    (row,) = rows(text)
    return row


def test_everything_that_text_and_store_both_hold_is_compared():
    both = {row["what"]: row["agrees"] for row in ROWS if row["how"] == "text and store"}
    assert {what for what, agrees in both.items() if not agrees} == DISAGREE
    assert len(both) == 38
    assert {"massive value values under drope", "query and key channels zeroed under rope"} <= set(both)
    assert "Cohen's d of massive against random under drope (said: above)" in both


def test_arithmetic_of_both_columns_is_done():
    faults = [(row["what"], row["how"]) for row in ROWS if row["how"] != "text and store" and not row["agrees"]]
    assert faults == [(FEWER_WORDS, "arithmetic of the text")]
    assert [sum(row["how"] == f"arithmetic of the {name}" for row in ROWS) for name in ("text", "store")] == [9, 21]


def test_rows_are_json():
    assert json.loads(json.dumps(ROWS, allow_nan=False)) == ROWS


def test_the_bundled_figures_themselves_are_what_is_compared():
    same = TEXT.replace("= 462642", "= 115800").replace("= 12475.4", "= 1450")
    assert same.count("= 115800") == 2
    disagree = {r["what"] for r in compared(published(tomllib.loads(same, parse_float=Decimal))) if not r["agrees"]}
    assert not any("technical texts" in what and "text and store" in what for what in disagree)
    assert "increase of perplexity of technical texts under rope with massive zeroed, percent" in disagree  # arithmetic


@pytest.mark.parametrize(
    ("said", "held", "agrees"),
    [
        ("100", 101.9, True),
        ("100", 102.04, True),  # 2 percent of the larger
        ("100", 103, False),
        ("100", 97, False),
        ("[100, 6]", 104.9, True),
        ("[100, 6]", 105.1, False),
    ],
)
def test_text_and_store_agree_within_two_percent_or_two_standard_errors_of_their_difference(said, held, agrees):
    said = f"[text.massive_values]\nn_texts = 9\nvalue = {{ rope = {said} }}\n"
    held = f"[stored.massive_values]\nn_texts = 16\nrope = {{ value = [20, 20, {held - 40}] }}"
    row = only(said + held)
    assert (row["what"], row["agrees"]) == ("massive value values under rope", agrees)


SPREADS = "[{}.massive_values]\n{}value = {{ rope = [{}, {}] }}\n"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (SPREADS.format("text", "n_texts = 9\n", 100, 6) + SPREADS.format("stored", "n_texts = 16\n", 50, 8), 8**0.5),
        (SPREADS.format("text", "n_texts = 9\n", 100, 6) + "[stored.massive_values]\nvalue = { rope = 50 }", 40**0.5),
        ("[text.massive_values]\nvalue = { rope = 50 }\n" + SPREADS.format("stored", "n_texts = 9\n", 1, 6), 40**0.5),
        ("[text.massive_values]\nvalue = { rope = 50 }\n[stored.massive_values]\nvalue = { rope = 50 }", None),
    ],
)
def test_the_standard_error_is_of_both_sides_texts_and_unsaid_texts_count_as_one(text, error):
    assert only(text)["error"] == (error and pytest.approx(error))


def test_a_standard_deviation_over_seeds_is_divided_by_the_seeds():
    said = "[text.disruption]\ncontrol_seeds = 4\nrope = { random_increase_percent = [1.0, 0.6] }\n"
    held = f"[stored.disruption.rope]\nbaseline = {[2] * 9}\nrandom = {[2] * 9}"
    (row,) = [row for row in rows(said + held) if row["how"] == "text and store"]
    assert row["error"] == pytest.approx(0.6 * (1 / 4 + 1 / 9) ** 0.5)
    assert not row["agrees"]


def test_a_row_says_what_was_compared():
    row = only("[text.disruption]\nreliance_ratio = 4\n[stored.disruption]\nreliance_ratio = 8")
    what = "reliance of rope over that of drope, in percent of perplexity"
    numbers = {"said": 4, "held": 8, "error": None, "ratio": 2}
    assert row == {"what": what, "how": "text and store", **numbers, "agrees": False}


def test_a_ratio_to_nothing_is_none():
    assert only("[text.disruption]\nreliance_ratio = 0\n[stored.disruption]\nreliance_ratio = 8")["ratio"] is None


def test_a_change_inherits_the_spread_of_its_totals():
    said = "[text.massive_values]\nn_texts = 9\nkey = { rope = [100, 5], drope = [90, 5], change_percent = -10 }\n"
    held = "[stored.massive_values.rope]\nkey = [30, 30, 40]\n[stored.massive_values.drope]\nkey = [30, 30, 25]"
    (row,) = [r for r in rows(said + held) if r["what"].startswith("change") and r["how"] == "text and store"]
    assert row["error"] == pytest.approx((5**2 + (0.9 * 5) ** 2) ** 0.5 * (1 / 9 + 1) ** 0.5)
    assert row["agrees"]


@pytest.mark.parametrize(("d", "agrees"), [(1001, True), (999, False), (5000, True)])
def test_a_bound_is_kept_by_what_exceeds_it(d, agrees):
    text = f"[text.disruption]\ncohens_d_above = 1000\n[stored.disruption.rope]\ncohens_d = {d}"
    assert only(text)["agrees"] is agrees


@pytest.mark.parametrize(("p", "agrees"), [("9.9e-49", True), ("1.1e-48", False), ("2.1e-48", False)])
def test_a_p_that_is_said_to_be_below_a_bound_is_below_it(p, agrees):
    said = "[text.disruption]\np_massive_vs_random_below = { rope = 1e-48 }\n"
    row = only(f"{said}[stored.disruption.rope]\np_massive_vs_random = {p}")
    assert (row["what"], row["agrees"]) == ("p of massive against random under rope (said: below)", agrees)


CHANGE = "[text.massive_values]\nkey = {{ rope = 1496.8, drope = 1331.5, change_percent = {} }}"
LOSS = "[text.disruption.rope]\nbaseline = {}\nmassive = 15.0\nmassive_increase_percent = {}"
ONE_KIND = (
    "[stored.disruption_by_text_type.rope]\npoems = {{ baseline = 2.0, massive = 6.0, massive_increase_percent = {} }}"
)
RATIO = "[text.disruption]\nreliance_ratio = {}\nrope = {{ massive_increase_percent = 50.0 }}\n"
RATIO += "drope = {{ massive_increase_percent = 20.0 }}"


@pytest.mark.parametrize(
    ("text", "agrees"),
    [
        (CHANGE.format("-11.0"), True),
        (CHANGE.format("-11.2"), False),
        (LOSS.format("1.30", 1054), True),
        (LOSS.format("1.30", 1043), False),
        (LOSS.format("1.3", 1009), True),
        (LOSS.format("[1.20, 1.40]", 1054), True),
        (ONE_KIND.format("200.0"), True),
        (ONE_KIND.format("220.0"), False),
        (RATIO.format("2.49"), True),
        (RATIO.format("2.51"), True),
        (RATIO.format("2.3"), False),
        (RATIO.format("2.7"), False),
    ],
)
def test_arithmetic_is_met_within_the_rounding_of_the_figures(text, agrees):
    text = text.replace("massive = 15.0", "massive = [15.0, 15.0]") if "[1.2" in text else text
    assert only(text)["agrees"] is agrees


FEWER = "[text.massive_values]\nquery_fewer_per_layer = {}\nquery = {{ rope = 60.0, drope = 30.0 }}"
BUT_FOR_1 = FEWER + "\nlayer_1_query = {{ rope = 2.0, drope = 6.0 }}"
LAYERS = "[stored.massive_values]\n{}\nrope = {{ query = [9, 9, 9] }}\ndrope = {{ query = [8, 12, {}] }}"


@pytest.mark.parametrize(
    ("text", "agrees"),
    [
        (FEWER.format("10.0"), True),
        (FEWER.format("9.0"), False),
        (BUT_FOR_1.format("17.0"), True),
        (BUT_FOR_1.format("10.0"), False),
        (LAYERS.format("layer_1_query = { drope = 12.0 }", 8), True),
        (LAYERS.format("layer_1_query = { drope = 8.0 }", 8), False),
        (LAYERS.format("query_fewer_per_layer = 1.0", 8).replace("9,", "9.0,"), True),
        (LAYERS.format("query_fewer_per_layer = -2.0", 8).replace("9,", "9.0,"), False),
        (LAYERS.format("layer_1_is_only_exception = true", 9), True),
        (LAYERS.format("layer_1_is_only_exception = true", 10), False),
    ],
)
def test_what_is_said_of_layers_follows_from_them(text, agrees):
    assert only(text)["agrees"] is agrees


ALL_KINDS = "[stored.disruption.rope]\nbaseline = {}\n[stored.disruption_by_text_type.rope]\n"
for _kind, _baseline in (("poems", "2.00"), ("laws", "3.00")):
    ALL_KINDS += f"{_kind} = {{{{ baseline = {_baseline}, massive_increase_percent = 5 }}}}\n"


@pytest.mark.parametrize(("baseline", "agrees"), [("2.00", True), ("2.51", True), ("3.02", False), ("1.90", False)])
def test_the_perplexity_of_all_texts_lies_between_those_of_the_kinds(baseline, agrees):
    row = only(ALL_KINDS.format(baseline))
    assert (row["what"], row["agrees"]) == ("perplexity under rope with nothing zeroed", agrees)


BASELINE, MASSIVE = 2.0, {"rope": 8.0, "drope": 4.0}
RANDOM = {"rope": [2.1, 2.0, 1.9, 2.2], "drope": [2.1, 2.0, 2.3, 2.2]}
TRIALS = "[stored.disruption]\n{}\n"
for _arm in MASSIVE:
    TRIALS += f"[stored.disruption.{_arm}]\nbaseline = [{', '.join(['2.00000'] * 4)}]\n"
    TRIALS += f"massive = [{', '.join([f'{MASSIVE[_arm]:.5f}'] * 4)}]\n"
    TRIALS += f"random = [{', '.join(f'{r:.5f}' for r in RANDOM[_arm])}]\n{{}}\n"
MORE = {arm: MASSIVE[arm] - np.array(random) for arm, random in RANDOM.items()}
PAIRED = stats.ttest_1samp(MORE["rope"], 0).pvalue
UNPAIRED = stats.ttest_ind([8.0 + 1e-9, 8.0, 8.0, 8.0], RANDOM["rope"]).pvalue
OF_ARMS = stats.ttest_ind(*(100 * more / BASELINE for more in MORE.values())).pvalue
D = MORE["rope"].mean() / MORE["rope"].std()


@pytest.mark.parametrize(
    ("of_both", "of_rope", "agrees"),
    [
        ("", f"p_massive_vs_random = {PAIRED:.4g}", True),
        ("", f"p_massive_vs_random = {UNPAIRED:.4g}", True),
        ("", f"p_massive_vs_random = {1.01 * PAIRED:.4g}", False),
        ("", f"cohens_d = {D:.4g}", True),
        ("", f"cohens_d = {D * 0.75**0.5:.4g}", True),
        ("", f"cohens_d = {1.01 * D:.4g}", False),
        (f"p_rope_vs_drope = {OF_ARMS:.4g}", "", True),
        (f"p_rope_vs_drope = {1.01 * OF_ARMS:.4g}", "", False),
    ],
)
def test_p_and_d_follow_from_the_trials(of_both, of_rope, agrees):
    meant = ("p of", "Cohen's")
    (row,) = [row for row in rows(TRIALS.format(of_both, of_rope, "")) if row["what"].startswith(meant)]
    assert (row["how"], row["agrees"]) == ("arithmetic of the store", agrees)


def test_a_said_bound_is_held_against_the_p_of_the_trials_where_no_other_is_stored():
    said = "[text.disruption]\np_massive_vs_random_below = { rope = 0.001 }\np_rope_vs_drope_below = 0.001\n"
    held = {
        row["what"]: row["held"] for row in rows(said + TRIALS.format("", "", "")) if row["how"] == "text and store"
    }
    assert held["p of massive against random under rope (said: below)"] == pytest.approx(PAIRED)
    assert held["p of rope against drope (said: below)"] == pytest.approx(OF_ARMS)


@pytest.mark.parametrize(
    "text", [CHANGE.replace("1496.8", "0.0").format("-11.0"), RATIO.replace("20.0", "0.0").format(2)]
)
def test_nothing_follows_from_a_figure_that_may_be_nothing(text):
    assert rows(text) == []


def test_the_channels_zeroed_are_compared_with_the_counts_of_query_and_key():
    counts = "query = { rope = [30, 2] }\nkey = { rope = [70, 3] }\nn_texts = 9"
    zeroed = "[stored.disruption]\nn_texts = 4\n[stored.disruption.rope]\nmassive_dims = 104"
    (row,) = rows(f"[text.massive_values]\n{counts}\n{zeroed}")
    assert (row["said"], row["held"], row["agrees"]) == (100, 104, True)
    assert row["error"] == pytest.approx((13 / 9 + 13 / 4) ** 0.5)
