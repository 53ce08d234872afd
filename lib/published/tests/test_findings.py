import json
import tomllib
from decimal import Decimal

import pytest

from lib.published.findings import audit_document
from lib.published.reading import FOLDER, published, read

pytestmark = pytest.mark.cpu
TEXT = (FOLDER / "africa2026.toml").read_text().split("# Experiments 4 to 10")[0]
DOCUMENT = audit_document(read("africa2026"))


def found(kind, *changes):
    """The findings of a kind, in a copy of the figures with parts of its text replaced wherever they stand."""
    text = TEXT
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    audit = audit_document(published(tomllib.loads(text, parse_float=Decimal)))
    return [finding for finding in audit["findings"] if finding["kind"] == kind]


def test_the_document_is_json_and_has_the_study():
    assert json.loads(json.dumps(DOCUMENT, allow_nan=False)) == DOCUMENT
    assert list(DOCUMENT) == ["study", "findings", "compared"]
    assert DOCUMENT["study"]["title"].startswith("Massive Activations")
    assert {tuple(finding) for finding in DOCUMENT["findings"]} == {
        ("kind", "what", "said", "held", "ratio", "sentence")
    }


def test_ten_trials_of_one_number_are_no_replicates():
    rope, drope = found("replicates")
    assert (rope["said"], rope["held"]) == (10, 1)
    assert rope["sentence"].startswith(
        "The stored results give 10 trials for the rope arm, but baseline and massive are each one number repeated "
        "while random varies: the trials are no replicates, and p = 2.1e-48 and Cohen's d = 170709"
    )
    assert "Cohen's d = 1168.28" in drope["sentence"]


VARYING = "random = [1.304, 1.299, 1.291, 1.294, 1.290, 1.310, 1.310, 1.318, 1.306, 1.307]"
ALL_VARY = [("massive = [1503, 1503", "massive = [1503, 1504"), ("baseline = [1.295, ", "baseline = [1.296, ")]
NONE_VARIES = [(VARYING, f"random = {[1.3] * 10}")]


@pytest.mark.parametrize("changes", [ALL_VARY, NONE_VARIES])
def test_trials_that_all_vary_or_all_stay_are_no_finding(changes):
    assert [finding["what"] for finding in found("replicates", *changes)] == ["trials under drope"]


def test_one_series_that_varies_leaves_the_other_constant():
    rope, _ = found("replicates", ("massive = [1503, 1503", "massive = [1503, 1504"))
    assert "baseline is one number repeated while massive and random vary" in rope["sentence"]


ONLY_DRAWS = " Nothing varies in these trials but the draw of random channels, so it says nothing of texts."


def test_the_test_behind_every_stored_p_is_found():
    rope, drope, arms = found("test")
    assert rope["sentence"] == (
        "The stored results give p = 2.1e-48 of massive against random under rope: a paired t test on the trials gives "
        f"1.2e-48 to 3e-48 within their rounding.{ONLY_DRAWS}"
    )
    assert (drope["said"], drope["held"]) == pytest.approx((6.38e-29, 6.157e-29), rel=1e-3)
    assert (
        "of rope against drope: Student's t test of two samples on the trials' massive minus random" in arms["sentence"]
    )


def test_a_p_that_no_usual_test_gives_is_found():
    (rope, *_), fault = (found(kind, ("= 2.1e-48", "= 2.1e-40")) for kind in ("test", "arithmetic"))
    assert "no usual test on the trials gives it within their rounding (a paired t test 1.2e-48 to " in rope["sentence"]
    assert [finding["what"] for finding in fault if finding["what"].startswith("p of")] == [
        "p of massive against random under rope"
    ]


def test_where_more_than_the_random_channels_varies_the_test_may_say_more():
    varying = ("massive = [1503, 1503", "massive = [1503, 1504")
    assert [ONLY_DRAWS in finding["sentence"] for finding in found("test", varying)] == [False, True, False]


def test_text_and_store_that_are_of_other_measurements_are_found():
    counts, losses, *of_tasks = found("measurement")
    assert (counts["said"], counts["held"]) == ({"n_texts": 10, "max_tokens": 512}, {"n_texts": 3, "max_tokens": 256})
    assert counts["sentence"].startswith(
        "The text's counts of massive values are of 10 texts of at most 512 tokens in 4-bit nf4 (literary, "
    )
    assert (losses["said"], losses["held"]) == ({"precision": "4-bit nf4"}, {"precision": "float16"})
    assert (
        "are of texts of at most 512 tokens in 4-bit nf4 (held-out), the stored ones of 3 texts" in losses["sentence"]
    )
    assert [(finding["what"], finding["held"]["precision"]) for finding in of_tasks] == [
        ("accuracies on tasks (experiment 3)", "float16"),
        ("accuracies on tasks (experiment 4)", "4-bit fp4"),
    ]


def test_equal_measurements_are_no_finding():
    same = [("n_texts = 3\nmax_tokens = 256", "n_texts = 10\nmax_tokens = 512"), ('"float16"', '"4-bit nf4"')]
    same.append(('"4-bit fp4"', '"4-bit nf4"'))
    assert found("measurement", *same) == []


def test_a_loss_that_no_natural_text_has_is_found():
    (finding,) = found("baseline")
    assert finding["said"] == pytest.approx({"rope": 0.262, "drope": 0.399}, abs=5e-4)
    assert finding["held"]["rope, repetitive texts"] == pytest.approx(0.153, abs=5e-4)
    assert "the write-up's text gives 0.262 (rope), 0.399 (drope); the stored results give" in finding["sentence"]
    assert "costs more than 0.69" in finding["sentence"]
    assert finding["sentence"].endswith(
        "held-out (text); the very texts that chose the channels, each one sentence or two, "
        "ten to fifteen times over (stored)."
    )


def test_a_loss_of_natural_text_is_no_finding():
    natural = [(f"baseline = {low}", f"baseline = {high}") for low, high in NATURAL.items()]
    assert found("baseline", *natural) == []
    assert len(found("baseline", *natural[1:])) == 1


NATURAL = {"1.30,": "5.30,", "1.49,": "5.49,"}
NATURAL |= {f"{[low] * 10}": f"{[high] * 10}" for low, high in ((1.295, 5.295), (1.487, 5.487))}
NATURAL |= {low: f"5{low[1:]}" for low in ("1.2952", "1.3799", "1.165,", "1.4866", "1.4763", "1.3007")}


def test_figures_of_all_texts_that_are_those_of_one_kind_are_found():
    rope, drope = found("headline")
    assert rope["sentence"] == (
        "The stored results give as the perplexities of rope with nothing and with massive zeroed 1.295 and 1503: "
        "those of literary texts alone (1.2952 and 1502.84), with 1.3799 and 6385.44 for technical texts; "
        "1.165 and 5761.33 for repetitive texts."
    )
    assert drope["held"] == {"literary": 22.6169, "technical": 185.648, "repetitive": 436.349}


@pytest.mark.parametrize(
    "changes",
    [
        [("massive = 1502.84", "massive = 1600.84")],
        [("baseline = 1.2952", "baseline = 1.2962")],
        [("baseline = 1.3799, massive = 6385.44", "baseline = 1.2952, massive = 1502.84")],
        [("baseline = 1.3799, massive = 6385.44, ", ""), ("baseline = 1.165, massive = 5761.33, ", "")],
    ],
)
def test_figures_of_all_texts_that_are_of_no_kind_or_of_two_or_of_the_only_one_are_none(changes):
    assert [finding["what"][-5:] for finding in found("headline", *changes)] == ["drope"]


def test_the_reliance_ratio_depends_on_the_scale():
    text, stored = found("scale")
    assert (text["said"], text["held"], text["ratio"]) == pytest.approx((82, 2.590, 0.0316), rel=2e-3)
    assert (stored["said"], stored["held"]) == pytest.approx((81.6, 2.592), rel=2e-3)
    assert "82-fold" in text["sentence"]
    assert "2.6-fold" in text["sentence"]


def test_the_same_ratio_on_both_scales_is_no_finding():
    changes = ("massive = 22.7, random = 1.49, massive_increase_percent = 1421", "massive = 1729, random = 1.49")
    assert len(found("scale", changes, ("reliance_ratio = 82\n", ""))) == 1


def test_the_damage_differs_between_kinds_of_text_as_the_text_does_not_say():
    rope, drope = found("kinds")
    assert (rope["said"], rope["held"], drope["held"]) == pytest.approx((1.0026, 4.265, 23.53), rel=1e-3)
    assert (
        "under rope in percent of perplexity differs 4.26-fold in the stored results, by 1.45 nats" in rope["sentence"]
    )
    assert "the text's figures differ 1.003-fold, by 0.00259 nats" in rope["sentence"]


def test_kinds_that_are_damaged_alike_are_no_finding():
    changes = [("= 462642", "= 115930"), ("= 494414", "= 115930")]
    assert [finding["what"].split()[-1] for finding in found("kinds", *changes)] == ["drope"]


def test_the_reliance_ratio_is_another_for_every_kind_of_text():
    (finding,) = found("reliance by kind")
    assert [round(ratio) for ratio in finding["held"].values()] == [82, 37, 15]
    assert [round(ratio) for ratio in finding["said"].values()] == [83, 80, 84]
    assert finding["sentence"].endswith(
        "the stored results give 82 (literary), 37 (technical), 15 (repetitive), "
        "in nats 2.6 (literary), 1.7 (technical), 1.5 (repetitive)."
    )


def test_the_same_reliance_for_every_kind_is_no_finding():
    said = TEXT[TEXT.index("literary   = {") : TEXT.index("[stored.massive_values.rope]")]
    stored = [("= 12475.4", "= 5672.27"), ("= 33446.2", "= 6061.82")]
    assert found("reliance by kind", (said, ""), *stored) == []


def test_what_is_claimed_of_layers_is_true_of_query_alone():
    key, value = found("other tensors")
    assert (key["held"], value["held"]) == (10, 9)
    assert "in 10 layers of key (1, 21, 22, 23, 24, 25, 27, 28, 29, 30; but for layer 1, layer 25" in key["sentence"]
    assert "in 9 layers of value (1, 2, 3, 4, 12, 15, 19, 24, 31; but for layer 1, layer 2 has" in value["sentence"]


def test_where_query_has_other_layers_itself_the_other_tensors_are_no_finding():
    assert found("other tensors", ("query = [9.333, 101.3, 30.33", "query = [9.333, 101.3, 45.33")) == []


def test_a_tensor_with_no_other_layer_is_no_finding():
    drope = TEXT[TEXT.index("key = [16.33, 21.67") : TEXT.index("value = [40.67")]
    assert [f["what"] for f in found("other tensors", (drope, f"key = {[1] * 32}\n"))] == ["layers of value with more"]


@pytest.mark.parametrize(
    "changes",
    [
        [("massive = 22.7, random = 1.49, massive_increase_percent = 1421", "massive_increase_percent = 0")],
        [("massive = 22.7, random = 1.49, massive_increase_percent = 1421", "massive = 1.49")],
    ],
)
def test_no_damage_under_drope_has_no_ratio(changes):
    assert [finding["sentence"][:10] for finding in found("scale", *changes)] == ["The stored"]


@pytest.mark.parametrize("percent", ["0", "-5"])
def test_a_kind_that_is_not_damaged_has_no_ratio(percent):
    changes = ("massive_increase_percent = 12475.4", f"massive_increase_percent = {percent}")
    assert [finding["what"] for finding in found("kinds", changes)] == ["damage by kind of text under rope"]
    assert "stored" not in found("reliance by kind", changes)[0]["sentence"]


def test_every_disagreement_is_a_finding_with_both_figures():
    disagreements = found("disagreement")
    assert len(disagreements) == 11
    technical = next(finding for finding in disagreements if "technical texts under rope" in finding["what"])
    assert (technical["said"], technical["held"]) == (115800, 462642)
    assert technical["sentence"].endswith("the text says 115800, the store holds 462642 (4 times as much).")


def test_a_bound_that_is_not_kept_is_said_as_one():
    broken = [finding for finding in found("disagreement") if finding["what"].endswith("(said: below)")]
    assert [finding["sentence"] for finding in broken[1:2]] == [
        "P of massive against random under rope: the text says below 1e-48, the store holds 2.1e-48 "
        "(2.1 times as much)."
    ]
    assert len(broken) == 3


def test_text_types_that_agree_are_no_disagreement():
    changes = ("rope = 115800, drope = 1450", "rope = 462600, drope = 12480")
    left = {finding["what"] for finding in found("disagreement", changes) if " texts " in finding["what"]}
    assert {what.split(" texts")[0] for what in left} == {"increase of perplexity of repetitive"}


def test_a_figure_that_does_not_follow_from_the_others_is_a_finding():
    (finding,) = found("arithmetic")
    assert (finding["said"], round(finding["held"], 2)) == (17, 21.7)
    assert "the text gives 17, but its other figures make it 21.7" in finding["sentence"]
    assert found("arithmetic", ("query_fewer_per_layer = 17", "query_fewer_per_layer = 21.7")) == []


def about(kind, what, *changes):
    return [finding for finding in found(kind, *changes) if finding["what"] == what]


PASSKEY = [("passkey.drope = { baseline = 30.0, top = 0.0 }", "passkey.drope = { baseline = 60.0, top = 50.0 }")]


def test_two_tables_that_contradict_each_other_about_the_pass_key_are_found():
    text, stored = about("two tables", "passkey under drope")
    for finding in (text, stored):
        assert finding["said"] == {"baseline": 60, "top": 60, "lost, top": 0}
        assert finding["held"] == {"baseline": 30, "top": 0, "lost, top": pytest.approx(100)}
    assert (
        "The two do not agree about the accuracy with each head's largest channel replaced (60 points"
        in (text["sentence"])
    )
    assert "experiment 3 (in float16, n = 20) 60 % with nothing" in stored["sentence"]
    assert "experiment 4 (in 4-bit fp4, n = 20) 30 % with nothing" in stored["sentence"]


def test_two_tables_that_agree_about_the_pass_key_are_no_finding():
    assert about("two tables", "passkey under rope") == about("two tables", "passkey under drope", *PASSKEY) == []


def test_accuracies_of_items_that_were_left_out_are_found():
    (finding,) = found("items")
    assert list(finding["held"].values()) == [174, 99]
    assert (
        "65.517 % (cities under drope with each head's largest channel replaced) of 200, so of 174 at most"
        in (finding["sentence"])
    )
    assert found("items", ("top = 65.517", "top = 65.500"), ("top = 55.556", "top = 56.000")) == []


def test_an_accuracy_that_guessing_reaches_is_found():
    findings = found("guessing")
    assert [finding["what"][-13:-1] for finding in findings] == ["experiment 3", "experiment 4"] * 2
    assert findings[0]["said"] == {"imdb under rope": 44, "imdb under drope": 30}
    raised = found("guessing", ("imdb.rope = { baseline = 44.0", "imdb.rope = { baseline = 64.0"))
    assert raised[0]["said"] == {"imdb under drope": 30}


def test_a_loss_that_so_few_items_cannot_tell_from_none_is_found():
    name = "passkey under drope with each head's largest channel replaced"
    few = found("few items")[0]
    assert few["said"][name] == 0
    assert few["held"][name] == pytest.approx([-28.0, 28.0], abs=0.05)
    many = found(
        "few items", ("passkey.drope = { baseline = 60.0, top = 60.0", "passkey.drope = { baseline = 60.0, top = 10.0")
    )
    assert name not in many[0]["said"]
