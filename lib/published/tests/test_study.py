"""What is found in the bundled study's experiments 4 to 10: by general rules, from its figures."""

import pytest

from lib.published.findings import audit_document
from lib.published.reading import read

pytestmark = pytest.mark.cpu
DOCUMENT = audit_document(read("africa2026"))
FINDINGS = DOCUMENT["findings"]


def found(kind, what=""):
    """The findings of a kind about something."""
    return [finding for finding in FINDINGS if finding["kind"] == kind and what in finding["what"]]


def the(kind, what=""):
    """The one finding of a kind about something."""
    (finding,) = found(kind, what)
    return finding


def test_the_perplexity_of_1249_times_is_stored_nowhere():
    finding = the("stored nowhere", "experiment 4")
    assert "12766 (perplexity) and 1249 (times the baseline's) under rope with mlp zeroed at" in finding["sentence"]
    assert [numbers["times the baseline's"] for numbers in finding["said"].values()] == [1249, 1]
    assert set(the("impossible")["held"].values()) == {0}


def test_experiment_10_is_stored_nowhere_but_for_the_test_that_the_text_gave_up():
    finding = the("stored nowhere", "right answers")
    assert finding["said"] == ["extended context", "ruler prompt", "simple prompt", "error analysis", "ranking"]
    assert finding["held"] == ["context scaling"]


def test_chance_alone_makes_sinks_of_half_of_the_prompts():
    finding = the("chance")
    assert finding["held"] == pytest.approx(0.31537, abs=5e-6)
    assert "reaches the threshold of 0.3 on 5 of the 10 prompts" in finding["sentence"]


def test_two_tables_of_sinks_contradict_each_other_in_layers_0_and_1():
    text, stored = found("two tables", "sinks")
    assert list(text["said"]) == ["mean of layers 0 to 31 under rope", "mean of layers 0 to 31 under drope"]
    first = {what: (stored["said"][what], stored["held"][what]) for what in stored["said"] if "layer " in what}
    assert first == {
        "layer 0 under rope": (66.25, 6.25),
        "layer 1 under rope": (78.125, 6.25),
        "layer 0 under drope": (54.375, 3.125),
    }


def test_the_pass_key_at_8192_tokens_is_found_in_four_of_five_trials_and_in_none_of_20():
    finding = the("two tables", "drope at 8192 tokens")
    assert (finding["said"], finding["held"]) == (80, 0)
    assert "4 of 5 (text, extended context" in finding["sentence"]
    assert "0 of 20 (text, error analysis" in finding["sentence"]
    assert "p = 0.0004 " in finding["sentence"]
    assert [f["what"].split(" (")[1] for f in found("two tables", "drope at 4096 tokens")] == [
        "extended context, error analysis)",
        "extended context, context scaling)",
    ]


def test_whether_drope_needs_the_first_position_depends_on_the_layer():
    finding = the("opposite")
    assert (finding["said"], finding["held"]) == pytest.approx((18.5 / 18.6, 3018 / 17.65))
    assert "7.28 in layer 2 and 498 in layer 1 (experiment 8)" in finding["sentence"]


def test_725_times_are_8_times_in_nats():
    assert [(round(f["said"]), round(f["held"], 2)) for f in found("scale", "mlp over attention")] == [
        (725, 8.15),
        (723, 8.15),
    ]
    assert "725 for 722.962" in the("rounding")["sentence"]


def test_layers_that_are_nearly_identical_are_up_to_12_points_apart():
    finding = the("hidden by a mean", "attention share")
    assert (finding["said"], finding["held"]) == pytest.approx((1.404, 11.776), abs=1e-3)
    assert "in 6 of these layers (2, 4, 22, 24, 26, 30), most in layer 30" in finding["sentence"]
    less = the("disagreement", "mean of layers 2 to 31, drope less rope")
    assert (less["said"], less["held"]) == (0.5, pytest.approx(1.404))
    share = the("disagreement", "layer 1, drope over rope (experiment 8)")
    assert (share["said"], round(share["held"])) == (76, 80)


def test_attention_adds_more_to_layer_0_where_its_share_falls():
    assert [round(finding["ratio"], 2) for finding in found("share", "layer 0")] == [2.21, 2.21]
    text, stored = found("means", "experiment 8")
    assert text["said"] == {"layer 1 under drope": 68.8}
    assert stored["held"]["layer 1 under drope"] == pytest.approx(68.585, abs=1e-3)


def test_damages_of_models_that_answer_nothing_are_not_ranked():
    assert [finding["what"] for finding in found("floor")] == [
        "damages at the floor under rope (experiment 6)",
        "damages at the floor under drope (experiment 6)",
    ] * 2
    assert [finding["what"] for finding in found("order")] == ["more zeroed, less lost under rope (experiment 6)"] * 2


def test_norms_of_two_precisions_are_compared():
    finding = the("precision")
    assert (finding["said"], finding["held"]) == ({"rope": "4-bit nf4"}, {"drope": "4-bit fp4"})
    assert "norm of first (experiment 4) and first over others (experiment 4)" in finding["sentence"]


def test_the_first_layer_of_the_spike_is_another_by_the_rule_that_is_said():
    spikes = found("disagreement", "first layer above 2")
    assert [(finding["said"], finding["held"]) for finding in spikes] == [(1, 0), (2, 1)]


def test_attention_without_the_rotation_and_baselines_of_other_texts_are_found():
    assert "sinks (experiment 4), sinks (experiment 7) and weight of first" in the("rotation")["sentence"]
    assert [set(finding["held"]["rope"].values()) for finding in found("baselines")] == [
        {1.3, 10.2, 10.3, 10.26},
        {1.295, 3.8163, 10.265},
    ]


def test_ten_prompts_are_one_measurement_of_the_first_position():
    finding = the("one text")
    assert (finding["said"], finding["held"]) == (10, {"rope": 0, "drope": 0.12175})


def test_the_first_position_makes_the_share_of_layer_1():
    finding = the("first position")
    assert finding["said"] == {"layer 1 under drope": 68.791}
    assert finding["held"] == {"layer 1 under drope": pytest.approx(85.0, abs=0.2)}


def test_small_numbers_of_trials_and_guessing_are_found():
    assert (
        "4 of 5 and 2 of 5 (drope at 1024 tokens, ruler prompt and simple prompt; p = 0.52)"
        in the("few items", "right answers")["sentence"]
    )
    assert the("guessing", "ranking")["said"]["rope at 8192 tokens"] == 40


def test_figures_by_layer_and_of_zeroed_modules_are_compared():
    new = [row for row in DOCUMENT["compared"] if "(experiment" in row["what"] and "accuracy" not in row["what"]]
    by_how = {}
    for row in new:
        by_how.setdefault(row["how"], []).append(row["agrees"])
    assert {how: (sum(agree), len(agree)) for how, agree in by_how.items()} == {
        "text and store": (65, 72),
        "arithmetic of the text": (19, 20),
        "arithmetic of the store": (12, 12),
        "tables of the text": (2, 4),
        "tables of the store": (79, 84),
    }
