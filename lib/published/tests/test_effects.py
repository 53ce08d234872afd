import tomllib
from decimal import Decimal
from itertools import combinations, product

import numpy as np
import pytest
from scipy import stats

from lib.definitions.words import ARMS, NAMES
from lib.effects.counts import MassiveValues
from lib.effects.losses import Disruption
from lib.effects.subjects import SUBJECTS
from lib.judging.verdicts import NoSubject
from lib.published.answers import PublishedAnswers
from lib.published.effects import COUNTERPARTS, PublishedDisruption, PublishedValues, subject_of
from lib.published.figures import NotPublished
from lib.published.judging import FigureJudge
from lib.published.modules import PublishedModules
from lib.published.reading import published, read
from lib.published.streams import PublishedSinks, PublishedStream

pytestmark = pytest.mark.cpu
STUDY = '[study]\ntitle = "A"\nrope = "r"\ndrope = "d"\nlayers = 3\n'
FIGURES = read("africa2026")


def values(text=None, column="text"):
    found = published(tomllib.loads(STUDY + text, parse_float=Decimal)) if text else FIGURES
    return PublishedValues(found, found.columns[column])


def stored(rope, drope):
    text = f"[stored.massive_values.rope]\nquery = {rope}\n[stored.massive_values.drope]\nquery = {drope}\n"
    return values(text, "stored")


def damage(text, column="stored"):
    found = published(tomllib.loads(STUDY + text, parse_float=Decimal))
    return PublishedDisruption(found.columns[column])


@pytest.mark.parametrize(("arm", "name"), list(product(ARMS, NAMES)))
def test_the_equivalent_sample_has_the_published_mean_and_standard_deviation(arm, name):
    figure = FIGURES.columns["text"].get("total", arm, name)
    totals = values().totals(arm, name)
    assert len(totals) == 10
    assert (totals.mean(), totals.std(ddof=1)) == pytest.approx((figure.value, figure.spread), rel=1e-12)


def test_the_samples_of_tensors_and_arms_are_uncorrelated():
    samples = [values().totals(arm, name) for arm, name in product(ARMS, NAMES)]
    assert [np.corrcoef(a, b)[0, 1] for a, b in combinations(samples, 2)] == pytest.approx([0] * 15, abs=1e-12)


def test_seven_texts_are_enough_to_keep_six_samples_apart():
    tables = "\n".join(f"{name} = {{ rope = [50, 2], drope = [40, 3] }}" for name in NAMES)
    seven = values(f"[text.massive_values]\nn_texts = 7\n{tables}")
    samples = [seven.totals(arm, name) for arm, name in product(ARMS, NAMES)]
    assert np.linalg.matrix_rank(np.array(samples) - np.mean(samples, 1)[:, None]) == 6


def test_the_percent_change_is_that_of_the_means_and_nearly_the_delta_methods():
    change = values().change("query").if_normal
    ratio = 901.4 / 1475.5
    assert change.value == pytest.approx(100 * (ratio - 1), rel=1e-12)
    reach = stats.t.isf(0.05, 9) * 100 * ratio * np.hypot(36.0 / 901.4, 22.6 / 1475.5) / 10**0.5
    assert change.upper(0.05) - change.value == pytest.approx(reach, rel=0.02)
    assert change.value - change.lower(0.05) == pytest.approx(reach, rel=0.02)


def test_a_percent_change_without_spread_is_one_number():
    change = stored([20, 10, 30], [10, 20, 15]).change("query")
    assert (change.value, change.n) == (pytest.approx(-25), 1)


def test_a_change_from_nothing_has_no_percent():
    with pytest.raises(NoSubject, match="no massive query value in the RoPE arm"):
        stored([0, 0, 0], [1, 1, 1]).change("query")


def test_totals_are_sums_of_layers_where_only_layers_are_published():
    assert stored([20, 10, 30], [1, 2, 3]).totals("rope", "query").tolist() == [60]


def test_of_layer_1_alone_the_other_layers_are_not_known():
    np.testing.assert_array_equal(values().counts("drope", "query")[0, :3], [np.nan, 101.3, np.nan])
    assert stored([20, 10, 30], [1, 2, 3]).counts("drope", "query").tolist() == [[1, 2, 3]]


def test_the_change_but_for_a_layer_is_the_mean_of_the_other_layers():
    layers = stored([20, 10, 30], [10, 40, 25])
    assert layers.change_but_for("query", 1) == pytest.approx([-7.5])
    assert layers.change_but_for("query", 0) == pytest.approx([12.5])


def test_the_change_but_for_layer_1_follows_from_the_totals_and_layer_1():
    change = values().change_but_for("query", 1)
    assert change == pytest.approx([((901.4 - 1475.5) - (101.3 - 2.7)) / 31], rel=1e-12)
    assert 100 * change / values().channels("query") == pytest.approx([-0.53], abs=0.005)


def test_counts_layer_by_layer_come_before_totals():
    totals = "[stored.massive_values]\nquery = { rope = 600, drope = 0 }\n"
    layers = "rope = { query = [20, 10, 30] }\ndrope = { query = [10, 40, 25] }"
    assert values(totals + layers, "stored").change_but_for("query", 1) == pytest.approx([-7.5])


@pytest.mark.parametrize(
    ("name", "layer", "missing"),
    [
        ("key", 1, "the write-up's text gives no count of key in layer 1 for the rope arm"),
        ("query", 2, "no count of query in layer 2 for the rope arm"),
    ],
)
def test_the_change_but_for_a_layer_that_is_not_published_is_not_known(name, layer, missing):
    with pytest.raises(NotPublished, match=missing):
        values().change_but_for(name, layer)


def test_without_totals_the_change_but_for_a_layer_is_not_known():
    with pytest.raises(NotPublished, match="no count of query for the rope arm"):
        values("[text.massive_values]\nlayer_1_query = { rope = 2, drope = 3 }").change_but_for("query", 1)


def test_a_model_of_one_layer_has_no_other():
    found = published(tomllib.loads(STUDY.replace("3", "1") + "[text.massive_values]\nquery = { rope = 1, drope = 1 }"))
    with pytest.raises(NoSubject, match="no layer but layer 1"):
        PublishedValues(found, found.columns["text"]).change_but_for("query", 1)


def test_values_that_swap_layers_have_moved():
    assert stored([60, 20, 0], [10, 30, 0]).moved_share("query").tolist() == [50]


@pytest.mark.parametrize(("rope", "drope", "arm"), [([0] * 3, [1] * 3, "rope"), ([1] * 3, [0] * 3, "drope")])
def test_nothing_cannot_have_moved(rope, drope, arm):
    with pytest.raises(NoSubject, match=f"in the {arm} arm, so none can have moved"):
        stored(rope, drope).moved_share("query")


@pytest.mark.parametrize(
    ("ask", "missing"),
    [
        (lambda v: v.totals("rope", "key"), "the stored results give no count of key for the rope arm"),
        (lambda v: v.need("key", "rope"), "no count of key"),
        (lambda v: v.counts("drope", "value"), "no counts of value layer by layer for the drope arm"),
        (lambda v: v.moved_share("key"), "no counts of key layer by layer"),
        (lambda v: v.channels("query"), "does not say how many heads and dims"),
        (lambda v: v.slow_share("rope", "query"), "the stored results give nothing that answers 'slow share'"),
        (lambda v: v.rank_agreement("rope", "query"), "nothing that answers 'rank agreement'"),
        (lambda v: v.gini("rope", "query"), "nothing that answers 'gini'"),
    ],
)
def test_what_is_not_published_is_said(ask, missing):
    with pytest.raises(NotPublished, match=missing):
        ask(stored([1, 2, 3], [1, 2, 3]))


def test_of_layer_1_alone_nothing_is_known_to_have_moved():
    with pytest.raises(NotPublished, match="the write-up's text gives counts of query for layer 1 alone"):
        values().moved_share("query")


def test_channels_are_those_of_the_tensor():
    heads = STUDY + "heads = 8\nkv_heads = 2\nhead_dim = 16\n[text.massive_values]\nquery = { rope = 1 }"
    found = published(tomllib.loads(heads))
    grouped = PublishedValues(found, found.columns["text"])
    assert (grouped.channels("query"), grouped.channels("value")) == (128, 32)
    assert values().channels("key") == 4096


def test_counts_of_grouped_heads_compare_as_rates_where_the_study_says_how_many_there_are():
    said = STUDY + "heads = 8\nkv_heads = 2\nhead_dim = 16\n[text.massive_values]\n"
    found = published(tomllib.loads(said + "query = { rope = 96 }\nvalue = { rope = 24 }"))
    grouped = PublishedValues(found, found.columns["text"])
    assert grouped.alike("rope", "key", "value")
    assert not grouped.alike("rope", "query", "value")
    assert grouped.rates("rope", "query").tolist() == grouped.rates("rope", "value").tolist() == [100 * 96 / (3 * 128)]
    assert grouped.describe_rates(("rope", "value")) == "rope value 25 % of 96 channels"


@pytest.mark.parametrize("subject", [lambda: values(), lambda: stored([1, 2, 3], [1, 2, 3])])
def test_counts_of_equal_or_unknown_heads_compare_as_they_are(subject):
    assert subject().alike("rope", "query", "value")
    assert subject().describe_rates(("rope", "query"), ("drope", "query")) == ""


def test_fewer_than_one_massive_value_is_no_subject():
    few = stored([0.25, 0.25, 0.25], [0.25, 2, 0.25])
    few.need("query", "rope", "drope")
    few.need("query", "drope", layer=1)
    with pytest.raises(NoSubject, match=r"rope arm has 0\.75 massive query values per text, fewer than 1"):
        few.need("query", "rope")
    with pytest.raises(NoSubject, match="values per text at layer 2, fewer than 1"):
        few.need("query", "drope", layer=2)


TRIALS = "[stored.disruption.rope]\nbaseline = [2, 2]\nmassive = [8, 8]\nrandom = [2, 4]\nmassive_dims = 5\n"


def test_losses_are_those_of_the_perplexities_and_trials_are_no_texts():
    found = damage(TRIALS)
    assert found.massive("rope") == pytest.approx([np.log(4)])
    assert found.controls("rope") == pytest.approx(np.array([[0, np.log(2)]]))
    assert found.control("rope") == pytest.approx([np.log(2) / 2])
    assert found.zeroed("rope") == 5


def test_a_said_percent_stands_in_for_perplexities():
    assert damage("[stored.disruption.rope]\nmassive_increase_percent = 300").massive("rope") == pytest.approx(
        [np.log(4)]
    )


def test_a_perplexity_that_falls_to_nothing_has_no_loss():
    with pytest.raises(NotPublished, match="no perplexity with massive channels zeroed"):
        damage("[stored.disruption.rope]\nmassive_increase_percent = -100").massive("rope")


def test_damage_by_kind_is_one_number_for_each():
    by_kind = damage("[stored.disruption_by_text_type.rope]\npoems = 5\nletters = { massive_increase_percent = 7 }")
    assert {kind: p.tolist() for kind, p in by_kind.percent_by_kind("rope").items()} == {"poems": [5], "letters": [7]}


def test_damage_by_kind_has_nats_unless_no_perplexity_is_left():
    by_kind = "[stored.disruption_by_text_type.rope]\npoems = {}\nletters = 300"
    found = damage(by_kind.format(100)).nats_by_kind("rope")
    assert {kind: rise.tolist() for kind, rise in found.items()} == {"poems": [np.log(2)], "letters": [np.log(4)]}
    with pytest.raises(NotPublished, match="no perplexity of poems texts for the rope arm"):
        damage(by_kind.format(-100)).nats_by_kind("rope")
    with pytest.raises(NotPublished, match="no damage by kind of text for the drope arm"):
        damage(by_kind.format(100)).nats_by_kind("drope")


def test_nothing_zeroed_is_no_subject():
    damage(TRIALS).need("rope", "drope")
    with pytest.raises(NoSubject, match="rope arm has no massive query or key channel to zero"):
        damage(TRIALS.replace("dims = 5", "dims = 0")).need("rope")


@pytest.mark.parametrize(
    ("ask", "missing"),
    [
        (lambda d: d.massive("drope"), "no perplexity with massive channels zeroed for the drope arm"),
        (lambda d: d.controls("drope"), "no perplexity with random channels zeroed"),
        (lambda d: d.percent_by_kind("rope"), "no damage by kind of text for the rope arm"),
        (lambda d: d.zeroed("drope"), "no number of zeroed channels for the drope arm"),
    ],
)
def test_losses_that_are_not_published_are_said(ask, missing):
    with pytest.raises(NotPublished, match=f"the stored results give {missing}"):
        ask(damage(TRIALS))


def public(kind):
    """The names of everything that a class can be asked for."""
    return sorted(name for name in {*dir(kind), *kind.__dataclass_fields__} if not name.startswith("_"))


@pytest.mark.parametrize(
    ("subject", "name"),
    [
        *((values, name) for name in public(MassiveValues) if not hasattr(PublishedValues, name)),
        *((lambda: damage(TRIALS), name) for name in public(Disruption) if not hasattr(PublishedDisruption, name)),
    ],
)
def test_a_question_that_no_figure_answers_is_not_published(subject, name):
    with pytest.raises(NotPublished, match=rf"^the .* nothing that answers '{name.replace('_', ' ')}'$"):
        getattr(subject(), name)


def test_norms_records_and_losses_of_conditions_are_such_questions():
    assert {"norms", "masks", "records", "slow_share"} <= set(public(MassiveValues)) - set(dir(PublishedValues))
    assert {"nats", "records"} <= set(public(Disruption)) - set(dir(PublishedDisruption))


@pytest.mark.parametrize("subject", [values, lambda: damage(TRIALS)])
@pytest.mark.parametrize("name", ["norm", "_row_norms", "__len__"])
def test_a_name_that_no_record_answers_either_is_a_mistake(subject, name):
    with pytest.raises(AttributeError, match=f"Published.* has no attribute '{name}'"):
        getattr(subject(), name)
    assert not hasattr(subject(), name)


def test_a_claim_that_asks_for_norms_cannot_be_decided():
    def norms_are_above_0(massive_values, judge):
        judge(massive_values.norms("rope", "query").mean((1, 2))).above(0)

    judge = FigureJudge(0.05)
    with pytest.raises(NotPublished, match="the write-up's text gives nothing that answers 'norms'"):
        norms_are_above_0(subject_of("massive_values", FIGURES, FIGURES.columns["text"]), judge)
    assert judge.judgement is None


@pytest.mark.parametrize("row", SUBJECTS.values(), ids=SUBJECTS)
def test_every_subject_has_a_counterpart_or_says_what_studies_lack_or_comes_beside_another(row):
    assert [row.name in COUNTERPARTS, bool(row.unpublished), row.beside is not None].count(True) == 1


@pytest.mark.parametrize("name", COUNTERPARTS)
def test_a_counterpart_holds_the_figures_of_its_column(name):
    subject = subject_of(name, FIGURES, FIGURES.columns["stored"])
    assert subject.column is FIGURES.columns["stored"]
    kinds = {"disruption": PublishedDisruption, "answers": PublishedAnswers, "rope_answers": PublishedAnswers}
    kinds |= {"stream": PublishedStream, "sinks": PublishedSinks, "modules": PublishedModules}
    assert type(subject) is kinds.get(name, PublishedValues)


def test_a_subject_without_a_counterpart_says_what_studies_lack():
    with pytest.raises(NotPublished, match=r"^the stored results give nothing about the course of recalibration$"):
        subject_of("trajectory", FIGURES, FIGURES.columns["stored"])
