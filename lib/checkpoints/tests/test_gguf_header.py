import sys

import pytest

from fixtures.models.gguf_files import write
from fixtures.models.tiny import tiny_llama
from lib.checkpoints.gguf_header import read_header
from lib.checkpoints.provenance import sizes

pytestmark = pytest.mark.cpu

MATRICES = 2 + 3 * 7


@pytest.fixture
def file(tmp_path):
    return write(tiny_llama(kv_heads=2, hidden_size=64), tmp_path / "tiny.gguf", kind="Q8_0")


def refused(match, path):
    with pytest.raises(ValueError, match=match) as caught:
        read_header(path)
    assert "\n" not in str(caught.value)


def test_a_header_tells_sizes_and_types(file):
    header = read_header(file)
    assert list(sizes(header.config()).values()) == [3, 4, 2, 64, 16]
    assert header.config()["model_type"] == header.architecture == "llama"
    kinds = list(header.types.values())
    assert (kinds.count("Q8_0"), kinds.count("F32")) == (MATRICES, 7)
    assert header.types["blk.0.attn_q.weight"] == "Q8_0"
    assert header.has_tokenizer


def test_a_size_that_the_header_does_not_tell_is_unknown(tmp_path):
    path = write(tiny_llama(hidden_size=64), tmp_path / "other.gguf", architecture="gemma3")
    assert read_header(path).config()["model_type"] == "gemma3_text"
    assert "head_dim" not in read_header(path).config()


@pytest.mark.parametrize("kept", [25, 300, 6000, 0.5, -100])
def test_a_file_that_is_cut_short_is_refused(file, tmp_path, kept):
    content = file.read_bytes()
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(content[: int(len(content) * kept) if isinstance(kept, float) else kept])
    refused(r"cut\.gguf is cut short", cut)


def test_a_file_of_another_format_is_refused(tmp_path):
    for name, content in (("empty.gguf", b""), ("text.gguf", b"not GGUF at all, but text")):
        (tmp_path / name).write_bytes(content)
        refused(f"{name} is no GGUF file", tmp_path / name)


def test_another_version_of_the_format_is_refused(file, tmp_path):
    content = bytearray(file.read_bytes())
    content[4] = 1
    (tmp_path / "old.gguf").write_bytes(content)
    refused("is GGUF of version 1; 2 and 3 can be read", tmp_path / "old.gguf")


def test_a_type_of_tensor_that_nobody_knows_is_refused(file, tmp_path):
    content = file.read_bytes()
    name = b"blk.0.attn_q.weight"
    place = content.index(name) + len(name) + 4 + 2 * 8
    (tmp_path / "new.gguf").write_bytes(content[:place] + (999).to_bytes(4, "little") + content[place + 4 :])
    refused("attn_q.weight has the type 999, which gguf does not know: update it", tmp_path / "new.gguf")


def test_one_part_of_a_split_model_is_refused(tmp_path):
    named = write(tiny_llama(hidden_size=64), tmp_path / "tiny-00001-of-00003.gguf")
    refused("tiny-00001-of-00003.gguf is one of 3 files of a split model.*--merge", named)
    marked = write(
        tiny_llama(hidden_size=64), tmp_path / "part.gguf", more=lambda writer: writer.add_uint16("split.count", 2)
    )
    refused("is one of 2 files of a split model", marked)


def test_a_file_that_holds_no_model_is_refused(tmp_path):
    adapter = write(tiny_llama(hidden_size=64), tmp_path / "lora.gguf", more=lambda writer: writer.add_type("adapter"))
    refused("holds no model but 'adapter'", adapter)


def test_the_missing_package_is_named(file, monkeypatch):
    monkeypatch.setitem(sys.modules, "gguf", None)
    refused("need the package gguf: pip install -c constraints.txt gguf", file)
