"""Files of a checkpoint that are broken in any way: one sentence, or the right figure, and never another exception."""

import copy
import json
from functools import reduce

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fixtures.models.tiny import byte_tokenizer, save, tiny_llama
from lib.checkpoints.arguments import ModelArguments
from lib.checkpoints.provenance import identity, read_config, sizes
from lib.measuring.arms import quiet
from lib.models.loading import load
from lib.models.special_tokens import tokenizer_facts
from lib.models.tokens import load_tokenizer, rows_in_config, tokenize
from lib.probing.anatomy import survey
from lib.texts.reading import Text

pytestmark = pytest.mark.cpu

MODEL = tiny_llama(layers=1)
TEXT = Text("a", "a", "count", "the quick brown fox jumps over a lazy dog")
MAP = {
    "bos_token": {"content": "<s>", "lstrip": False, "normalized": False, "rstrip": False, "single_word": False},
    "eos_token": "</s>",
    "additional_special_tokens": ["<x>"],
}
DROPPED = object()
NUMBERS = (True, -1, 0, 0.5, 1e308, float("nan"), 10**11, 10**30)
ODD = (DROPPED, None, *NUMBERS, "x", "", "\ud800", [], {}, [1, "a"], [None], {"a": {"b": 1}})
BROKEN = (b"", b"[]", b"null", b"3", b"{}", b"\xff\xfe\x00", b"[" * 50_000, b'{"a":' * 5_000)
BROKEN_BY = settings(
    max_examples=200,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = save(MODEL, tmp_path_factory.mktemp("broken"))
    (folder / "special_tokens_map.json").write_text(json.dumps(MAP))
    return folder


@st.composite
def broken(draw, original):
    """A file that is cut short, is something else, or has a value somewhere that nobody expects, alone or very deep."""
    kind = draw(st.sampled_from(["value"] * 8 + ["cut", "other"]))
    if kind == "other":
        return draw(st.sampled_from(BROKEN))
    if kind == "cut":
        return original[: draw(st.integers(0, len(original) - 1))]
    tree = json.loads(original)
    *way, last = draw(st.sampled_from(list(_ways(tree))))
    value = draw(st.sampled_from(ODD))
    if value is DROPPED:
        del reduce(lambda node, key: node[key], way, tree)[last]
    else:
        deep = draw(st.sampled_from([0, 0, 0, 1, 50]))
        reduce(lambda node, key: node[key], way, tree)[last] = reduce(lambda node, _: [node], range(deep), value)
    return json.dumps(tree).encode()


def _ways(node, way=()):
    """The keys that lead to every value; of a vocabulary and other long lists to the first ones."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in list(items)[:30]:
        yield (*way, key)
        yield from _ways(value, (*way, key))


def outcome(folder, name, content, use):
    """What `use` makes of the folder while the file has this content, or the sentence that it raises."""
    original = (folder / name).read_bytes()
    (folder / name).write_bytes(content)
    try:
        with quiet():
            return use(ModelArguments(str(folder)))
    except ValueError as error:
        sentence = str(error)
        assert "\n" not in sentence
        assert 10 < len(sentence.encode()) < 600
        return sentence
    finally:
        (folder / name).write_bytes(original)


def measured(args):
    raw = read_config(args)
    identity(args)
    arm = load(args, device="cpu")
    tokenizer_facts(arm.tokenizer, rows_in_config(raw), arm.model.config)
    return survey(arm.model).sizes, sizes(raw)


def cut(args):
    tokenizer = load_tokenizer(args)
    ids = tokenize([TEXT], tokenizer, 4, 260)
    return tokenizer_facts(tokenizer, 260, copy.deepcopy(MODEL.config)), ids


@BROKEN_BY
@given(data=st.data())
def test_a_broken_config_ends_in_a_sentence_or_in_the_sizes_of_the_weights(folder, data):
    content = data.draw(broken((folder / "config.json").read_bytes()))
    found = outcome(folder, "config.json", content, measured)
    if not isinstance(found, str):
        in_weights, in_config = found
        assert in_weights == survey(MODEL).sizes
        assert in_config["num_attention_heads"] in (None, in_weights.heads)


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"])
def test_a_broken_tokenizer_ends_in_a_sentence_or_in_ids_of_the_model(folder, name):
    original = (folder / name).read_bytes()

    @BROKEN_BY
    @given(content=broken(original))
    def breaks(content):
        found = outcome(folder, name, content, cut)
        if not isinstance(found, str):
            facts, ids = found
            assert ids.shape == (1, 4)
            assert 0 <= int(ids.min()) <= int(ids.max()) < 260
            assert facts["bos_token"] is None or isinstance(facts["bos_token"], str)

    breaks()


ABSURD = {
    "num_hidden_layers": (0, -1, 1e308, 10**11, 20_000, "2", True),
    "vocab_size": (0, -260, 10**11, 1e308, "x", [260]),
    "hidden_size": (0, -1, 10**11, 10**7, 0.5),
    "num_attention_heads": (0, -4, 1e308, 10**11),
    "num_key_value_heads": (0, -4, 10**11),
    "head_dim": (0, -16, 10**11),
    "intermediate_size": (-1, 10**11, 1e308),
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in ABSURD.items() for value in values])
def test_an_absurd_size_ends_in_a_sentence_before_anything_is_allocated(folder, name, value, monkeypatch):
    config = json.loads((folder / "config.json").read_text()) | {name: value}
    loaded = []
    monkeypatch.setattr("transformers.AutoModelForCausalLM.from_pretrained", lambda *_, **__: loaded.append(1))
    found = outcome(folder, "config.json", json.dumps(config).encode(), measured)
    assert "the config has" in found or "config.json asks for" in found
    assert name in found or "numbers, and all weights have" in found
    assert not loaded


@pytest.mark.parametrize(
    ("given", "kv_heads", "dim"),
    [
        ({"num_key_value_heads": [2, 2]}, 2, 12),
        ({"num_key_value_heads": [2, 4]}, None, 12),
        ({"num_key_value_heads": None, "head_dim": [16, 16]}, 4, 16),
        ({"head_dim": [16, 8]}, 4, None),
        ({"num_key_value_heads": [], "head_dim": None}, None, 12),
        ({"num_attention_heads": [4, 2], "num_key_value_heads": [0, 2]}, None, None),
    ],
)
def test_sizes_that_differ_from_layer_to_layer_are_not_known_and_equal_ones_are(given, kv_heads, dim):
    known = sizes({"num_attention_heads": 4, "hidden_size": 48, **given})
    assert (known["num_key_value_heads"], known["head_dim"]) == (kv_heads, dim)


def test_a_tokenizer_that_panics_on_a_text_gets_a_sentence():
    class Panic(BaseException):
        """As the library's Rust code raises."""

    class Tokenizer:
        def __call__(self, text, **options):
            raise Panic("no entry found for key")

    with pytest.raises(ValueError, match=r"the tokenizer cannot cut the text 'a' \(no entry found for key\)"):
        tokenize([TEXT], Tokenizer(), 4)
    assert tokenize([TEXT], byte_tokenizer(), 4).shape == (1, 4)
