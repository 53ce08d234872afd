import json

import huggingface_hub
import pytest
import torch

from fixtures.models.tiny import save, tiny_llama
from lib.checkpoints import provenance
from lib.checkpoints.arguments import ModelArguments
from lib.checkpoints.provenance import identity, read_config, versions
from lib.models.loading import fingerprint, load

pytestmark = pytest.mark.cpu

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def identity_of(folder):
    return identity(ModelArguments(str(folder)))


def test_a_fingerprint_is_the_same_for_the_same_weights(tiny):
    assert fingerprint(tiny) == fingerprint(tiny)
    assert fingerprint(tiny_llama(seed=1)) == fingerprint(tiny_llama(seed=1)) != fingerprint(tiny_llama(seed=2))


@pytest.mark.parametrize("name", ["model.layers.2.mlp.down_proj.weight", "model.norm.weight", "lm_head.weight"])
def test_one_changed_weight_changes_the_fingerprint(tiny, name):
    before = fingerprint(tiny)
    tiny.state_dict()[name].view(-1)[-1] += 1
    assert fingerprint(tiny) != before


@pytest.mark.parametrize("bit", [0, 15, 31])
def test_one_changed_bit_changes_the_fingerprint_and_changing_it_back_restores_it(tiny, bit):
    weight = tiny.state_dict()["model.embed_tokens.weight"].view(-1).view(torch.int32)
    before = fingerprint(tiny)
    weight[7] ^= 1 << bit if bit < 31 else -(1 << 31)
    assert fingerprint(tiny) != before
    weight[7] ^= 1 << bit if bit < 31 else -(1 << 31)
    assert fingerprint(tiny) == before


def test_exchanged_weights_change_the_fingerprint(tiny):
    before = fingerprint(tiny)
    first, second = (layer.self_attn for layer in tiny.model.layers[:2])
    first.q_proj, second.q_proj = second.q_proj, first.q_proj
    assert fingerprint(tiny) != before


@pytest.mark.parametrize("options", [{}, {"dtype": "bfloat16"}, {"load_in_4bit": True}, {"load_in_8bit": True}])
def test_every_load_of_a_checkpoint_has_the_same_fingerprint(tiny_folder, options):
    arguments = {"pretrained": str(tiny_folder("model")), **options}
    first, second = (load(arguments, device="cpu").model for _ in range(2))
    assert fingerprint(first) == fingerprint(second)


def test_a_quantized_model_has_a_fingerprint_that_sees_its_weights(tiny_folder):
    model = load({"pretrained": str(tiny_folder("model")), "load_in_4bit": True}, device="cpu").model
    before = fingerprint(model)
    model.model.layers[0].self_attn.q_proj.weight.data[0] ^= 1
    assert fingerprint(model) != before


def test_a_forward_pass_leaves_the_fingerprint(tiny, ids):
    before = fingerprint(tiny)
    tiny(ids)
    assert fingerprint(tiny) == before


def test_the_identity_of_a_folder_is_that_of_its_content_and_not_of_its_path(tmp_path):
    here, there = (save(tiny_llama(), tmp_path / name) for name in ("here", "there"))
    assert identity_of(here) == identity_of(there)
    assert identity_of(here).startswith("sha256:")
    here.rename(tmp_path / "moved")
    assert identity_of(tmp_path / "moved") == identity_of(there)


def test_other_weights_give_a_folder_another_identity(tiny_folder):
    assert identity_of(tiny_folder("a", seed=0)) != identity_of(tiny_folder("b", seed=1))


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json"])
def test_one_changed_byte_gives_a_folder_another_identity(tiny_folder, name):
    folder = tiny_folder("model")
    before, content = identity_of(folder), bytearray((folder / name).read_bytes())
    content[-5] ^= 1
    (folder / name).write_bytes(content)
    assert identity_of(folder) != before


def test_files_that_compute_nothing_leave_the_identity(tiny_folder):
    folder = tiny_folder("model")
    before = identity_of(folder)
    (folder / "README.md").write_text("hello")
    assert identity_of(folder) == before


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A hub whose cache is in tmp_path; returns what it was asked for."""
    asked = []

    def download(model, name, *, revision):
        asked.append((model, name, revision))
        return str(tmp_path / "models--some--model" / "snapshots" / COMMIT / name)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    return asked


def test_the_identity_of_a_hub_model_is_its_commit(hub):
    assert identity(ModelArguments("some/model", revision="main")) == f"commit:{COMMIT}"
    assert hub == [("some/model", "config.json", "main")]


def test_a_cache_that_does_not_tell_the_commit_is_refused(monkeypatch):
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda *_, **__: "/cache/snapshots/main/config.json")
    with pytest.raises(ValueError, match="does not tell the commit; give revision=COMMIT"):
        identity(ModelArguments("some/model"))


def test_a_config_is_read_as_it_is_written(tiny_folder, hub, tmp_path):
    folder = tiny_folder("model")
    assert read_config(ModelArguments(str(folder))) == json.loads((folder / "config.json").read_text())
    path = tmp_path / "models--some--model" / "snapshots" / COMMIT / "config.json"
    path.parent.mkdir(parents=True)
    path.write_text('{"model_type": "mine", "anything": [1]}')
    assert read_config(ModelArguments("some/model")) == {"model_type": "mine", "anything": [1]}


def test_versions_name_what_numbers_depend_on(monkeypatch):
    assert versions()["torch"] == torch.__version__
    assert set(versions()) == {"python", *provenance.PACKAGES}
    monkeypatch.setattr(provenance, "PACKAGES", ("no-such-package",))
    assert versions()["no-such-package"] == "not installed"


def test_a_folder_goes_before_a_model_of_the_same_name(hub, tiny_folder, monkeypatch):
    monkeypatch.chdir(tiny_folder("some/model").parents[1])
    assert identity_of("some/model").startswith("sha256:")
    assert hub == []


SHAPE = {"num_hidden_layers": 2, "num_attention_heads": 4, "hidden_size": 48}


def test_sizes_that_a_config_leaves_out_follow_from_the_others():
    assert provenance.sizes(SHAPE)["num_key_value_heads"] == 4
    assert provenance.sizes(SHAPE)["head_dim"] == 12
    assert provenance.sizes({**SHAPE, "head_dim": 16, "num_key_value_heads": 1})["head_dim"] == 16


@pytest.mark.parametrize("key", provenance.SIZES)
def test_a_different_size_is_named(key):
    one = provenance.sizes(SHAPE)
    assert provenance.different_size(one, {**one, key: 99}) == f"{key} is 99 and not {one[key]}"
    assert provenance.different_size(one, one) == ""
    assert provenance.different_size(one, {**one, key: None}) == ""


@pytest.mark.parametrize(
    ("config", "found"),
    [
        ({"model_type": "gpt2", "n_layer": 3, "n_head": 4, "n_embd": 64}, [3, 4, 4, 64, 16]),
        ({"model_type": "gemma3", "text_config": {"num_hidden_layers": 5, "head_dim": 98}}, [5, None, None, None, 98]),
        ({"model_type": "llama_drope", "num_hidden_layers": 3, "hidden_size": 64}, [3, None, None, 64, None]),
        ({"model_type": "nobodys", "layers": 3}, [None] * 5),
        ({"model_type": "gpt2", "n_layer": "three"}, [None] * 5),
    ],
)
def test_sizes_with_other_names_are_read_and_sizes_that_are_not_written_are_unknown(config, found):
    assert list(provenance.sizes(config).values()) == found
