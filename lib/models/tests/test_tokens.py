import pytest
import transformers

from fixtures.models.tiny import as_arm, byte_tokenizer, tiny_llama
from lib.checkpoints.arguments import ModelArguments
from lib.measuring import measure_norms
from lib.models import tokens
from lib.models.loading import load
from lib.models.special_tokens import set_bos
from lib.models.tokens import load_tokenizer, signature, tokenize
from lib.recalibrate import texts as recalibrating
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


@pytest.mark.parametrize("role", ["count", "score"])
def test_texts_that_differ_only_beyond_the_tokens_that_are_used_are_refused(role):
    texts = [Text("one", "a", "count", "abcdef"), Text("other", "a", role, "abcxyz")]
    assert len(tokenize(texts, byte_tokenizer(), 5)) == 2
    with pytest.raises(ValueError, match="'one' and 'other' begin with the same 4 tokens, and no more are used"):
        tokenize(texts, byte_tokenizer(), 4)


def test_of_a_very_long_text_only_the_beginning_is_split(monkeypatch):
    split, plain = [], byte_tokenizer()
    monkeypatch.setattr(tokens, "LONG", 1000)

    def tokenizer(text, **options):
        split.append(len(text))
        return plain(text, **options)

    text = "".join(f"{i} sheep. " for i in range(10_000))
    assert tokenize([Text("long", "a", "count", text)], tokenizer, 16).tolist() == [plain(text)["input_ids"][:16]]
    assert split == [16 * tokens.LONG_TOKEN]


def test_a_very_long_text_of_few_tokens_is_split_whole(monkeypatch):
    monkeypatch.setattr(tokens, "LONG", 10)
    monkeypatch.setattr(tokens, "LONG_TOKEN", 1)
    read = []

    def tokenizer(text, **_):
        read.append(len(text))
        return {"input_ids": [text.count("a"), *range(len(text) // 10)]}

    assert tokenize([Text("long", "a", "count", "a" * 90)], tokenizer, 8).tolist() == [[90, *range(7)]]
    assert read == [10, 90]


def of(tokenizer):
    return signature(tokenize([Text("a", "a", "count", "abc")], tokenizer, 3))


def test_tokenizers_that_cut_differently_have_different_signatures():
    plain, other = byte_tokenizer(), byte_tokenizer()
    other._tokenizer.post_processor = type(other._tokenizer.post_processor)(single="$A", special_tokens=[])
    assert of(plain) == of(byte_tokenizer())
    assert of(plain) != of(other)


def test_a_token_that_no_text_holds_makes_no_other_signature():
    padded = byte_tokenizer()
    padded.add_special_tokens({"pad_token": "<pad>"})
    assert len(padded) == len(byte_tokenizer()) + 1
    assert of(padded) == of(byte_tokenizer())


SMALL = Text("odd", "a", "count", "abc")


def test_a_token_beyond_the_embedding_is_refused_by_the_name_of_its_text():
    largest = int(tokenize([SMALL], byte_tokenizer(), 4).max())
    assert tokenize([SMALL], byte_tokenizer(), 4, embedding=largest + 1).shape == (1, 4)
    with pytest.raises(ValueError, match=f"'odd' holds the token id {largest}, .* embedding has {largest} rows"):
        tokenize([SMALL], byte_tokenizer(), 4, embedding=largest)


def test_a_token_beyond_the_embedding_is_refused_before_a_model_meets_it():
    arm = as_arm(tiny_llama(vocab_size=32))
    with pytest.raises(ValueError, match=r"holds the token id \d+, and the model's embedding has 32 rows"):
        measure_norms(arm, tokenize([SMALL], arm.tokenizer, 4), [SMALL])


@pytest.mark.parametrize("add", [True, False])
def test_an_arm_reads_texts_with_or_without_bos_as_its_arguments_say(tiny_folder, add):
    arm = load(ModelArguments(str(tiny_folder("rope")), add_bos_token=add), device="cpu")
    assert (int(tokenize([SMALL], arm.tokenizer, 2)[0, 0]) == arm.tokenizer.bos_token_id) is add
    assert arm.provenance["arguments"]["add_bos_token"] is add


def test_recalibration_packs_its_texts_with_the_arms_own_tokenizer(tiny_folder, tmp_path):
    (tmp_path / "t.jsonl").write_text('{"text": "abcdefgh"}\n')
    tokenizer = load_tokenizer(ModelArguments(str(tiny_folder("rope")), add_bos_token=False))
    documents, field = recalibrating.read([str(tmp_path / "t.jsonl")])
    (row,) = recalibrating.rows(documents, field, tokenizer, 9)
    assert tokenizer.bos_token_id not in row["input_ids"]
    assert row["input_ids"][-1] == tokenizer.eos_token_id


def test_a_tokenizer_is_taken_from_elsewhere(tiny_folder, tmp_path):
    model = tiny_folder("rope")
    other = byte_tokenizer()
    set_bos(other, False, "other")
    other.save_pretrained(tmp_path / "other")
    args = ModelArguments(str(model), tokenizer=str(tmp_path / "other"))
    assert of(load_tokenizer(args)) == of(other)
    assert of(load_tokenizer(args)) != of(byte_tokenizer())


def test_a_tokenizer_elsewhere_that_is_none_gets_a_sentence(tiny_folder, tmp_path):
    model = str(tiny_folder("rope"))
    with pytest.raises(ValueError, match="holds no tokenizer"):
        load_tokenizer(ModelArguments(model, tokenizer=str(tmp_path)))
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(ValueError, match=r"^tokenizer=.* is not usable"):
        load_tokenizer(ModelArguments(model, tokenizer=str(tmp_path)))


@pytest.mark.parametrize("config", [None, '{"tokenizer_class": "LlamaTokenizer"}'])
def test_a_bare_sentencepiece_model_is_refused_since_transformers_cuts_texts_otherwise(tiny_folder, tmp_path, config):
    folder = tiny_folder("rope")
    (folder / "tokenizer.json").rename(folder / "tokenizer.model")
    (folder / "tokenizer_config.json").unlink()
    if config:
        (folder / "tokenizer_config.json").write_text(config)
    sentence = r"holds its tokenizer as tokenizer\.model alone.*: put the model's tokenizer\.json beside it"
    with pytest.raises(ValueError, match=sentence):
        load_tokenizer(ModelArguments(str(folder)))
    with pytest.raises(ValueError, match=sentence):
        load_tokenizer(ModelArguments("org/model", tokenizer=str(folder)))


def test_the_tokenizer_of_a_subfolder_may_lie_around_it(tiny_folder, tmp_path):
    own = tiny_folder("own")
    args = ModelArguments(str(tmp_path), subfolder="own")
    assert of(load_tokenizer(args)) == of(byte_tokenizer())
    other = byte_tokenizer()
    set_bos(other, False, "other")
    other.save_pretrained(tmp_path)
    assert of(load_tokenizer(args)) == of(byte_tokenizer())
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (own / name).unlink()
    assert of(load_tokenizer(args)) == of(other)


@pytest.mark.parametrize("there", ["sub", None])
def test_the_tokenizer_of_a_subfolder_of_the_hub_may_lie_around_it_too(monkeypatch, there):
    asked = []

    def from_pretrained(name, *, subfolder=None, revision=None, **options):
        asked.append((name, subfolder, revision))
        if subfolder != there:
            raise OSError("no tokenizer here")
        return byte_tokenizer()

    monkeypatch.setattr(transformers.AutoTokenizer, "from_pretrained", from_pretrained)
    monkeypatch.setattr(tokens, "read_config", lambda args: {"model_type": "llama"})
    args = ModelArguments("org/model", subfolder="sub", revision="v1")
    assert of(load_tokenizer(args)) == of(byte_tokenizer())
    assert asked[-1] == ("org/model", there, "v1")
    there = "nowhere"
    with pytest.raises(ValueError, match=r"org/model has no usable tokenizer \(no tokenizer here\)"):
        load_tokenizer(args)
