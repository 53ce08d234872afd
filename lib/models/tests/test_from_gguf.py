import json
import sys
from pathlib import Path

import bitsandbytes
import pytest
import torch

from fixtures.models.gguf_files import write
from fixtures.models.tiny import save, tiny_llama
from lib.checkpoints import identity, parse, portable
from lib.models import rescaling
from lib.models.drope import drop_rope
from lib.models.hashing import fingerprint
from lib.models.loading import load
from lib.models.tests.test_drope import run
from lib.models.tokens import load_tokenizer
from lib.probing import position_response

pytestmark = pytest.mark.cpu


def llama(**options):
    return tiny_llama(kv_heads=2, hidden_size=64, **options)


@pytest.fixture
def file(tmp_path):
    return write(llama(), tmp_path / "tiny.gguf")


def arm(path, more=""):
    return load(f"{path}{more}", device="cpu")


def refused(match, args):
    with pytest.raises(ValueError, match=match) as caught:
        arm(args)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 450


def test_a_gguf_file_gives_the_logits_of_the_model_that_was_written(file, ids):
    found = arm(file).model
    assert torch.equal(run(found, ids), run(llama(), ids))
    assert found.dtype == torch.float32
    assert not any(weight.requires_grad for weight in found.parameters())


def test_eight_bits_are_dequantized(tmp_path, ids):
    path = write(llama(), tmp_path / "q8.gguf", kind="Q8_0")
    found, exact = run(arm(path).model, ids), run(llama(), ids)
    assert 0 < (found - exact).norm() < 0.02 * exact.norm()


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_the_dtype_asked_for_is_loaded(file, dtype):
    assert {weight.dtype for weight in arm(file, f",dtype={dtype}").model.parameters()} == {getattr(torch, dtype)}


def test_nothing_says_that_the_model_was_quantized_and_it_can_be_saved(file, ids, tmp_path):
    loaded = arm(file)
    assert not loaded.model.is_quantized
    assert "quantization_config" not in loaded.provenance["config"]
    loaded.model.save_pretrained(tmp_path / "copy")
    loaded.tokenizer.save_pretrained(tmp_path / "copy")
    copy = arm(tmp_path / "copy")
    assert torch.equal(run(copy.model, ids), run(llama(), ids))
    assert copy.tokenizer("a b")["input_ids"] == loaded.tokenizer("a b")["input_ids"] == [0, 67, 223, 68]


def test_a_file_in_a_folder_is_named_by_gguf_file(file, ids):
    assert torch.equal(run(arm(f"{file.parent},gguf_file={file.name}").model, ids), run(llama(), ids))
    assert identity(parse(f"{file.parent},gguf_file={file.name}")) == identity(parse(str(file)))


def test_the_tokenizer_is_that_of_the_file_whatever_lies_beside_it(file):
    (file.parent / "tokenizer.json").write_text("{}")
    (file.parent / "tokenizer_config.json").write_text('{"add_bos_token": false}')
    assert load_tokenizer(parse(str(file)))("ab")["input_ids"] == [0, 67, 68]


def test_the_provenance_names_hash_and_types(tmp_path):
    path = write(llama(), tmp_path / "q8.gguf", kind="Q8_0")
    loaded = json.loads(json.dumps(arm(path).provenance))
    assert (loaded["pretrained"], loaded["identity"]) == (portable(str(path)), f"sha256:{loaded['gguf']['sha256']}")
    assert loaded["gguf"]["types"] == {"Q8_0": 23, "F32": 7}
    assert loaded["quantization"] == "GGUF Q8_0, F32"
    assert loaded["gguf"]["tensors"]["blk.2.ffn_up.weight"] == "Q8_0"
    assert loaded["versions"]["gguf"] != "not installed"


def test_the_rotation_can_be_removed_and_rescaled(file, ids, tmp_path):
    dropped = arm(file, ",rope=off").model
    assert position_response(dropped, ids)["change"] == 0
    assert torch.equal(run(dropped, ids), run(drop_rope(llama()), ids))
    folder = save(llama(), tmp_path / "folder")
    for rope in ("yarn:4", "dynamic:2"):
        assert torch.equal(run(arm(file, f",rope={rope}").model, ids), run(arm(folder, f",rope={rope}").model, ids))
    assert torch.equal(run(arm(file).model, ids), run(llama(), ids))


@pytest.mark.parametrize("how", ["load_in_4bit", "load_in_8bit"])
def test_dequantized_weights_can_be_quantized_again(file, tmp_path, how):
    folder = save(llama(), tmp_path / "folder")
    again, plain = arm(file, f",{how}=True"), arm(folder, f",{how}=True")
    kind = bitsandbytes.nn.Linear4bit if how == "load_in_4bit" else bitsandbytes.nn.Linear8bitLt
    assert sum(isinstance(module, kind) for module in again.model.modules()) == 3 * 7
    assert fingerprint(again.model) == fingerprint(plain.model)
    assert again.provenance["quantization"] == f"{plain.provenance['quantization']} after GGUF F32"


def test_an_architecture_that_transformers_does_not_read_is_refused(tmp_path):
    path = write(llama(), tmp_path / "bert.gguf", architecture="modern-bert")
    refused(r"bert\.gguf cannot be loaded: GGUF model with architecture modern-bert is not supported yet", path)


def test_a_file_without_a_tokenizer_is_refused(tmp_path):
    path = write(llama(), tmp_path / "dumb.gguf", tokenizer=False)
    refused(r"dumb\.gguf has no tokenizer inside", path)


def test_a_file_that_is_cut_short_is_refused(file):
    file.write_bytes(file.read_bytes()[:-4000])
    refused(r"tiny\.gguf is cut short: it has \d+ bytes of \d+", file)


def test_a_missing_weight_is_named(tmp_path):
    model = llama()
    state = {name: weight for name, weight in model.state_dict().items() if "layers.1.mlp.up" not in name}
    model.state_dict = lambda: state
    refused("lacks weights for its config: model.layers.1.mlp.up_proj.weight", write(model, tmp_path / "less.gguf"))


def test_a_weight_that_transformers_would_leave_out_is_named(tmp_path):
    factors = torch.ones(8).numpy()
    path = write(llama(), tmp_path / "more.gguf", more=lambda writer: writer.add_tensor("rope_freqs.weight", factors))
    refused(r"more\.gguf holds rope_freqs\.weight, which transformers does not read from GGUF", path)


def test_a_rescaled_rotation_that_transformers_would_leave_out_is_named(tmp_path):
    path = write(
        llama(), tmp_path / "long.gguf", more=lambda writer: writer.add_string("llama.rope.scaling.type", "yarn")
    )
    refused(r"long\.gguf has a rotation rescaled by yarn, which transformers does not read", path)


def test_a_folder_of_gguf_files_says_which_argument_names_one(file):
    refused(r"holds no config\.json: it holds tiny\.gguf, so add gguf_file=tiny\.gguf", file.parent)
    save(llama(), file.parent)
    (file.parent / "model.safetensors").unlink()
    refused(r"holds no safetensors but tiny\.gguf: add gguf_file=tiny\.gguf", file.parent)


def test_files_that_are_not_there_are_named(file):
    refused(r"there is no file .*none\.gguf", file.parent / "none.gguf")
    refused(r"holds no none\.gguf: it holds tiny\.gguf", f"{file.parent},gguf_file=none.gguf")
    refused("is a file, so leave out gguf_file", f"{file},gguf_file={file.name}")


def test_another_checksum_than_the_one_given_is_refused(file):
    whole = identity(parse(str(file))).removeprefix("sha256:")
    assert arm(file, f",sha256={whole}").provenance["gguf"]["sha256"] == whole
    refused(f"has the sha256 {whole} and not {'0' * 64}", f"{file},sha256={'0' * 64}")


def test_reading_a_config_twice_gives_two_configs(file):
    from lib.models.from_gguf import gguf_config

    rescaling.rescale(gguf_config(file), "yarn:4")
    assert gguf_config(Path(file)).rope_parameters["rope_type"] == "default"


def test_no_progress_bar_reaches_the_terminal(file, capfd):
    arm(file)
    assert "de-quantizing" not in capfd.readouterr().err
    assert sys.stderr.writable()
