import numpy as np
import pytest

from lib.effects.sinks import Sinks
from lib.effects.stream import Stream
from lib.judging.verdicts import NoSubject
from lib.published.figures import NotPublished
from lib.published.reading import read
from lib.published.streams import PublishedSinks, PublishedStream
from lib.published.tests.studies import layers, parse

pytestmark = pytest.mark.cpu
FIGURES = read("africa2026")
FEW = layers("attention share", "rope = { 1 = 5.0 }\ndrope = { 1 = 60.0 }", name="few")
MANY = layers("attention share", "rope = { 0 = 50.0, 1 = 1.0 }\ndrope = { 0 = 5.0, 1 = 70.0 }", name="many")
RATES = layers("sinks", "rope = [10.0, 80.0, 90.0]\ndrope = { 0-2 = 55.0, 0 = 3.0 }")


def made(kind, *tables, column="stored"):
    figures = parse(*tables) if tables else FIGURES
    return kind(figures, figures.columns[column])


def test_the_table_with_most_layers_is_read():
    stream = made(PublishedStream, FEW, MANY)
    assert stream.gain("drope", 1) == pytest.approx([69])
    assert stream.gain("drope", 0) == pytest.approx([-45])
    assert made(PublishedStream, FEW, FEW.replace("few", "same").replace("60", "9")).gain("drope", 1) == [55]


def test_the_study_s_shares_are_its_own():
    text, stored = (made(PublishedStream, column=column) for column in ("text", "stored"))
    assert (text.gain("drope", 1), text.gain("drope", 0)) == (pytest.approx([67.7]), pytest.approx([-43.6]))
    assert stored.gains("drope").shape == (1, 32)
    assert stored.gains("drope")[:, 2:].mean() == pytest.approx(1.404, abs=1e-3)
    assert stored.shares("rope")[0, 1] == pytest.approx(0.85496)
    assert text.without_first("drope", 1) == ""
    assert stored.without_first("drope", 1) == "without the first position 1.06 % under RoPE and 85 % under DroPE"


def test_the_study_s_states_are_its_own():
    text, stored = (made(PublishedStream, column=column) for column in ("text", "stored"))
    assert [round(text.times("drope", name, 1).value / 100) for name in ("query", "key")] == [145, 106]
    assert stored.of_value("drope", 1) == "value 10.1 times"
    assert text.of_value("drope", 1) == ""


@pytest.mark.parametrize(
    ("ask", "missing"),
    [
        (lambda s: s.shares("rope"), "no attention share of layer 2 for the rope arm"),
        (lambda s: s.gain("dropped", 1), "no attention share of layer 1 for the dropped arm"),
        (lambda s: s.times("drope", "key", 1), "no key norm of layer 1 for the drope arm"),
        (lambda s: s.placed("rope"), "nothing that answers 'placed'"),
    ],
)
def test_what_was_not_published_of_layers_is_said(ask, missing):
    with pytest.raises(NotPublished, match=f"^the stored results give {missing}"):
        ask(made(PublishedStream, MANY))


def test_states_of_length_zero_and_missing_layers_are_no_subject():
    norms = layers("key norm", "rope = { 1 = 0.0 }\ndrope = { 1 = 4.0 }")
    with pytest.raises(NoSubject, match="the key states of layer 1 of the rope arm are zero"):
        made(PublishedStream, norms).times("drope", "key", 1)
    made(PublishedStream, norms).need_layers("drope", 3)
    with pytest.raises(NoSubject, match="the arms have 3 layers, and 4 are needed"):
        made(PublishedStream, norms).need_layers("drope", 4)


def test_the_rate_of_all_layers_is_read_or_follows():
    sinks = made(PublishedSinks, RATES)
    assert (sinks.rate("rope", "texts"), sinks.rate("drope", "texts")) == (pytest.approx([60]), [55])
    assert sinks.describe("drope") == "DroPE: 55 % on texts"
    text, stored = (made(PublishedSinks, column=column) for column in ("text", "stored"))
    assert np.subtract(text.rate("drope", "texts"), text.rate("rope", "texts")) == pytest.approx([-2.2])
    assert stored.rate("rope", "texts") == pytest.approx([97.812])


def test_what_chance_gives_is_said_where_the_prompts_are_known():
    assert made(PublishedSinks, column="stored").chance("rope") == (
        "uniform attention gives the first position 31.5 %, a sink 30 %"
    )
    assert made(PublishedSinks, RATES).chance("rope") == ""


@pytest.mark.parametrize(
    ("ask", "missing"),
    [
        (lambda s: s.rate("rope", "repeated"), "no share of heads that are sinks on one repeated token for the rope"),
        (lambda s: s.rate("dropped", "texts"), "no share of heads that are sinks on texts for the dropped arm"),
        (lambda s: s.norm_ratio("rope"), "nothing that answers 'norm ratio'"),
    ],
)
def test_what_was_not_published_of_sinks_is_said(ask, missing):
    with pytest.raises(NotPublished, match=f"^the stored results give {missing}"):
        ask(made(PublishedSinks, RATES))


@pytest.mark.parametrize(("kind", "measured"), [(PublishedStream, Stream), (PublishedSinks, Sinks)])
def test_everything_that_records_answer_is_answered_or_not_published(kind, measured):
    subject = made(kind, RATES)
    for name in {name for name in dir(measured) if not name.startswith("_")} - set(dir(kind)):
        with pytest.raises(NotPublished, match="nothing that answers"):
            getattr(subject, name)
    with pytest.raises(AttributeError, match="has no attribute 'heat'"):
        _ = subject.heat
