from math import log

import pytest

from lib.effects.modules import Modules
from lib.judging.verdicts import NoSubject
from lib.published.figures import NotPublished
from lib.published.modules import PublishedModules
from lib.published.reading import read
from lib.published.tests.studies import ablations, parse

pytestmark = pytest.mark.cpu
FIGURES = read("africa2026")
MLP = "modules = ['mlp']\nlayer = {}\nrope = {{ perplexity = 20.0 }}\ndrope = {{ times = 4 }}"
BASE = "baseline = { rope = 10.0 }"


def made(*tables, column="stored"):
    figures = parse(*tables) if tables else FIGURES
    return PublishedModules(figures, figures.columns[column])


def test_the_study_s_losses_are_its_own():
    text, stored = made(column="text"), made(column="stored")
    assert text.nats("rope", "mlp at first") == pytest.approx([log(12766 / 10.2)])
    assert text.nats("drope", "mlp at first") == pytest.approx([log(18.5 / 18.6)])
    assert (text.spike("rope"), text.spike("drope")) == (1, 2)
    for modules in (text, stored):
        lost = {c: [modules.nats(arm, c)[0] for arm in ("rope", "drope")] for c in ("mlp", "attention", "both")}
        assert lost["mlp"] == pytest.approx([log(1815), log(202)], abs=2e-3)
        assert lost["attention"] == pytest.approx([log(2.51), log(201.5)], abs=2e-3)
        assert lost["both"] == pytest.approx([log(1347), log(204)], abs=2e-3)
        assert modules.compared("drope", "value at first").value == pytest.approx(86.3, abs=0.1)
    with pytest.raises(NotPublished, match=r"^the stored results give no perplexity with mlp at first replaced for"):
        stored.nats("rope", "mlp at first")


def test_a_loss_comes_from_perplexities_or_from_times_in_layer_1():
    modules = made(ablations(BASE, MLP.format(2), MLP.format(1).replace("20.0", "30.0")))
    assert (modules.nats("rope", "mlp"), modules.nats("drope", "mlp")) == (
        pytest.approx([log(3)]),
        pytest.approx([log(4)]),
    )


@pytest.mark.parametrize(
    ("condition", "lines"),
    [
        ("mlp", "positions = 'first'\nlayer = 1"),
        ("mlp", "layer = 2"),
        ("mlp", ""),
        ("mlp at first", "positions = 'first'"),
        ("mlp at first", "layer = 1"),
        ("attention", "layer = 1"),
        ("massive zeroed", "layer = 1"),
    ],
)
def test_another_place_is_no_answer(condition, lines):
    with pytest.raises(NotPublished, match=f"no perplexity with {condition} replaced for the rope arm"):
        made(ablations(BASE, f"modules = ['mlp']\n{lines}\nrope = {{ times = 4 }}")).nats("rope", condition)


def test_value_at_first_is_that_of_all_layers():
    value = "modules = ['value']\npositions = 'first'\n{}rope = {{ times = {} }}"
    modules = made(ablations(BASE, value.format("layer = 1\n", 9), value.format("", 4)))
    assert modules.nats("rope", "value at first") == pytest.approx([log(4)])
    with pytest.raises(NotPublished, match="for the dropped arm"):
        modules.nats("dropped", "value at first")
    with pytest.raises(NotPublished, match="give no spike layer for the rope arm"):
        modules.spike("rope")


def test_where_nothing_is_lost_there_is_no_subject():
    modules = made(ablations(BASE, MLP.format(1).replace("20.0", "10.0")))
    modules.need_same_tokens()
    modules.need_layer("rope", "drope")
    with pytest.raises(NoSubject, match="the rope arm loses nothing"):
        modules.compared("drope", "mlp")


def test_a_model_of_one_layer_has_no_layer_1():
    figures = parse(ablations(BASE, "modules = ['value']\nrope = { times = 4 }"))
    single = type(figures)({**figures.study, "layers": 1}, figures.columns)
    with pytest.raises(NoSubject, match="the arms have one layer"):
        PublishedModules(single, single.columns["stored"]).need_layer("rope")


def test_everything_that_records_answer_is_answered_or_not_published():
    modules = made()
    for name in {name for name in dir(Modules) if not name.startswith("_")} - set(dir(PublishedModules)):
        with pytest.raises(NotPublished, match="nothing that answers"):
            getattr(modules, name)
