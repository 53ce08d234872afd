import gzip
import json
from pathlib import Path

import datasets
import pyarrow
import pyarrow.parquet
import pytest

from lib.tasks import files
from lib.tasks.files import FIELDS, read

pytestmark = pytest.mark.cpu

PAGE = (Path(__file__).parents[3] / "docs/tasks.md").read_text(encoding="utf-8")


def line(number=0, **more) -> dict:
    return {"prompt": f"Question {number}?", "choices": ["yes", "no"], "answer": number % 2, **more}


def write(path, *lines) -> str:
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines))
    return str(path)


@pytest.fixture
def file(tmp_path):
    """Writes lines into a file, and reads it as a task of its own."""
    return lambda *lines: read("mine", f"{write(tmp_path / 'mine.jsonl', *lines)},knowledge=contextual")


@pytest.fixture
def hub(monkeypatch):
    """Puts rows in the place of a dataset on the hub, or an error; gives what was asked for."""
    asked = []

    def put(rows):
        def load_dataset(*given, **more):
            asked.append((*given, more["split"]))
            if isinstance(rows, Exception):
                raise rows
            return rows

        monkeypatch.setattr(datasets, "load_dataset", load_dataset)
        return asked

    return put


def test_lines_become_items_in_their_order(file):
    more = {"name": "two", "opening": "It is", "template": "t", "length": 3, "depth": 0.5}
    task = file(line(0), "", line(1, **more), {"question": "Which?", "choices": ["a", "\nb"], "answer": "b"})
    first, second, third = task.items
    assert (first.name, first.prompt, first.choices, first.right) == ("line 1", "Question 0?", (" yes", " no"), " yes")
    assert [getattr(second, key) for key in more] == list(more.values())
    assert (third.name, third.right) == ("line 4", "\nb")
    assert (task.name, task.knowledge, task.note) == ("mine", "contextual", "")


def test_marked_lines_are_examples(file):
    task = file(line(0, example=True), line(1), line(2, example=False))
    assert task.context(task.items[0]) == "Question 0? yes\n\nQuestion 1?"
    assert len(task.items) == 2


def test_a_file_may_be_compressed_and_begin_with_a_byte_order_mark(tmp_path):
    with gzip.open(tmp_path / "m.jsonl.gz", "wb") as packed:
        packed.write(b"\xef\xbb\xbf" + json.dumps(line()).encode())
    assert read("m", f"{tmp_path}/m.jsonl.gz,knowledge=parametric").items[0].answer == 0


def test_a_file_under_the_name_of_a_built_in_task_has_its_knowledge(tmp_path):
    assert read("capitals", write(tmp_path / "m.jsonl", line())).knowledge == "parametric"
    with pytest.raises(ValueError, match="say where the answers are, by knowledge=contextual or knowledge=parametric"):
        read("mine", write(tmp_path / "m.jsonl", line()))


@pytest.mark.parametrize(
    ("bad", "sentence"),
    [
        ("{broken", "line 2: not JSON"),
        ("[1]", "line 2: expected an object"),
        ("[" * 100_000, "line 2: not JSON \\(objects or lists lie too deep"),
        ({"choices": ["yes", "no"], "answer": 0}, "line 2: 'prompt' is missing or empty"),
        (line(prompt=" "), "line 2: 'prompt' is missing or empty"),
        (line(prompt="\ud83d"), "line 2: 'prompt' holds half of a character"),
        (line(question="Also?"), "line 2: 'prompt' and 'question' are two names"),
        (line(anwser=1), "line 2: unknown field 'anwser', did you mean 'answer'"),
        (line(choices="yes"), "line 2: 'choices' must be a list of texts"),
        (line(choices=["yes", 1]), "line 2: 'choices' must be a list of texts"),
        (line(choices=["yes"]), "line 2: it needs two choices or more"),
        (line(choices=["yes", " yes"]), "line 2: the choice ' yes' comes twice"),
        ({"prompt": "x", "choices": ["yes", "no"]}, "line 2: 'answer' is missing"),
        (line(answer="maybe"), "line 2: the answer 'maybe' is not among the choices 'yes', 'no'"),
        (line(answer=True), "line 2: the answer True is not among the choices"),
        (line(answer=2), r"line 2: its answer is choice 2 \(the first is 0\)"),
        (line(choices=["yes", "\ud83d"]), "line 2: the choice .* holds half of a character"),
        (line(length=1.5), "line 2: 'length' must be a whole number from 0 to a billion, not 1.5"),
        (line(length=-3), "line 2: 'length' must be a whole number from 0 to a billion, not -3"),
        (line(length=10**400), "line 2: 'length' must be a whole number from 0 to a billion, not 10{39}$"),
        (line(depth=True), "line 2: 'depth' must be a number from 0 to 1, not True"),
        (line(depth=1.5), "line 2: 'depth' must be a number from 0 to 1, not 1.5"),
        ('{"prompt": "x", "choices": ["a", "b"], "answer": 0, "depth": 1e999}', "line 2: 'depth' must be a number"),
        (line(example="yes"), "line 2: 'example' must be true or false"),
        (line(opening=1), "line 2: 'opening' is missing or empty"),
        (line(0, name="again"), r"line 1 and line 2 ask the same: leave one out"),
        (line(1, name="line 1"), r"line 1 and line 2 have the same name"),
        (line(0, example=True), r"line 2 and line 1 ask the same, and the first is an example"),
        (line(1, example=True, template="t"), "line 1 has the template 'plain', for which there is no example"),
    ],
)
def test_a_bad_line_is_named(file, bad, sentence):
    with pytest.raises(ValueError, match=r"mine\.jsonl.*" + sentence):
        file(line(0), bad)


def test_unbalanced_answers_are_refused(file):
    with pytest.raises(ValueError, match=r"mine\.jsonl: answers are unbalanced: ' yes' .* in 7 of the 10 items"):
        file(*(line(number, answer=int(number >= 7)) for number in range(10)))


def test_a_file_that_is_not_there_or_is_damaged_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"the items in gone\.jsonl cannot be read: .* is written hf:NAME"):
        read("cities", "gone.jsonl")
    (tmp_path / "m.jsonl.gz").write_bytes(b"no gzip")
    with pytest.raises(ValueError, match=r"m\.jsonl\.gz cannot be read"):
        read("cities", f"{tmp_path}/m.jsonl.gz")
    with pytest.raises(ValueError, match="it has no items"):
        read("cities", write(tmp_path / "m.jsonl"))


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ("a.jsonl,item=3", "unknown argument 'item', did you mean 'items'"),
        ("a.jsonl,items=3,items=4", "the argument 'items' is given twice"),
        ("a.jsonl,items=", "the argument 'items' is empty"),
        ("a.jsonl,items=0", "items must be a whole number of 1 or more, not '0'"),
        ("a.jsonl,items=few", "items must be a whole number"),
        ("a.jsonl,fields=gsm", "fields 'gsm' is not known, did you mean 'gsm8k'"),
        ("a.jsonl,knowledge=both", "knowledge 'both' is not known"),
        ("a.jsonl,split=test", "a file has no split"),
        ("hf:", "a dataset is written hf:NAME or hf:NAME:CONFIG"),
        ("hf:name:", "a dataset is written hf:NAME or hf:NAME:CONFIG"),
    ],
)
def test_a_wrong_argument_gets_a_sentence(spec, sentence):
    with pytest.raises(ValueError, match=sentence):
        read("cities", spec)


ROWS = {
    "gsm8k": ({"question": "How many?", "answer": "2 and 3 make\n#### 1,005"}, "1005"),
    "aqua": ({"question": "How far?", "options": ["A)1", "B)2", "C)3", "D)4", "E)5 km"], "correct": "E"}, "5 km"),
    "imdb": ({"text": "A fine film.", "label": 1}, "positive"),
    "cities": ({"statement": "The city of Lyon is in France.", "label": "1"}, "True"),
}


@pytest.mark.parametrize("fields", FIELDS)
def test_the_rows_of_known_datasets_become_items(tmp_path, fields):
    row, right = ROWS[fields]
    task = read("mine", f"{write(tmp_path / 'm.jsonl', row)},fields={fields}")
    (item,) = task.items
    assert (item.prompt, item.right.strip()) == (row[FIELDS[fields].prompt], right)
    assert task.knowledge == FIELDS[fields].knowledge


@pytest.mark.parametrize(
    ("fields", "change", "sentence"),
    [
        ("gsm8k", {"answer": "no mark"}, r"'answer' does not match ####"),
        ("gsm8k", {"answer": "#### half"}, "the answer 'half' is no whole number"),
        ("gsm8k", {"answer": f"#### {10**20}"}, "the answer '10+' is no whole number of 15 digits at most"),
        ("aqua", {"correct": "F"}, "'correct' must be one of A, B, C, D, E, not 'F'"),
        ("aqua", {"options": "A)1"}, "'options' must be a list of texts"),
        ("aqua", {"options": ["one", "two"]}, "'options' does not match"),
        ("imdb", {"label": -1}, "its answer is choice -1"),
        ("imdb", {"label": None}, "the answer None is not among the choices"),
        ("cities", {"statement": None}, "'statement' is missing or empty"),
    ],
)
def test_a_row_of_a_known_dataset_that_is_wrong_is_named(tmp_path, fields, change, sentence):
    path = write(tmp_path / "m.jsonl", {**ROWS[fields][0], **change})
    with pytest.raises(ValueError, match=rf"m\.jsonl, line 1: {sentence}"):
        read("mine", f"{path},fields={fields}")


def test_wrong_numbers_are_near_the_right_one_and_always_the_same():
    for number in ("0", "7", "1005", "-3"):
        choices = files._near(number)
        assert choices == files._near(number)
        assert len(set(choices)) == 4
        assert all(abs(int(choice) - int(number)) <= max(5, abs(int(number)) // 5) for choice in choices)
    assert {files._near(str(number)).index(str(number)) for number in range(30)} == {0, 1, 2, 3}


def test_a_table_with_commas_is_read_by_its_header(tmp_path):
    text = 'statement,label,city\n"The city of Lyon is in France.",1,Lyon\n"Oslo, in short, is in Peru.",0,Oslo\n'
    (tmp_path / "cities.csv").write_text(text)
    task = read("cities", f"{tmp_path}/cities.csv,fields=cities")
    assert [(item.name, item.right) for item in task.items] == [("line 2", " True"), ("line 3", " False")]


def test_a_quote_that_is_left_open_is_named(tmp_path):
    (tmp_path / "cities.csv").write_text('statement,label\n"The city of Lyon is in France.' + "\nand on" * 30_000)
    with pytest.raises(ValueError, match=r"cities\.csv, line \d+: no table .* a quote may be left open"):
        read("cities", f"{tmp_path}/cities.csv,fields=cities")


def test_a_dataset_is_known_by_its_id_and_read_with_its_configuration_and_split(hub):
    asked = hub([{"question": f"How many of {n}?", "answer": f"#### {n}"} for n in range(200)])
    task = read("gsm8k", "hf:openai/gsm8k")
    assert asked == [("openai/gsm8k", "main", "test")]
    assert (len(task.items), task.knowledge, task.source) == (100, "contextual", "hf:openai/gsm8k")
    read("gsm8k", "hf:openai/gsm8k:socratic,split=train")
    assert asked[1] == ("openai/gsm8k", "socratic", "train")


def test_as_many_items_of_each_answer_are_taken_of_a_sorted_dataset(hub):
    hub([{"text": f"Film {n}.", "label": int(n >= 50)} for n in range(100)])
    task = read("imdb", "hf:stanfordnlp/imdb,items=20")
    assert [item.name for item in task.items] == [
        *(f"row {n}" for n in range(10)),
        *(f"row {n}" for n in range(50, 60)),
    ]


def test_no_more_rows_are_read_than_are_needed(hub):
    read_rows = []
    hub(read_rows.append(n) or {"text": f"Film {n}.", "label": n % 2} for n in range(1000))
    assert len(read("imdb", "hf:stanfordnlp/imdb,items=10").items) == 10
    assert len(read_rows) == 10


def test_rows_on_the_hub_that_make_no_item_or_repeat_one_are_left_out_and_counted(hub):
    hub([{"text": "A", "label": 0}, {"text": "A", "label": 0}, {"text": "", "label": 1}, {"text": "B", "label": 1}])
    task = read("imdb", "hf:stanfordnlp/imdb")
    assert [item.name for item in task.items] == ["row 0", "row 3"]
    assert task.note == (
        "2 rows of hf:stanfordnlp/imdb that make no item, or repeat one, are left out: row 1 repeats another one."
    )


def test_a_dataset_of_which_no_row_makes_an_item_is_refused_with_the_fault_of_the_first(hub):
    hub([{**line(), "id": 7}])
    with pytest.raises(ValueError, match="no row of hf:other/one makes an item: row 0: unknown field 'id'"):
        read("cities", "hf:other/one")


def test_a_file_may_have_any_name(tmp_path):
    assert len(read("cities", write(tmp_path / "a,b=c.jsonl", line())).items) == 1


def test_a_folder_is_read_like_a_dataset_on_the_hub(tmp_path):
    (tmp_path / "d").mkdir()
    table = pyarrow.Table.from_pylist([line(number) for number in range(4)])
    pyarrow.parquet.write_table(table, tmp_path / "d/test-00000.parquet")
    assert len(read("cities", f"hf:{tmp_path}/d").items) == 4


def test_a_dataset_without_a_field_is_refused(hub):
    hub([{"body": "x", "label": 1}])
    with pytest.raises(ValueError, match="hf:stanfordnlp/imdb has no field 'text', only body, label: name a mapping"):
        read("imdb", "hf:stanfordnlp/imdb")
    with pytest.raises(ValueError, match="hf:other/one has no field 'prompt'"):
        read("cities", "hf:other/one")


def test_what_goes_wrong_on_the_hub_is_one_sentence(hub):
    hub(ConnectionError("no route\nto the host"))
    with pytest.raises(ValueError, match=r"^the items in hf:other/one cannot be read: no route$"):
        read("cities", "hf:other/one")


def test_the_page_lists_all_fields_and_all_known_datasets():
    assert [field for field in files.OURS if f"| `{field}`" not in PAGE] == []
    for name, known in FIELDS.items():
        (row,) = [row for row in PAGE.splitlines() if row.startswith(f"| `{name}` | `")]
        labels = known.choices if isinstance(known.choices, tuple) else (known.choices,)
        for word in (known.dataset, known.prompt, known.answer, *labels):
            assert word in row
