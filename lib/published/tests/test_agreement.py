import json
import tomllib
from decimal import Decimal

import pytest

from lib.published.agreement import compared
from lib.published.reading import FOLDER, published, read

pytestmark = pytest.mark.cpu
STUDY = '[study]\ntitle = "A"\nrope = "r"\ndrope = "d"\nlayers = 3\n'
ROWS = compared(read("africa2026"))
DISAGREE = {
    "p of massive against random under rope",
    "p of massive against random under drope",
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
    assert len(both) == 36
    assert {"massive value values under drope", "query and key channels zeroed under rope"} <= set(both)
    assert "Cohen's d of massive against random under drope (said: above)" in both


def test_arithmetic_of_both_columns_is_done():
    faults = [(row["what"], row["how"]) for row in ROWS if row["how"] != "text and store" and not row["agrees"]]
    assert faults == [("massive query values lost per layer, mean over all layers", "arithmetic of the text")]
    assert [sum(row["how"] == f"arithmetic of the {name}" for row in ROWS) for name in ("text", "store")] == [9, 12]


def test_rows_are_json():
    assert json.loads(json.dumps(ROWS, allow_nan=False)) == ROWS


def test_the_bundled_figures_themselves_are_what_is_compared():
    text = (FOLDER / "africa2026.toml").read_text()
    same = text.replace("= 462642", "= 115800").replace("= 12475.4", "= 1450")
    assert same.count("= 115800") == 2
    disagree = {r["what"] for r in compared(published(tomllib.loads(same, parse_float=Decimal))) if not r["agrees"]}
    assert not any("technical texts" in what and "text and store" in what for what in disagree)
    assert "increase of perplexity of technical texts under rope with massive zeroed, percent" in disagree  # arithmetic


@pytest.mark.parametrize(
    ("said", "held", "agrees"),
    [
        ("100", "[20, 20, 61.9]", True),
        ("100", "[20, 20, 62.04]", True),  # 2 percent of the larger
        ("100", "[20, 20, 63]", False),
        ("100", "[20, 20, 57]", False),
        ("[100, 5]", "[20, 20, 69]", True),
        ("[100, 5]", "[20, 20, 71]", False),
    ],
)
def test_text_and_store_agree_within_two_percent_or_two_standard_deviations(said, held, agrees):
    said = f"[text.massive_values]\nn_texts = 9\nvalue = {{ rope = {said} }}\n"
    row = only(f"{said}[stored.massive_values.rope]\nvalue = {held}")
    assert (row["what"], row["agrees"]) == ("massive value values under rope", agrees)


def test_a_row_says_what_was_compared():
    row = only("[text.disruption]\nreliance_ratio = 4\n[stored.disruption]\nreliance_ratio = 8")
    what = "reliance of rope over that of drope, in percent of perplexity"
    numbers = {"said": 4, "held": 8, "spread": None, "ratio": 2}
    assert row == {"what": what, "how": "text and store", **numbers, "agrees": False}


def test_a_ratio_to_nothing_is_none():
    assert only("[text.disruption]\nreliance_ratio = 0\n[stored.disruption]\nreliance_ratio = 8")["ratio"] is None


def test_a_change_inherits_the_spread_of_its_totals():
    said = "[text.massive_values]\nn_texts = 9\nkey = { rope = [100, 5], drope = [90, 5], change_percent = -10 }\n"
    held = "[stored.massive_values.rope]\nkey = [30, 30, 40]\n[stored.massive_values.drope]\nkey = [30, 30, 25]"
    (row,) = [r for r in rows(said + held) if r["what"].startswith("change") and r["how"] == "text and store"]
    assert row["spread"] == pytest.approx((5**2 + (0.9 * 5) ** 2) ** 0.5)
    assert row["agrees"]


@pytest.mark.parametrize(("d", "agrees"), [(1001, True), (999, False), (5000, True)])
def test_a_bound_is_kept_by_what_exceeds_it(d, agrees):
    text = f"[text.disruption]\ncohens_d_above = 1000\n[stored.disruption.rope]\ncohens_d = {d}"
    assert only(text)["agrees"] is agrees


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
LAYERS = "[stored.massive_values]\n{}\nrope = {{ query = [9, 9, 9] }}\ndrope = {{ query = [8, 12, {}] }}"


@pytest.mark.parametrize(
    ("text", "agrees"),
    [
        (FEWER.format("10.0"), True),
        (FEWER.format("9.0"), False),
        (LAYERS.format("layer_1_query = { drope = 12.0 }", 8), True),
        (LAYERS.format("layer_1_query = { drope = 8.0 }", 8), False),
        (LAYERS.format("layer_1_is_only_exception = true", 9), True),
        (LAYERS.format("layer_1_is_only_exception = true", 10), False),
    ],
)
def test_what_is_said_of_layers_follows_from_them(text, agrees):
    assert only(text)["agrees"] is agrees


@pytest.mark.parametrize(
    "text", [CHANGE.replace("1496.8", "0.0").format("-11.0"), RATIO.replace("20.0", "0.0").format(2)]
)
def test_nothing_follows_from_a_figure_that_may_be_nothing(text):
    assert rows(text) == []


def test_the_channels_zeroed_are_compared_with_the_counts_of_query_and_key():
    counts = "query = { rope = [30, 2] }\nkey = { rope = [70, 3] }\nn_texts = 8"
    (row,) = rows(f"[text.massive_values]\n{counts}\n[stored.disruption.rope]\nmassive_dims = 106")
    assert (row["said"], row["held"], row["agrees"]) == (100, 106, True)
    assert row["spread"] == pytest.approx(13**0.5)
