import json
from dataclasses import replace

import pytest

from lib import records
from lib.checkpoints.provenance import versions
from lib.reporting.notes import libraries, notes, other_code, tokenizer_in_short, tokenizers, without_bos
from lib.reporting.tests.test_assemble import PROVENANCE, SETTINGS, record
from lib.tasks import load
from lib.texts import parse

pytestmark = pytest.mark.cpu

PLAIN = {"adds_bos": True, "adds_eos": False, "bos_token": "<s>", "vocabulary": 260, "embedding": 260}


def of(add_bos_token=None, **changes):
    arguments = {**PROVENANCE["arguments"], "add_bos_token": add_bos_token}
    return record(1, tokenizer_facts={**PLAIN, **changes}, arguments=arguments)


def of_norms(**by_arm):
    return lambda experiment: by_arm if experiment == "norms" else {}


def measured_by(code):
    return record(1).assign_attrs(settings=json.dumps({"experiment": "norms", "code": code}))


def test_other_code_is_named_with_the_experiments_and_arms_that_it_measured():
    mine, old = measured_by(records.code_version()), measured_by("0123")
    assert other_code({"norms": {"rope": mine, "drope": record(1).drop_attrs()}}) == []
    found = other_code({"norms": {"rope": old, "drope": old, "dropped": mine}, "disruption": {"rope": old}})
    assert found == [
        f"Code 0123 measured norms of rope and drope; disruption of rope, and is {records.code_version()} here: what "
        "was measured is judged as it is, and may come out otherwise today."
    ]
    assert notes(SETTINGS, of_norms(rope=old))[0].startswith("Code 0123 measured norms of rope, and is")


def test_a_tokenizer_that_puts_bos_before_a_text_and_fits_its_model_is_not_mentioned():
    assert tokenizers({"rope": of(), "drope": of()}) == []


def test_a_record_without_these_facts_says_nothing():
    assert tokenizers({"rope": record(1), "drope": record(1).drop_attrs()}) == []
    assert tokenizer_in_short(None) == "not recorded"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"adds_bos": False},
            "adds no BOS token, so every text begins with a token of its own (add_bos_token=True adds it)",
        ),
        (
            {"adds_bos": False, "add_bos_token": False},
            "adds no BOS token, so every text begins with a token of its own, as add_bos_token=False asks",
        ),
        (
            {"adds_bos": False, "bos_token": None},
            "has no BOS token, so every text begins with a token of its own",
        ),
        (
            {"adds_eos": True},
            "adds EOS after a text, which is read only in a text that ends with it after --max-tokens",
        ),
        (
            {"vocabulary": 300},
            "has 300 token ids and the embedding 260 rows: a text with one of the others is refused",
        ),
        ({"vocabulary": 200}, "has 200 token ids and the embedding 260 rows: no text reads the others"),
    ],
)
def test_what_a_tokenizer_does_is_said(changes, sentence):
    assert tokenizers({"rope": of(), "drope": of(**changes)}) == [f"The tokenizer of drope {sentence}."]


def computed_by(torch):
    return record(1, versions={**versions(), "torch": torch})


def test_libraries_are_named_only_where_they_are_not_those_that_are_installed():
    own = versions()["torch"]
    assert libraries({"rope": record(1), "drope": computed_by(own), "dropped": record(1).drop_attrs()}) == []
    start, end = "torch computed", f"and is installed here in version {own}: last digits may differ."
    assert libraries({"rope": computed_by("2.0"), "drope": computed_by("2.0")}) == [
        f"{start} rope and drope in version 2.0, {end}"
    ]
    assert libraries({"rope": computed_by("2.0"), "drope": computed_by(own)}) == [
        f"{start} rope in version 2.0; drope in version {own}, {end}"
    ]


def test_arms_with_the_same_tokenizer_share_a_sentence_and_the_last_checkpoint_stands_for_a_series():
    odd = of(adds_bos=False, bos_token=None, adds_eos=True)
    (sentence,) = tokenizers({"rope": odd, "drope@step5": odd, "drope": odd, "dropped": odd})
    assert sentence.startswith("The tokenizer of rope, drope and dropped has no BOS token, so every text begins")
    assert "; it adds EOS" in sentence


def test_a_tokenizer_is_named_in_short():
    assert tokenizer_in_short({**PLAIN, "adds_eos": True}) == "adds BOS, adds EOS, 260 ids for 260 rows"


def test_the_notes_say_which_rows_were_taken(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_text("\n".join(json.dumps({"body": "word " * 8 + str(i)}) for i in range(4)))
    settings = replace(SETTINGS, texts=parse(f"{path},text=body,count=1,score=1"))
    (sentence,) = notes(settings, of_norms(rope=record(1)))
    assert sentence.endswith("0 with fewer than 8 words are left out, 1 are taken to count and 1 to score.")
    assert notes(settings, of_norms()) == []


def test_texts_that_are_gone_cost_no_other_note(tmp_path):
    settings = replace(SETTINGS, texts=parse(str(tmp_path / "gone.parquet")))
    assert notes(settings, of_norms(rope=of(adds_eos=True)))[0].startswith("The tokenizer of rope adds EOS")


def test_rows_that_a_task_leaves_out_are_noted(monkeypatch):
    left_out = replace(load("capitals"), note="2 rows are left out.")
    monkeypatch.setitem(vars(settings := replace(SETTINGS)), "asked", (load("passkey"), left_out))
    assert notes(settings, of_norms(rope=record(1)))[-1] == "Task capitals: 2 rows are left out."
    assert notes(settings, of_norms()) == []


GEMMA = {**PLAIN, "adds_bos": False, "bos_token": "<bos>", "expects_bos": "<bos>", "gain_of_bos": 2.68}


def test_an_expected_bos_that_is_missing_is_warned_of_once_for_all_arms_with_its_worth_and_its_remedy():
    facts = {"rope": GEMMA, "drope": {**GEMMA, "gain_of_bos": -0.1}, "linear": GEMMA, "dropped": None}
    assert without_bos(facts) == [
        "rope and drope: texts are read without the BOS token <bos> that the model expects, and with it their "
        "beginnings lose 2.7 nats per token less. add_bos_token=True adds it, and add_bos_token=False says that none "
        "is meant."
    ]


@pytest.mark.parametrize(
    ("changes", "warned"),
    [
        ({}, True),
        ({"gain_of_bos": 0.0}, True),
        ({"gain_of_bos": None}, True),
        ({"expects_bos": None}, True),
        ({"expects_bos": None, "gain_of_bos": 0.49}, False),
        ({"expects_bos": None, "gain_of_bos": None}, False),
    ],
)
def test_bos_is_missed_if_the_files_name_it_or_if_it_is_worth_half_a_nat(changes, warned):
    assert bool(without_bos({"rope": {**GEMMA, **changes}})) is warned


def test_a_bos_that_saves_nothing_is_named_without_a_number():
    (sentence,) = without_bos({"rope": {**GEMMA, "gain_of_bos": -0.3}})
    assert "that the model expects. add_bos_token=True adds it" in sentence


def test_an_arm_that_reads_bos_or_is_asked_not_to_is_not_warned_of():
    asked = {key: value for key, value in GEMMA.items() if key != "gain_of_bos"}
    assert without_bos({"rope": PLAIN, "drope": PLAIN, "linear": GEMMA}) == []
    assert without_bos({"rope": asked, "drope": asked}) == []


def test_arms_that_differ_in_bos_are_warned_of():
    asked = {key: value for key, value in GEMMA.items() if key != "gain_of_bos"}
    assert without_bos({"rope": PLAIN, "continued": PLAIN, "drope@step5": asked, "drope": asked}) == [
        "rope and continued read every text after BOS and drope without it: give both the same add_bos_token."
    ]


def test_a_tokenizer_that_does_not_know_the_bos_of_its_model_must_be_replaced():
    (sentence,) = without_bos({"rope": {**GEMMA, "bos_token": None}})
    assert "tokenizer=ID_OR_FOLDER gives a tokenizer that adds it" in sentence
    assert "the BOS token <bos>" in sentence
