import re
import tomllib
from decimal import Decimal

import pytest

from lib.published.figures import Figure, Measurement
from lib.published.reading import FOLDER, bundled, published, read

pytestmark = pytest.mark.cpu
STUDY = '[study]\ntitle = "A"\nrope = "r"\ndrope = "d"\nlayers = 3\n'
QUERY = "[text.massive_values]\nquery = "
SPREADS = "[text.massive_values]\nn_texts = 10\nquery = "


def parse(text):
    return published(tomllib.loads(text, parse_float=Decimal))


KEY = "key.knowledge = 'contextual'"
TASK = f"[[stored.tasks]]\n{KEY}"


def first_of(value):
    column = parse(f"{STUDY}{QUERY}{{ rope = {value} }}").columns["text"]
    return column.get("total", "rope", "query")


def test_the_bundled_study_has_both_columns():
    found = read("africa2026")
    assert bundled() == ["africa2026"]
    assert (list(found.columns), found.layers) == (["text", "stored"], 32)
    assert found.columns["text"].get("total", "rope", "query") == Figure(1475.5, 0.05, 22.6)
    assert [figure.value for figure in found.columns["stored"].series("perplexity", "rope", "massive")] == [1503] * 10


@pytest.mark.parametrize(("said", "number"), [("true", 1), ("false", 0)])
def test_only_an_exception_that_is_said_is_a_figure(said, number):
    exception = f"[text.massive_values]\nlayer_1_is_only_exception = {said}\nquery_fewer_per_layer = 1"
    figures = parse(f"{STUDY}{exception}").columns["text"].figures
    assert len([what for what in figures if what == ("other layers with more",)]) == number


def test_a_column_without_a_figure_that_a_claim_reads_is_none():
    found = parse(f"{STUDY}{QUERY}{{ rope = 1 }}\n[stored.disruption]\nn_texts = 5")
    assert list(found.columns) == ["text"]


def test_notes_on_disagreements_are_not_read():
    text = (FOLDER / "africa2026.toml").read_text()
    noted, clean = parse(text), parse(text.split("[disagreements]")[0])
    assert noted == clean


@pytest.mark.parametrize(
    ("written", "half"),
    [("1.30", 0.005), ("1.3", 0.05), ("116000", 500), ("17", 0.5), ("1e-48", 0.5e-48), ("0", 0.5), ("2.50e2", 0.5)],
)
def test_a_number_is_known_as_well_as_it_was_written(written, half):
    assert first_of(written).half == pytest.approx(half)


def test_a_mean_may_have_a_standard_deviation():
    column = parse(f"{STUDY}{SPREADS}{{ rope = [60.5, 1.2] }}").columns["text"]
    assert column.get("total", "rope", "query") == Figure(60.5, 0.05, 1.2)
    assert column.n_texts == 10


def test_without_standard_deviations_there_is_one_number():
    assert parse(f"{STUDY}{SPREADS}{{ rope = 60.5 }}").columns["text"].n_texts == 1


def test_a_table_may_say_what_it_was_measured_on():
    said = "max_tokens = 256\nprecision = 'bfloat16'\ntexts = 'poems and\\tlaws'"
    column = parse(f"{STUDY}{SPREADS}{{ rope = 60.5 }}\n[text.disruption]\n{said.replace(chr(39), chr(34))}").columns[
        "text"
    ]
    assert column.measured["massive_values"] == Measurement(n_texts=10)
    assert column.measured["disruption"] == Measurement(None, 256, "bfloat16", "poems and laws")


def test_a_bound_of_p_is_a_figure_of_its_own():
    bounds = "p_massive_vs_random_below = { drope = 0.01 }\np_rope_vs_drope_below = 0.02"
    column = parse(f"{STUDY}[text.disruption]\n{bounds}").columns["text"]
    assert {key: f.value for key, f in column.figures.items()} == {
        ("p below", "drope"): 0.01,
        ("p of arms below",): 0.02,
    }


@pytest.mark.parametrize("order", ["poems = { rope = 5, drope = 3 }", "rope = { poems = 5 }\ndrope = { poems = 3 }"])
def test_kinds_of_text_may_hold_arms_or_arms_kinds(order):
    column = parse(f"{STUDY}[text.disruption_by_text_type]\n{order}").columns["text"]
    assert [column.get("kind", arm, "poems", "massive").value for arm in ("rope", "drope")] == [5, 3]
    assert column.kinds("rope") == ["poems"]


COUNTS = "[stored.massive_values.rope]\n"
LOSSES = "[stored.disruption.rope]\n"
KINDS = "[text.disruption_by_text_type]\n"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (f"{QUERY}{{ rope = 1 }}", "[study] is missing: it says what the figures are about"),
        (STUDY, "there is no figure: give [text.*] (what the write-up says) or [stored.*] tables"),
        (STUDY.replace('title = "A"', ""), "[study] needs 'title'"),
        (STUDY.replace('"A"', "7"), "[study] title must be a text, not 7"),
        (STUDY.replace("3", "3.5"), "[study] layers must be a whole number above 0, not 3.5"),
        (STUDY.replace("3", "0"), "[study] layers must be a whole number above 0, not 0"),
        (f"{STUDY}colour = 1", "[study] has an unknown key 'colour'; known are title, "),
        (f"{STUDY}[said.massive_values]\nquery = 1", "the file has an unknown key 'said'; known are study, "),
        (f"{STUDY}[text.counts]\nquery = 1", "[text] has an unknown key 'counts'; known are massive_values, "),
        (f"{STUDY}{QUERY}5", "[text.massive_values] query must be a table, not 5"),
        (f"{STUDY}{QUERY}{{ nope = 5 }}", "[text.massive_values] query has an unknown key 'nope'"),
        (f"{STUDY}{QUERY}{{ rope = 'five' }}", "[text.massive_values] query rope must be a number, not 'five'"),
        (f"{STUDY}{QUERY}{{ rope = true }}", "[text.massive_values] query rope must be a number, not True"),
        (f"{STUDY}{QUERY}{{ rope = nan }}", "[text.massive_values] query rope must be a finite number, not NaN"),
        (f"{STUDY}{QUERY}{{ rope = inf }}", "query rope must be a finite number, not Infinity"),
        (f"{STUDY}{QUERY}{{ rope = -1 }}", "[text.massive_values] query rope must be 0 or more, not -1"),
        (f"{STUDY}{QUERY}{{ rope = {{ a = 1 }} }}", "query rope must be a number, not a table"),
        (f"{STUDY}{SPREADS}{{ rope = [1, 2, 3] }}", "must be a mean or [mean, standard deviation], not 3 numbers"),
        (f"{STUDY}{SPREADS}{{ rope = [1, -2] }}", "query rope (standard deviation) must be 0 or more, not -2"),
        (f"{STUDY}{QUERY}{{ rope = [1, 2] }}", "gives standard deviations, so it must say n_texts"),
        (f"{STUDY}{SPREADS}{{ rope = [1, 2], drope = 1 }}", "give every total a standard deviation or none"),
        (
            f"{STUDY}{SPREADS}{{ rope = [1, 2] }}".replace("10", "6"),
            "[text.massive_values] n_texts must be 7 or more where standard deviations are given: leave them out",
        ),
        (
            f"{STUDY}{SPREADS}{{ rope = [1, 2] }}".replace("10", "7.5"),
            "n_texts must be a whole number above 0, not 7.5",
        ),
        (f"{STUDY}[text.massive_values]\nn_texts = 0", "[text.massive_values] n_texts must be a whole number above 0"),
        (f"{STUDY}[stored.disruption]\nn_texts = '3'", "[stored.disruption] n_texts must be a number, not '3'"),
        (f"{STUDY}[stored.disruption]\nmax_tokens = 2.5", "max_tokens must be a whole number above 0, not 2.5"),
        (f"{STUDY}[text.disruption]\nmax_tokens = 1{'0' * 10}", "[text.disruption] max_tokens must be 1e+09 or less"),
        (f"{STUDY}[text.disruption]\nprecision = 16", "[text.disruption] precision must be a text, not 16"),
        (f"{STUDY}[stored.massive_values]\ntexts = ' '", "[stored.massive_values] texts must be a text, not ' '"),
        (f"{STUDY}{COUNTS}query = [1, 2]", "rope query has 2 layers, but [study] says 3"),
        (f"{STUDY}{COUNTS}query = [1, 'x', 2]", "rope query, number 2 must be a number, not 'x'"),
        (f"{STUDY}{COUNTS}query = []", "rope query is an empty list"),
        (f"{STUDY}{COUNTS}queries = [1, 2, 3]", "rope has an unknown key 'queries'; known are query, key, value"),
        (f"{STUDY}[text.massive_values]\nlayer_1_is_only_exception = 1", "only_exception must be true or false"),
        (f"{STUDY}[text.massive_values]\nlayer_1_query = {{ dope = 1 }}", "layer_1_query has an unknown key 'dope'"),
        (f"{STUDY}{SPREADS}{{ rope = [1, 2] }}".replace("10", "100000000000"), "n_texts must be 100000 or less"),
        (f"{STUDY}{QUERY}{{ rope = 1e308 }}", "query rope must be 1e+12 or less, not 1E+308"),
        (f"{STUDY}{QUERY}{{ rope = 1{'0' * 400} }}", "query rope must be 1e+12 or less"),
        (STUDY.replace("layers = 3", "layers = 100000000000"), "[study] layers must be 10000 or less"),
        (f"{STUDY}{LOSSES}baseline = 0.5", "baseline, number 1 must be 1 or more, not 0.5"),
        (
            f"{STUDY}{LOSSES}baseline = [2, 2]\nmassive = [3, 3, 3]",
            "[stored.disruption] rope has different numbers of trials: baseline 2, massive 3",
        ),
        (f"{STUDY}{LOSSES}p_massive_vs_random = 1.5", "p_massive_vs_random must be 1 or less, not 1.5"),
        (f"{STUDY}[text.disruption]\np_rope_vs_drope = 2", "p_rope_vs_drope must be 1 or less, not 2"),
        (f"{STUDY}[text.disruption]\np_massive_vs_random = {{ a = 1 }}", "p_massive_vs_random has an unknown key 'a'"),
        (
            f"{STUDY}[text.disruption]\np_massive_vs_random_below = {{ rope = 2 }}",
            "_below rope must be 1 or less, not 2",
        ),
        (f"{STUDY}[text.disruption]\np_rope_vs_drope_below = -1", "p_rope_vs_drope_below must be 0 or more, not -1"),
        (f"{STUDY}[text.disruption]\nratio = 1", "[text.disruption] has an unknown key 'ratio'"),
        (f"{STUDY}{KINDS}poems = {{ both = 1 }}", "[text.disruption_by_text_type] poems has an unknown key 'both'"),
        (f"{STUDY}{KINDS}poems = {{ rope = {{ baseline = 2 }} }}", "poems rope needs massive_increase_percent"),
        (f"{STUDY}[text]\ntasks = 5", "[text.tasks] must be a table or a list of tables, not 5"),
        (f"{STUDY}[text.tasks]\nname = 'a'", "[text.tasks] has no task"),
        (f"{STUDY}[text.tasks]\ncities = 5", "[text.tasks] cities must be a table, not 5"),
        (f"{STUDY}{TASK}\n[[stored.tasks]]\n{KEY}", "[stored.tasks] has tables of the same name: give each a name"),
        (f"{STUDY}{TASK}".replace("contextual", "new"), "key knowledge must be contextual or parametric, not 'new'"),
        (f"{STUDY}{TASK}\nkey.unparsed = 'lost'", "key unparsed must be wrong or left out, not 'lost'"),
        (f"{STUDY}{TASK}\nkey.n = 2.5", "[stored.tasks] key n must be a whole number above 0, not 2.5"),
        (f"{STUDY}{TASK}\nkey.choices = 1", "[stored.tasks] key choices must be 2 or more, not 1"),
        (f"{STUDY}{TASK}\nkey.items = 5", "[stored.tasks] key items must be a text, not 5"),
        (f"{STUDY}{TASK}\nkey.rope = {{ baseline = nan }}", "key rope baseline must be a finite number, not NaN"),
        (f"{STUDY}{TASK}\nkey.rope = {{ top = 101.0 }}", "key rope top must be 100 or less, not 101.0"),
        (
            f"{STUDY}{TASK}\nkey.rope = {{ disrupted = 1 }}",
            "key rope has an unknown key 'disrupted'; known are baseline, ",
        ),
        (f"{STUDY}{TASK}\nparametric.n = 5", "[stored.tasks] parametric has an unknown key 'n'; known are rope, drope"),
        (f"{STUDY}{TASK}\ntop_contextual_over_parametric = {{ both = 1 }}", "parametric has an unknown key 'both'"),
    ],
)
def test_a_mistake_in_the_file_gets_a_sentence(text, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)) as raised:
        parse(text)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(None, "no published figures .*: give a .toml file or one of africa2026"), ("[a", "f.toml: ")],
)
def test_a_file_that_cannot_be_read_gets_a_sentence(tmp_path, content, sentence):
    if content:
        (tmp_path / "f.toml").write_text(content)
    with pytest.raises(ValueError, match=sentence):
        read(str(tmp_path / "f.toml"))
