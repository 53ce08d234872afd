import random

import pytest
import tokenizers
import transformers

from fixtures.models.tiny import byte_tokenizer
from fixtures.toy import corpus
from lib.recalibrate import cutting
from lib.recalibrate.cutting import encode, pieces

pytestmark = pytest.mark.cpu

LONG = " ".join(corpus.training_texts("0 cut", 20)) + ". Two  spaces,\n\na line - and (brackets) "
SHORT = ["ab cd", "", "e"]


def trained(before):
    """A BPE tokenizer with merges, that puts a start token before a text."""
    core = tokenizers.Tokenizer(tokenizers.models.BPE(unk_token="<unk>"))
    core.pre_tokenizer = before
    trainer = tokenizers.trainers.BpeTrainer(vocab_size=400, special_tokens=["<s>", "<unk>"], show_progress=False)
    core.train_from_iterator([LONG], trainer)
    core.post_processor = tokenizers.processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    return transformers.PreTrainedTokenizerFast(tokenizer_object=core, unk_token="<unk>")


TOKENIZERS = {
    "bytes": byte_tokenizer,
    "GPT-2": lambda: trained(tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)),
    "GPT-2 with a space before": lambda: trained(tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=True)),
    "SentencePiece": lambda: trained(tokenizers.pre_tokenizers.Metaspace(prepend_scheme="always")),
}


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_a_document_in_pieces_has_the_tokens_that_it_has_as_a_whole(kind, monkeypatch):
    tokenizer = TOKENIZERS[kind]()
    documents = [*SHORT, LONG, *SHORT, LONG[5:]]
    expected = tokenizer(documents, truncation=False, verbose=False)["input_ids"]
    monkeypatch.setattr(cutting, "PIECE", 100)
    assert [ids.tolist() for ids in encode(documents, tokenizer)] == expected


def test_of_a_document_of_which_only_the_start_is_needed_no_more_is_tokenized(monkeypatch):
    tokenizer = byte_tokenizer()
    monkeypatch.setattr(cutting, "PIECE", 100)
    (found,) = encode([LONG], tokenizer, most=150)
    whole = tokenizer(LONG)["input_ids"]
    assert 150 <= len(found) < 500 < len(whole)
    assert found.tolist() == whole[: len(found)]


def test_no_more_than_a_piece_is_tokenized_at_once(monkeypatch):
    tokenizer, sizes = byte_tokenizer(), []
    plain = cutting._plain
    monkeypatch.setattr(cutting, "PIECE", 100)
    monkeypatch.setattr(
        cutting, "_plain", lambda t, texts, **rest: sizes.append(sum(map(len, texts))) or plain(t, texts, **rest)
    )
    documents = [LONG[:n] for n in random.Random(0).choices(range(200), k=50)] + [LONG.replace(" ", "")]
    assert len(list(encode(documents, tokenizer))) == 51
    assert max(sizes) < 200


def test_pieces_together_are_the_document():
    for document in (LONG, LONG.replace(" ", ""), ""):
        assert "".join(pieces(document, " ")) == document
