from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.checkpoints.arguments import DTYPES, ModelArguments, parse, scaling

pytestmark = pytest.mark.cpu

BAD = ("on", "yarn", "yarn:", "yarn:4x", "yarn:1", "yarn:0.5", "yarn:-4", "yarn:inf", "yarn:nan", "longrope:4", ":4")
NAMES = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_./", min_size=1, max_size=20)


@given(
    st.builds(
        ModelArguments,
        pretrained=NAMES,
        revision=st.none() | NAMES,
        dtype=st.none() | st.sampled_from(DTYPES),
        load_in_4bit=st.booleans(),
        bnb_4bit_quant_type=st.sampled_from(["nf4", "fp4"]),
        attn_implementation=st.none() | st.just("eager"),
        trust_remote_code=st.booleans(),
        rope=st.sampled_from([None, "off", "linear:4", "dynamic:1.5", "yarn:8", "ntk:1e3"]),
        tokenizer=st.none() | NAMES,
        add_bos_token=st.sampled_from([None, True, False]),
    )
)
def test_what_is_written_is_read_back(arguments):
    assert parse(str(arguments)) == arguments


@given(
    st.builds(
        ModelArguments,
        package=NAMES,
        file=NAMES,
        sha256=st.none() | st.just("0" * 64),
        peft=st.none() | NAMES,
        rope=st.sampled_from([None, "off", "yarn:8"]),
    )
)
def test_what_is_written_of_a_package_is_read_back(arguments):
    assert parse(str(arguments)) == arguments


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("some/model", "some/model"),
        ("runs/a,gguf_file=b.gguf", "runs/a/b.gguf"),
        ("package=weights,file=b.gguf", "weights/b.gguf"),
        ("some/model,peft=runs/adapter", "some/model + runs/adapter"),
    ],
)
def test_a_model_has_a_name_to_be_shown(text, name):
    assert parse(text).name == name


def test_arguments_tell_whether_the_weights_are_gguf(tmp_path):
    (tmp_path / "folder.gguf").mkdir()
    texts = ("m", "m.gguf", "m,gguf_file=a.gguf", "package=p,file=a.gguf", str(tmp_path / "folder.gguf"))
    assert [parse(text).is_gguf for text in texts] == [False, True, True, True, False]


def test_a_bare_id_is_pretrained():
    assert parse("meta-llama/Llama-2-7b-hf") == ModelArguments("meta-llama/Llama-2-7b-hf")
    assert parse("some/model,dtype=float32").dtype == "float32"


@pytest.mark.parametrize(
    "path",
    ["runs/lr=0.1/checkpoint-4000", "runs/lr=0.1,wd=0.2/checkpoint-4000", "a,b/c", "/x/dtype=3,k/m", "runs/lr=0.1/*"],
)
@pytest.mark.parametrize("key", ["", "pretrained="])
def test_equals_signs_and_commas_of_a_path_belong_to_it(path, key):
    assert parse(f"{key}{path},dtype=bfloat16") == ModelArguments(path, dtype="bfloat16")
    assert parse(str(ModelArguments(path, rope="off"))) == ModelArguments(path, rope="off")
    assert parse(f"org/model,tokenizer={path},rope=off") == ModelArguments("org/model", tokenizer=path, rope="off")


@pytest.mark.parametrize("name", ["lr=0.1", "a,b", "lr=0.1,wd=0.2"])
def test_a_folder_that_is_there_may_have_any_name(tmp_path, monkeypatch, name):
    (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    assert parse(f"{name},rope=off") == ModelArguments(name, rope="off")


@pytest.mark.parametrize(("short", "full"), [("bf16", "bfloat16"), ("fp16", "float16"), ("fp32", "float32")])
def test_number_formats_have_short_names(short, full):
    assert parse(f"org/model,dtype={short}") == ModelArguments("org/model", dtype=full)


def test_hyphens_and_underscores_are_the_same():
    assert parse("pretrained=m,load-in-4bit=True") == parse("pretrained=m,load_in_4bit=true")


def test_a_mapping_is_read_like_a_string():
    assert parse({"pretrained": "m", "load_in_8bit": True}) == parse("m,load_in_8bit=True")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("pretrained=m,dtyp=float32", "did you mean 'dtype'"),
        ("pretrained=m,load_in_4bits=True", "did you mean 'load_in_4bit'"),
        *((f"m,rope={rope}", f"'rope' must be off, or one of linear:F, .* F above 1, not '{rope}'") for rope in BAD),
        ("pretrained=m,load_in_4bit=maybe", "must be True or False"),
        ("m,add_bos_token=perhaps", "must be True or False"),
        ("m,tokenizer=", "is empty"),
        ("pretrained=m,dtype=int3", "must be one of float32, bfloat16, float16, auto"),
        ("pretrained=m,load_in_4bit=True,bnb_4bit_quant_type=nf5", "must be one of nf4, fp4"),
        ("pretrained=m,load_in_4bit=True,load_in_8bit=True", "exclude each other"),
        ("pretrained=m,pretrained=n", "given twice"),
        ("pretrained=m,revision=", "is empty"),
        ("pretrained=m,eager", "has no value"),
        ("dtype=float32", "need pretrained"),
        ("", "is empty"),
        ("m,package=p,file=a.gguf", "exclude each other"),
        ("package=p", "package and file belong together: write package=NAME,file=NAME.gguf"),
        ("m,file=a.gguf", "belong together"),
        ("package=p,file=a.gguf,gguf_file=b.gguf", "name the file of a package with file="),
        (f"m,sha256={'0' * 64}", "sha256 is the checksum of a GGUF file"),
        ("m.gguf,sha256=123", "must be 64 hexadecimal digits, not '123'"),
    ],
)
def test_wrong_arguments_get_a_sentence(text, sentence):
    with pytest.raises(ValueError, match=sentence):
        parse(text)


@given(st.text(max_size=40))
def test_no_text_makes_the_parser_break(text):
    with suppress(ValueError):  # any other exception fails
        assert parse(text).pretrained


def test_a_rescaling_is_a_name_and_a_factor():
    assert scaling("yarn:4") == ("yarn", 4.0)
    assert [parse(f"m{rope}").rescaled for rope in ("", ",rope=off", ",rope=ntk:2")] == [False, False, True]


def test_bos_is_added_left_out_or_as_the_tokenizer_has_it():
    assert [parse(f"m{a}").add_bos_token for a in ("", ",add-bos-token=True", ",add_bos_token=0")] == [
        None,
        True,
        False,
    ]


def test_quantization_has_a_name():
    assert [parse(f"m{a}").quantization for a in ("", ",load_in_4bit=1", ",load_in_8bit=1")] == ["none", "nf4", "int8"]


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ("org/m,subfolder=../elsewhere", "subfolder=../elsewhere is no folder within org/m"),
        ("org/m,subfolder=/etc", "subfolder=/etc is no folder within org/m"),
        ("a.gguf,subfolder=b", "subfolder belongs to pretrained=FOLDER_OR_ID"),
        ("package=a,file=b.gguf,subfolder=c", "subfolder belongs to pretrained=FOLDER_OR_ID"),
    ],
)
def test_a_subfolder_lies_within_a_folder_or_an_id(given, fault):
    with pytest.raises(ValueError, match=fault):
        parse(given)


def test_a_subfolder_may_have_commas_and_equals_signs_in_its_name():
    args = parse("org/m,subfolder=runs/lr=0.1,wd=0.2/last,dtype=bfloat16")
    assert (args.subfolder, args.dtype) == ("runs/lr=0.1,wd=0.2/last", "bfloat16")
