import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.texts.sources import Source, parse

pytestmark = pytest.mark.cpu

FIELDS = st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=8)


@given(
    st.builds(
        Source,
        where=st.just("org/name"),
        on_hub=st.just(True),
        config=st.none() | FIELDS,
        split=FIELDS,
        text=FIELDS,
        kind=st.none() | FIELDS,
        role=st.none() | FIELDS,
        count=st.integers(1, 99),
        characters=st.none() | st.integers(1, 9999),
    )
)
def test_what_is_written_is_read_back(source):
    assert parse(str(source)) == source


def test_a_dataset_has_a_configuration_a_split_and_fields():
    source = parse("hf:org/name:big,split=test,text=body,kind=topic")
    assert (source.where, source.config, source.split) == ("org/name", "big", "test")
    assert (source.text, source.kind, source.role, source.on_hub) == ("body", "topic", None, True)


@pytest.mark.parametrize(
    ("text", "has_rows"), [("t.jsonl", False), ("t.jsonl,text=body", True), ("t.parquet", True), ("hf:name", True)]
)
def test_a_file_without_arguments_gives_kinds_and_roles_itself_unless_it_is_parquet(text, has_rows):
    assert parse(text).has_rows is has_rows


def test_a_file_may_have_any_name(tmp_path):
    odd = tmp_path / "a,text=b.jsonl"
    odd.write_text("")
    assert parse(odd) == Source(str(odd))


def test_a_file_is_found_beside_another_and_a_dataset_is_not(tmp_path):
    assert parse("t.parquet,text=b").beside(tmp_path) == Source(str(tmp_path / "t.parquet"), text="b")
    assert parse("hf:name").beside(tmp_path) == parse("hf:name")


def test_a_report_names_a_file_without_its_folder():
    assert parse("/some/where/t.parquet,text=b").name == "t.parquet,text=b"
    assert parse("hf:org/name").name == "hf:org/name"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("hf:name,filed=text", "unknown argument 'filed', known are split, "),
        ("hf:name,splt=test", "unknown argument 'splt', did you mean 'split'"),
        ("hf:name,split=", "the argument 'split' is empty"),
        ("hf:name,split", "the argument 'split' is empty"),
        ("hf:name,text=a,text=b", "the argument 'text' is given twice"),
        ("hf:name,count=0", "count must be a whole number of 1 or more, not '0'"),
        ("hf:name,score=many", "score must be a whole number"),
        ("hf:", "a dataset is written hf:NAME or hf:NAME:CONFIG"),
        ("hf:name:", "a dataset is written hf:NAME or hf:NAME:CONFIG"),
        ("name,split=test", "a dataset is written hf:NAME, as in hf:name,split=test"),
        ("t.csv,text=body", r"'t.csv' is no .parquet, .jsonl, "),
        ("t.parquet,split=test", "a file has no split"),
        ("t.parquet,revision=main", "a file has no revision"),
    ],
)
def test_a_wrong_argument_gets_a_sentence(text, sentence):
    with pytest.raises(ValueError, match=sentence):
        parse(text)
