import pytest

from fixtures.models.tiny import byte_tokenizer
from lib.models.tokens import tokenize, tokenizer_signature
from lib.texts.reading import Text

pytestmark = pytest.mark.cpu


def test_a_text_too_short_is_refused_by_name():
    short = Text("shorty", "a", "count", "abc")
    assert tokenize([short], byte_tokenizer(), 4).shape == (1, 4)
    with pytest.raises(ValueError, match="'shorty' has 4 tokens, 5 are needed"):
        tokenize([short], byte_tokenizer(), 5)


def test_the_first_token_is_the_tokenizers_own():
    ids = tokenize([Text("a", "a", "count", "abc")], byte_tokenizer(), 3)
    assert ids[0, 0] == byte_tokenizer().bos_token_id


def test_tokenizers_that_cut_differently_have_different_signatures():
    plain, other = byte_tokenizer(), byte_tokenizer()
    other._tokenizer.post_processor = type(other._tokenizer.post_processor)(single="$A", special_tokens=[])
    assert tokenizer_signature(plain) == tokenizer_signature(byte_tokenizer())
    assert tokenizer_signature(plain) != tokenizer_signature(other)
