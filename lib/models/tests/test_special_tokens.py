import pytest
import transformers
from tokenizers.processors import TemplateProcessing

from fixtures.models.tiny import byte_tokenizer
from lib.models.special_tokens import set_bos, tokenizer_facts

pytestmark = pytest.mark.cpu

BOS, EOS = ("<s>", 0), ("</s>", 1)


def adding(template):
    """A tokenizer that puts these special tokens around a text, `$A`."""
    tokenizer = byte_tokenizer()
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single=template, special_tokens=[BOS, EOS])
    return tokenizer


@pytest.mark.parametrize(
    ("template", "bos", "eos"),
    [
        *(("<s> $A", True, False), ("$A", False, False)),
        *(("$A </s>", False, True), ("<s> $A </s>", True, True)),
    ],
)
def test_it_is_known_what_a_tokenizer_adds(template, bos, eos):
    facts = {"adds_bos": bos, "adds_eos": eos, "bos_token": "<s>", "vocabulary": 259, "embedding": 260}
    assert tokenizer_facts(adding(template), 260) == {**facts, "expects_bos": "<s>"}


def test_a_tokenizer_may_have_no_bos_and_more_ids_than_the_embedding_has_rows():
    tokenizer = adding("$A")
    tokenizer.add_tokens(["one", "more"])
    tokenizer.bos_token = None
    facts = tokenizer_facts(tokenizer, 260)
    assert (facts["bos_token"], facts["adds_bos"], facts["vocabulary"]) == (None, False, 261)


@pytest.mark.parametrize("template", ["<s> $A", "$A", "$A </s>", "<s> $A </s>", "<s> <s> $A"])
@pytest.mark.parametrize("add", [True, False])
def test_bos_is_added_once_or_not_at_all_and_eos_stays(template, add):
    tokenizer = adding(template)
    (letter,) = tokenizer("a", add_special_tokens=False)["input_ids"]
    set_bos(tokenizer, add, "m")
    assert tokenizer("a")["input_ids"] == [*[0] * add, letter, *[1] * template.endswith("</s>")]


def test_a_tokenizer_that_was_changed_is_saved_and_loaded_so(tmp_path):
    tokenizer = byte_tokenizer()
    set_bos(tokenizer, False, "m")
    tokenizer.save_pretrained(tmp_path)
    assert not tokenizer_facts(transformers.AutoTokenizer.from_pretrained(tmp_path), None)["adds_bos"]


def test_a_tokenizer_without_bos_cannot_add_it():
    tokenizer = adding("$A")
    tokenizer.bos_token = None
    set_bos(tokenizer, False, "m")
    with pytest.raises(ValueError, match="add_bos_token=True: the tokenizer of m has no BOS token to add"):
        set_bos(tokenizer, True, "m")


class Stubborn:
    """A tokenizer in Python that heeds no setting."""

    bos_token, bos_token_id = "<s>", 0

    def __call__(self, text, add_special_tokens=True):
        return {"input_ids": [7]}


def test_a_tokenizer_that_does_not_obey_is_refused():
    with pytest.raises(ValueError, match="the tokenizer of m does not obey add_bos_token=True"):
        set_bos(Stubborn(), True, "m")


def model(bos, eos, pad=None, *, named=True, template=None, stated=None):
    """A tokenizer that adds no BOS, and a config, both with these tokens; `named` says that the tokenizer knows BOS."""
    tokenizer = adding("$A")
    tokenizer.add_tokens([token for token in (bos, eos, pad) if token], special_tokens=True)
    tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token = bos if named else None, eos, pad
    tokenizer.chat_template = template
    if stated is not None:
        tokenizer.init_kwargs["add_bos_token"] = stated
    ids = dict(zip(("bos_token_id", "eos_token_id"), tokenizer.convert_tokens_to_ids([bos, eos]), strict=True))
    return tokenizer, transformers.LlamaConfig(**ids)


TURNS = "{% for message in messages %}<|im_start|>{{ message['role'] }}<|im_end|>{% endfor %}"
EXPECTED = {
    "Gemma": (model("<bos>", "<eos>", "<pad>"), "<bos>"),
    "Gemma with a tokenizer that knows no BOS": (model("<bos>", "<eos>", "<pad>", named=False), "<bos>"),
    "Llama-2": (model("<s>", "</s>"), "<s>"),
    "Llama-2 padded with EOS": (model("<s>", "</s>", "</s>"), "<s>"),
    "Llama-3": (model("<|begin_of_text|>", "<|eot_id|>", template="{{ bos_token }}<|eot_id|>"), "<|begin_of_text|>"),
    "Mistral": (model("<s>", "</s>", template="<s>{{ bos_token }}[INST]"), "<s>"),
    "OPT": (model("</s>", "</s>", "<pad>", stated=True), "</s>"),
    "SmolLM2": (model("<|endoftext|>", "<|endoftext|>"), None),
    "SmolLM2-Instruct": (model("<|im_start|>", "<|im_end|>", "<|im_end|>", template=TURNS), None),
    "Qwen2": (model("<|endoftext|>", "<|endoftext|>", "<|endoftext|>", named=False), None),
    "Qwen2-Instruct": (model("<|endoftext|>", "<|im_end|>", "<|endoftext|>", named=False, template=TURNS), None),
    "GPT-2": (model("<|endoftext|>", "<|endoftext|>"), None),
    "Pythia": (model("<|endoftext|>", "<|endoftext|>"), None),
    "Yi": (model("<|startoftext|>", "<|endoftext|>", "<unk>", stated=False), None),
}


@pytest.mark.parametrize(("made", "token"), EXPECTED.values(), ids=EXPECTED)
def test_a_model_expects_bos_if_it_has_a_token_for_nothing_else(made, token):
    tokenizer, config = made
    assert tokenizer_facts(tokenizer, 300, config)["expects_bos"] == token


@pytest.mark.parametrize("eos", [None, [2, 0], [0], 0, "0"])
def test_a_list_of_eos_tokens_is_looked_through(eos):
    tokenizer = adding("$A")
    config = transformers.LlamaConfig(bos_token_id=0)
    config.__dict__["eos_token_id"] = eos
    assert tokenizer_facts(tokenizer, 300, config)["expects_bos"] == ("<s>" if eos in (None, "0") else None)


@pytest.mark.parametrize("bos", [None, 10**6, -1, "0", [0]])
def test_a_bos_that_no_tokenizer_has_is_none(bos):
    tokenizer, config = adding("$A"), transformers.LlamaConfig()
    tokenizer.bos_token, config.__dict__["bos_token_id"] = None, bos
    assert tokenizer_facts(tokenizer, 300, config)["expects_bos"] is None
