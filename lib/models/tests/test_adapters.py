import json
import sys

import bitsandbytes
import peft
import pytest
import torch
from safetensors.torch import load_file, save_file

from fixtures.models.gguf_files import write
from fixtures.models.tiny import save, tiny_llama
from lib.checkpoints import ADAPTER_WEIGHTS, identity, parse, portable
from lib.models.drope import drop_rope, mark_as_drope
from lib.models.hashing import fingerprint
from lib.models.loading import load
from lib.models.tests.test_drope import run
from lib.probing import position_response

pytestmark = [
    pytest.mark.cpu,
    # when an adapter is made here, peft asks transformers for an attribute by its old name
    pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning"),
]


def llama(**options):
    return tiny_llama(kv_heads=2, hidden_size=64, **options)


def adapter(folder, model=None, *, trained=True, seed=0, **options):
    """Write an adapter of a tiny Llama and return its folder."""
    options = {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "k_proj"], "task_type": "CAUSAL_LM", **options}
    adapted = peft.get_peft_model(model or llama(), peft.LoraConfig(**options))
    torch.manual_seed(seed)
    for name, weight in adapted.named_parameters():
        if "lora_" in name and trained:
            weight.data.normal_(std=0.2)
    adapted.save_pretrained(folder)
    return folder


def by_hand(folder, model=None):
    """The logits that the adapter should give: B x A, times alpha / r, added to the weights."""
    model = model or llama()
    weights, half = load_file(folder / ADAPTER_WEIGHTS), json.loads((folder / "adapter_config.json").read_text())
    for name in [name for name in weights if "lora_A" in name]:
        target = name.removeprefix("base_model.model.").replace(".lora_A.weight", ".weight")
        change = weights[name.replace("lora_A", "lora_B")] @ weights[name] * half["lora_alpha"] / half["r"]
        model.get_parameter(target).data += change
    return model


@pytest.fixture
def base(tmp_path):
    return save(llama(), tmp_path / "base")


@pytest.fixture
def change(tmp_path):
    return adapter(tmp_path / "adapter")


def arm(base, change, more=""):
    return load(f"{base},peft={change}{more}", device="cpu")


def refused(match, base, change, more=""):
    with pytest.raises(ValueError, match=match) as caught:
        arm(base, change, more)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


def edit(folder, change):
    weights = load_file(folder / ADAPTER_WEIGHTS)
    save_file(change(weights), folder / ADAPTER_WEIGHTS)


def test_an_adapter_is_merged_into_the_weights(base, change, ids):
    loaded = arm(base, change)
    torch.testing.assert_close(run(loaded.model, ids), run(by_hand(change), ids), rtol=0, atol=1e-5)
    assert (run(loaded.model, ids) - run(llama(), ids)).abs().max() > 0.01
    assert not any("lora" in name for name, _ in loaded.model.named_modules())
    assert not hasattr(loaded.model, "peft_config")
    assert type(loaded.model).__name__ == loaded.provenance["class"] == "LlamaForCausalLM"
    assert not any(weight.requires_grad for weight in loaded.model.parameters())


def test_a_merged_model_is_saved_like_any_other(base, change, ids, tmp_path):
    loaded = arm(base, change)
    loaded.model.save_pretrained(tmp_path / "merged")
    loaded.tokenizer.save_pretrained(tmp_path / "merged")
    assert not (tmp_path / "merged" / ADAPTER_WEIGHTS).exists()
    assert torch.equal(run(load(str(tmp_path / "merged"), device="cpu").model, ids), run(loaded.model, ids))


def test_the_provenance_names_the_adapter(base, change):
    found = json.loads(json.dumps(arm(base, change).provenance))
    assert found["pretrained"] == f"{portable(str(base))} + {portable(str(change))}"
    assert found["adapter"]["kind"] == "LORA"
    assert found["identity"] == f"{identity(parse(str(base)))}+peft:{found['adapter']['identity'][7:]}"


def test_another_adapter_has_another_identity_and_another_folder_has_not(base, change, tmp_path):
    def of(folder):
        return identity(parse(f"{base},peft={folder}"))

    assert of(adapter(tmp_path / "other", seed=1)) != of(change)
    before = of(change)
    change.rename(tmp_path / "moved")
    assert of(tmp_path / "moved") == before


def test_an_adapter_fits_a_gguf_file_too(change, ids, tmp_path):
    path = write(llama(), tmp_path / "tiny.gguf")
    torch.testing.assert_close(run(arm(path, change).model, ids), run(by_hand(change), ids), rtol=0, atol=1e-5)


def test_the_rotation_is_changed_after_merging(base, change, ids):
    dropped = arm(base, change, ",rope=off").model
    assert position_response(dropped, ids)["change"] == 0
    torch.testing.assert_close(run(dropped, ids), run(drop_rope(by_hand(change)), ids), rtol=0, atol=1e-5)


def test_an_adapter_of_a_drope_checkpoint_is_merged(change, ids, tmp_path):
    folder = save(llama(), tmp_path / "drope")
    mark_as_drope(folder)
    found = run(arm(folder, change).model, ids)
    torch.testing.assert_close(found, run(drop_rope(by_hand(change)), ids), rtol=0, atol=1e-5)


@pytest.mark.parametrize("how", ["load_in_4bit", "load_in_8bit"])
def test_a_quantized_arm_quantizes_the_merged_weights(base, change, tmp_path, how):
    merged = arm(base, change)
    merged.model.save_pretrained(tmp_path / "merged")
    merged.tokenizer.save_pretrained(tmp_path / "merged")
    again = arm(base, change, f",{how}=True").model
    assert sum(isinstance(m, bitsandbytes.nn.Linear4bit | bitsandbytes.nn.Linear8bitLt) for m in again.modules()) == 21
    assert fingerprint(again) == fingerprint(load(f"{tmp_path / 'merged'},{how}=True", device="cpu").model)


def test_a_quantized_drope_arm_quantizes_the_merged_weights(change, ids, tmp_path):
    folder = save(llama(), tmp_path / "drope")
    mark_as_drope(folder)
    quantized = arm(folder, change, ",load_in_4bit=True").model
    assert position_response(quantized, ids)["change"] == 0
    exact = run(drop_rope(by_hand(change)), ids)
    assert 0 < (run(quantized, ids) - exact).norm() < 0.5 * exact.norm()


def test_an_adapter_of_a_model_of_another_shape_is_refused(base, tmp_path):
    other = adapter(tmp_path / "other", tiny_llama(kv_heads=2, hidden_size=32))
    refused(r"the adapter .*other does not fit the model: .*size mismatch", base, other)


def test_an_adapter_of_a_model_with_more_layers_is_refused(base, tmp_path):
    deep = adapter(tmp_path / "deep", llama(layers=5))
    refused(r"does not fit the model: the model has no place for its .*layers\.3.* and 7 more", base, deep)


def test_an_adapter_of_a_model_with_fewer_layers_is_refused(base, tmp_path):
    refused(r"it lacks .*layers\.2\..* and 3 more", base, adapter(tmp_path / "flat", llama(layers=2)))


def test_an_adapter_of_other_modules_is_refused(base, change):
    config = change / "adapter_config.json"
    config.write_text(config.read_text().replace("q_proj", "query").replace("k_proj", "key"))
    refused("does not fit the model: Target modules .* not found", base, change)


def test_an_adapter_that_lacks_a_weight_is_refused(base, change):
    edit(change, lambda weights: dict(list(weights.items())[1:]))
    refused(r"does not fit the model: it lacks base_model\.model", base, change)


def test_an_adapter_that_changes_nothing_is_refused(base, tmp_path):
    refused("changes no weight of the model: it was never trained", base, adapter(tmp_path / "new", trained=False))


def test_an_adapter_that_cannot_be_merged_is_refused(base, tmp_path):
    prompt = peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3)
    peft.get_peft_model(llama(), prompt).save_pretrained(tmp_path / "prompt")
    refused("PROMPT_TUNING cannot be merged into weights", base, tmp_path / "prompt")


def test_a_folder_without_an_adapter_is_refused(base, change, tmp_path):
    refused(r"there is no folder .*none for peft=FOLDER", base, tmp_path / "none")
    refused(r"base holds no adapter: it has no adapter_config\.json", base, base)
    (change / ADAPTER_WEIGHTS).rename(change / "adapter_model.bin")
    refused(r"adapter holds no adapter_model\.safetensors", base, change)


def test_a_damaged_adapter_is_refused(base, change):
    (change / ADAPTER_WEIGHTS).write_bytes((change / ADAPTER_WEIGHTS).read_bytes()[:200])
    refused(r"adapter_model\.safetensors is cut short or damaged", base, change)
    (change / "adapter_config.json").write_text("{}")
    refused(r"adapter_config\.json cannot be read, or names no peft_type", base, change)


def test_an_adapter_in_the_place_of_a_model_is_refused(base, change):
    with pytest.raises(
        ValueError, match=r"holds an adapter, so give the model as pretrained= and this folder as peft="
    ):
        load(str(change), device="cpu")
    for file in change.iterdir():
        file.rename(base / file.name)
    with pytest.raises(ValueError, match="holds an adapter beside the model: give it as peft=FOLDER"):
        load(str(base), device="cpu")


def test_the_missing_package_is_named(base, change, monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    refused(r"needs the package peft: pip install -c constraints\.txt peft", base, change)
