import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import bitsandbytes
import huggingface_hub
import pytest
import torch
from huggingface_hub import errors
from safetensors.torch import load_file, save_file

from fixtures.models.tiny import byte_tokenizer, save, tiny_llama
from lib.checkpoints import portable
from lib.definitions.words import NAMES, SITES
from lib.measuring.norms import channel_norms, norms_and_loss
from lib.models.drope import NORMED, NoRotation, drop_rope
from lib.models.hashing import fingerprint
from lib.models.loading import load
from lib.models.tests.test_drope import run, tiny_qwen2, without_rotation
from lib.probing.probe import geometry
from lib.probing.rotation import position_response

pytestmark = pytest.mark.cpu

BASES: dict[str, Callable] = {"Llama": lambda: tiny_llama(kv_heads=2), "Qwen2": tiny_qwen2}


def arm(folder, **options):
    return load({"pretrained": str(folder), **options}, device="cpu")


def refused(match, folder, **options):
    """Loading must raise one sentence."""
    with pytest.raises(ValueError, match=match) as caught:
        arm(folder, **options)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 450


def edit_config(folder, drop=(), **fields):
    path = folder / "config.json"
    config = {key: value for key, value in json.loads(path.read_text()).items() if key not in drop}
    path.write_text(json.dumps({**config, **fields}))


def edit_weights(folder, change):
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return weights


def official(folder, base, kind="nope", **fields):
    """A DroPE checkpoint as the official wrapper saves one, its remote code a trap; returns its weights."""
    (folder := save(BASES[base](), folder)).joinpath("drope.py").write_text("raise SystemExit('remote code ran')\n")
    classes = {"AutoConfig": f"drope.DroPE{base}Config", "AutoModelForCausalLM": f"drope.DroPE{base}ForCausalLM"}
    edit_config(
        folder,
        architectures=[f"DroPE{base}ForCausalLM"],
        model_type=f"{base.lower()}_drope",
        auto_map=classes,
        attention_type=kind,
        **fields,
    )
    return edit_weights(folder, add_norms if kind != "nope" else lambda weights: None)


def add_norms(weights):
    """Both norms in every layer, whichever of them the variant uses; not ones, so that leaving one out shows."""
    generator = torch.Generator().manual_seed(3)
    for name in [name for name in weights if name.endswith(("q_proj.weight", "k_proj.weight"))]:
        weights[name.replace("_proj", "_norm")] = torch.rand(len(weights[name]), generator=generator) + 0.5


@pytest.fixture
def folder(tiny_folder):
    return tiny_folder("model", kv_heads=2)


@pytest.fixture
def plain(folder, ids):
    return run(tiny_llama(kv_heads=2), ids)


def test_a_folder_gives_the_logits_of_the_model_that_was_saved(tiny, ids, tmp_path):
    assert torch.equal(run(arm(save(tiny, tmp_path / "model")).model, ids), run(tiny, ids))


def test_a_string_and_a_mapping_load_the_same(folder, ids):
    model = load(f"pretrained={folder},dtype=float32", device="cpu").model
    assert torch.equal(run(model, ids), run(arm(folder, dtype="float32").model, ids))


def test_a_model_is_loaded_for_measuring(folder):
    model = arm(folder).model
    assert not model.training
    assert not any(weight.requires_grad for weight in model.parameters())
    assert model.dtype == torch.float32


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_the_dtype_asked_for_is_loaded(folder, dtype):
    loaded = arm(folder, dtype=dtype)
    assert {weight.dtype for weight in loaded.model.parameters()} == {getattr(torch, dtype)}
    assert loaded.provenance["dtype"] == dtype


def test_dtype_auto_is_that_of_the_checkpoint(tmp_path):
    folder = save(tiny_llama().bfloat16(), tmp_path / "half")
    assert arm(folder, dtype="auto").model.dtype == torch.bfloat16
    assert arm(folder).model.dtype == torch.float32


@pytest.mark.parametrize("options", [{}, {"load_in_4bit": True}])
def test_the_rotation_can_be_left_out_of_a_rotary_checkpoint(folder, ids, options):
    dropped, rotating = arm(folder, rope="off", **options).model, arm(folder, **options).model
    assert position_response(dropped, ids)["change"] == 0
    assert torch.equal(run(dropped, ids), run(drop_rope(rotating), ids))


def test_a_drope_checkpoint_without_rotation_is_what_it_is(tmp_path, ids):
    official(tmp_path / "m", "Llama", kind="q_norm_nope")
    assert torch.equal(run(arm(tmp_path / "m", rope="off").model, ids), run(arm(tmp_path / "m").model, ids))


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_the_attention_asked_for_is_loaded(folder, plain, ids, attention):
    loaded = arm(folder, attn_implementation=attention)
    assert loaded.model.config._attn_implementation == loaded.provenance["attn_implementation"] == attention
    torch.testing.assert_close(run(loaded.model, ids), plain, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "layer", "name"),
    [
        ({"load_in_4bit": True}, bitsandbytes.nn.Linear4bit, "nf4"),
        ({"load_in_4bit": True, "bnb_4bit_quant_type": "fp4"}, bitsandbytes.nn.Linear4bit, "fp4"),
        ({"load_in_8bit": True}, bitsandbytes.nn.Linear8bitLt, "int8"),
    ],
)
def test_a_quantized_model_is_really_quantized_and_can_be_measured(folder, plain, ids, options, layer, name):
    loaded = arm(folder, **options)
    assert sum(isinstance(module, layer) for module in loaded.model.modules()) == 3 * 7
    assert loaded.provenance["quantization"] == name
    logits = run(loaded.model, ids)
    assert not torch.equal(logits, plain)
    assert (logits - plain).norm() < 0.5 * plain.norm()
    norms = norms_and_loss(loaded.model, ids, geometry(loaded.model)).norms
    assert [norms[name].shape for name in NAMES] == [(2, 3, 4, 16), (2, 3, 2, 16), (2, 3, 2, 16)]


@pytest.mark.parametrize(
    ("options", "layer", "name"),
    [
        ({"load_in_4bit": True}, bitsandbytes.nn.Linear4bit, "nf4"),
        ({"load_in_4bit": True, "bnb_4bit_quant_type": "fp4"}, bitsandbytes.nn.Linear4bit, "fp4"),
        ({"load_in_8bit": True}, bitsandbytes.nn.Linear8bitLt, "int8"),
    ],
)
def test_a_checkpoint_that_is_quantized_already_says_how_and_is_not_taken_for_another(
    folder, ids, tmp_path, options, layer, name
):
    quantized = arm(folder, **options)
    save(quantized.model, tmp_path / "q")
    again = arm(tmp_path / "q")
    assert sum(isinstance(module, layer) for module in again.model.modules()) == 3 * 7
    assert again.provenance["quantization"] == arm(tmp_path / "q", **options).provenance["quantization"] == name
    assert torch.equal(run(again.model, ids), run(quantized.model, ids))
    other = {"load_in_8bit": True} if name != "int8" else {"load_in_4bit": True}
    with pytest.raises(ValueError, match=f"is quantized already, as {name}: it cannot be loaded as"):
        arm(tmp_path / "q", **other)


@pytest.mark.parametrize("hidden", [48, 64])
def test_a_pass_changes_no_four_bit_weight_on_any_processor(tmp_path, ids, hidden):
    model = arm(save(tiny_llama(hidden_size=hidden), tmp_path / "m"), load_in_4bit=True).model
    layers = [module for module in model.modules() if isinstance(module, bitsandbytes.nn.Linear4bit)]
    assert not any(layer.support_avx512bf16_for_cpu for layer in layers)
    before = fingerprint(model)
    run(model, ids)
    assert fingerprint(model) == before


def test_four_bits_are_the_kind_asked_for(folder):
    model = arm(folder, load_in_4bit=True).model
    state = model.model.layers[0].self_attn.q_proj.weight.quant_state
    assert (state.quant_type, state.nested) == ("nf4", True)


def test_the_provenance_is_plain_json_and_complete(folder):
    found = json.loads(json.dumps(arm(folder).provenance))
    assert (found["pretrained"], found["quantization"], found["device"]) == (portable(str(folder)), "none", "cpu")
    assert (found["class"], found["parameters"]) == ("LlamaForCausalLM", tiny_llama(kv_heads=2).num_parameters())
    assert found["identity"].startswith("sha256:")
    assert found["versions"]["torch"] == torch.__version__
    assert found["arguments"]["load_in_4bit"] is False
    assert found["config"]["num_key_value_heads"] == 2


def test_the_tokenizer_comes_with_the_model(folder):
    assert arm(folder).tokenizer("ab")["input_ids"] == byte_tokenizer()("ab")["input_ids"]


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("kind", NORMED)
@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_a_drope_checkpoint_computes_what_the_official_wrapper_does(tmp_path, ids, base, kind, attention):
    weights = official(tmp_path / "drope", base, kind)
    found = run(arm(tmp_path / "drope", attn_implementation=attention).model, ids)
    by_hand = run(without_rotation(BASES[base](), kind, norms=weights), ids)
    torch.testing.assert_close(found, by_hand, rtol=0, atol=0 if (kind, attention) == ("nope", "eager") else 2e-6)


@pytest.mark.parametrize("kind", [kind for kind in NORMED if kind != "nope"])
def test_every_attention_type_computes_something_else(tmp_path, ids, kind):
    weights = official(tmp_path / "drope", "Llama", kind)
    found = run(arm(tmp_path / "drope").model, ids)
    for other in set(NORMED) - {kind}:
        by_hand = run(without_rotation(BASES["Llama"](), other, norms=weights), ids)
        assert (found - by_hand).abs().max() > 1e-3


@pytest.mark.parametrize("base", BASES)
def test_a_drope_checkpoint_of_transformers_4_is_read(tmp_path, ids, base):
    official(tmp_path / "drope", base, rope_theta=10000.0, rope_scaling=None)
    edit_config(tmp_path / "drope", drop=["rope_parameters"])
    assert torch.equal(
        run(arm(tmp_path / "drope", attn_implementation="eager").model, ids), run(without_rotation(BASES[base]()), ids)
    )


@pytest.mark.parametrize("kind", NORMED)
def test_the_softmax_scale_of_a_drope_checkpoint_is_used(tmp_path, ids, kind):
    weights = official(tmp_path / "drope", "Llama", kind, softmax_scale=0.7)
    found = run(arm(tmp_path / "drope").model, ids)
    by_hand, unscaled = (run(without_rotation(BASES["Llama"](), kind, s, weights), ids) for s in (0.7, None))
    torch.testing.assert_close(found, by_hand, rtol=0, atol=2e-6)
    assert (found - unscaled).abs().max() > 1e-4


@pytest.mark.parametrize("kind", NORMED)
def test_a_drope_checkpoint_is_blind_to_positions(tmp_path, ids, kind):
    official(tmp_path / "drope", "Llama", kind)
    assert position_response(arm(tmp_path / "drope").model, ids)["change"] == 0.0


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("kind", ["nope", "qk_norm_nope"])
def test_a_drope_checkpoint_loads_in_four_bits(tmp_path, ids, base, kind):
    weights = official(tmp_path / "drope", base, kind)
    model = arm(tmp_path / "drope", load_in_4bit=True).model
    by_hand = run(without_rotation(BASES[base](), kind, norms=weights), ids)
    assert isinstance(model.model.layers[0].self_attn.q_proj, bitsandbytes.nn.Linear4bit)
    assert isinstance(model.model.rotary_emb, NoRotation)
    assert 0 < (run(model, ids) - by_hand).norm() < 0.5 * by_hand.norm()


@pytest.mark.parametrize("site", SITES)
def test_a_probe_reads_the_projection_before_a_drope_norm_and_other_sites_after_it(tmp_path, ids, site):
    official(tmp_path / "drope", "Llama", "q_norm_nope")
    model = arm(tmp_path / "drope").model
    layer, sizes = model.model.layers[0], geometry(model)
    query = layer.input_layernorm(model.model.embed_tokens(ids)) @ layer.self_attn.q_proj.weight.T
    by_hand = query if site == "projection" else layer.self_attn.q_norm(query)
    norms = norms_and_loss(model, ids, sizes, site).norms
    torch.testing.assert_close(norms["query"][:, 0], channel_norms(by_hand.unflatten(-1, sizes.shape("query"))))


@pytest.mark.parametrize("kind", NORMED)
def test_a_saved_copy_of_a_drope_checkpoint_loads_the_same(tmp_path, ids, kind):
    official(tmp_path / "drope", "Llama", kind)
    first = arm(tmp_path / "drope").model
    second = arm(save(first, tmp_path / "copy")).model
    assert torch.equal(run(first, ids), run(second, ids))


def test_a_drope_checkpoint_without_a_norm_it_needs_is_refused(tmp_path):
    official(tmp_path / "drope", "Llama", "qk_norm_nope")
    edit_weights(tmp_path / "drope", lambda weights: weights.pop("model.layers.1.self_attn.k_norm.weight"))
    refused(r"lacks weights for its config: model\.layers\.1\.self_attn\.k_norm\.weight$", tmp_path / "drope")


def test_norms_that_the_attention_type_does_not_know_are_refused(tmp_path):
    official(tmp_path / "drope", "Llama", "qk_norm_nope")
    edit_config(tmp_path / "drope", attention_type="nope")
    refused(r"has unexpected weights for its config: .*norm\.weight and 3 more$", tmp_path / "drope")


def test_an_unknown_attention_type_is_refused(tmp_path):
    official(tmp_path / "drope", "Llama")
    edit_config(tmp_path / "drope", attention_type="vnorm")
    refused("has attention_type 'vnorm'; known are nope, qk_norm_nope, q_norm_nope, k_norm_nope$", tmp_path / "drope")


def test_drope_on_another_base_is_refused(folder):
    edit_config(folder, model_type="mamba_drope")
    refused("is DroPE on 'mamba'; only llama and qwen2 are supported$", folder)


def test_a_folder_without_weights_is_refused(folder):
    (folder / "model.safetensors").unlink()
    refused("holds no weights: save the model with save_pretrained", folder)


def test_a_folder_with_a_pickle_only_is_refused(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    refused("holds only pytorch_model.bin, and pickles can run code", folder)


def test_a_missing_weight_is_refused(folder):
    edit_weights(folder, lambda weights: weights.pop("model.layers.1.mlp.up_proj.weight"))
    refused(r"lacks weights for its config: model\.layers\.1\.mlp\.up_proj\.weight$", folder)


def test_an_unexpected_weight_is_refused(folder):
    edit_weights(folder, lambda weights: weights.update({"model.layers.1.extra": torch.ones(2)}))
    refused(r"has unexpected weights for its config: model\.layers\.1\.extra$", folder)


def test_the_frequencies_that_old_checkpoints_store_are_no_unexpected_weight(folder, plain, ids):
    frequencies = {"model.layers.1.self_attn.rotary_emb.inv_freq": torch.ones(8)}
    edit_weights(folder, lambda weights: weights.update(frequencies))
    assert torch.equal(run(arm(folder).model, ids), plain)


def test_a_weight_of_another_shape_is_refused(folder):
    edit_weights(folder, lambda weights: weights.update({"model.layers.0.mlp.up_proj.weight": torch.ones(3, 48)}))
    refused(r"has wrongly shaped weights for its config: model\.layers\.0\.mlp\.up_proj\.weight$", folder)


def test_truncated_weights_are_refused(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    refused("cannot be loaded", folder)


def test_a_folder_without_a_tokenizer_is_refused(folder):
    for path in folder.glob("tokenizer*"):
        path.unlink()
    refused("has no usable tokenizer", folder)


def test_remote_code_that_was_not_asked_for_is_refused(folder):
    (folder / "mine.py").write_text("raise SystemExit('remote code ran')\n")
    edit_config(folder, model_type="mine", auto_map={"AutoConfig": "mine.C", "AutoModelForCausalLM": "mine.M"})
    refused("model_type 'mine', which transformers does not know: add trust_remote_code=True", folder)


def test_code_beside_a_known_architecture_is_not_run(folder, plain, ids):
    (folder / "mine.py").write_text("raise SystemExit('remote code ran')\n")
    edit_config(folder, auto_map={"AutoConfig": "mine.C", "AutoModelForCausalLM": "mine.M"})
    assert torch.equal(run(arm(folder).model, ids), plain)


@pytest.mark.parametrize("content", ["", "{", "[]", "null", "{}", '{"model_type": 3}', "\udcff"])
def test_a_broken_config_is_refused(folder, content):
    (folder / "config.json").write_text(content, errors="surrogateescape")
    refused("config.json (cannot be read|names no model_type)", folder)


@pytest.mark.parametrize("model_type", ["llama", "llama_drope"])
@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("hidden_size", "x", "has hidden_size='x', not a whole number from 1 to"),
        ("hidden_act", "mine", "KeyError 'mine'$"),
        ("num_key_value_heads", 0, "has num_key_value_heads=0, not a whole number from 1 to"),
        ("intermediate_size", "x", "has intermediate_size='x', not a whole number from 1 to"),
        ("max_position_embeddings", "x", "Field 'max_position_embeddings' expected int, got str"),
        ("num_hidden_layers", 4, "lacks weights for its config"),
    ],
)
def test_a_config_that_fits_no_model_is_refused(folder, model_type, field, value, sentence):
    edit_config(folder, **{"model_type": model_type, field: value})
    refused(sentence, folder)


@pytest.mark.parametrize("value", [["nope"], None, 3])
def test_an_attention_type_of_another_kind_is_no_mark_of_drope(folder, plain, ids, value):
    edit_config(folder, attention_type=value)
    assert torch.equal(run(arm(folder).model, ids), plain)
    edit_config(folder, model_type="llama_drope")
    refused("has attention_type", folder)


def test_an_attention_that_does_not_exist_is_refused(folder):
    refused(
        "cannot be loaded: Specified `attn_implementation=.mine.` is not supported", folder, attn_implementation="mine"
    )


def test_a_folder_without_a_config_is_refused(folder):
    (folder / "config.json").unlink()
    refused("holds no config.json: is it a folder made by save_pretrained", folder)


@pytest.mark.parametrize("name", ["/no/such/folder", "./no/such/folder", "a/b/c", "what is this?"])
def test_a_name_that_is_neither_folder_nor_id_is_refused(name):
    refused(r"there is no folder|is neither a folder here nor a model id such as name/model$", name)


def with_response(kind):
    return kind("raw message\nof many lines", response=Mock(headers={}))


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (with_response(errors.GatedRepoError), "is gated: accept its licence on its page and set HF_TOKEN$"),
        (
            with_response(errors.RepositoryNotFoundError),
            "there is no folder 'some/model' here and no such model on the hub, or it is private",
        ),
        (with_response(errors.RevisionNotFoundError), "has no revision 'v9'$"),
        (with_response(errors.RemoteEntryNotFoundError), r"holds no config\.json$"),
        (errors.LocalEntryNotFoundError("raw\nmessage"), "not in the cache, and the hub cannot be reached$"),
        (errors.OfflineModeIsEnabled("raw\nmessage"), r"asking the hub failed \(OfflineModeIsEnabled\)$"),
        (with_response(errors.HfHubHTTPError), r"asking the hub failed \(HfHubHTTPError\)$"),
        (ConnectionError("raw\nmessage"), r"asking the hub failed \(ConnectionError\)$"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_an_error_of_the_hub_becomes_one_sentence(monkeypatch, error, sentence):
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", Mock(side_effect=error))
    refused(sentence, "some/model", revision="v9")


def test_loading_a_plain_model_imports_no_library_that_only_quantized_ones_need(tiny_folder):
    folder = tiny_folder("rope")
    code = f"import lib, sys; lib.load('{folder}', device='cpu'), lib.measure_norms; "
    code += "assert 'bitsandbytes' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[3]).returncode == 0


@pytest.mark.parametrize("options", [{}, {"rope": "off"}, {"rope": "yarn:4"}])
def test_a_model_in_a_subfolder_is_that_of_the_subfolder(tiny_folder, tmp_path, options):
    save(tiny_llama(seed=5), tmp_path)  # another model around it
    folder = tiny_folder("inside")
    within, alone = arm(tmp_path, subfolder="inside", **options), arm(folder, **options)
    assert fingerprint(within.model) == fingerprint(alone.model)
    assert within.provenance["identity"] == alone.provenance["identity"]
    assert within.provenance["pretrained"] == f"{portable(str(tmp_path))}/inside"
