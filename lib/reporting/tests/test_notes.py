import json
from dataclasses import replace

import pytest

from lib.checkpoints.provenance import versions
from lib.reporting.notes import libraries, notes, tokenizer_in_short, tokenizers
from lib.reporting.tests.test_assemble import PROVENANCE, SETTINGS, record
from lib.texts import parse

pytestmark = pytest.mark.cpu

PLAIN = {"adds_bos": True, "adds_eos": False, "bos_token": "<s>", "vocabulary": 260, "embedding": 260}


def of(add_bos_token=None, **changes):
    arguments = {**PROVENANCE["arguments"], "add_bos_token": add_bos_token}
    return record(1, tokenizer_facts={**PLAIN, **changes}, arguments=arguments)


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
    (sentence,) = notes(settings, {"rope": record(1)})
    assert sentence.endswith("0 with fewer than 8 words are left out, 1 are taken to count and 1 to score.")
    assert notes(settings, {}) == []


def test_texts_that_are_gone_cost_no_other_note(tmp_path):
    settings = replace(SETTINGS, texts=parse(str(tmp_path / "gone.parquet")))
    assert notes(settings, {"rope": of(adds_eos=True)})[0].startswith("The tokenizer of rope adds EOS")
