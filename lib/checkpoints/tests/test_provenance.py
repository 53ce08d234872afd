import json

import huggingface_hub
import pytest
import torch

from fixtures.models.tiny import save, tiny_llama
from lib.checkpoints import provenance
from lib.checkpoints.arguments import ModelArguments
from lib.checkpoints.provenance import BESIDE, TOKENIZERS, identity, read_config, revisions, versions

pytestmark = pytest.mark.cpu

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def identity_of(folder):
    return identity(ModelArguments(str(folder)))


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


@pytest.mark.parametrize("name", [*TOKENIZERS, *BESIDE])
def test_every_file_of_a_tokenizer_is_part_of_the_identity(tiny_folder, name):
    folder = tiny_folder("model")
    (folder / name).write_text("{}")
    before = identity_of(folder)
    (folder / name).write_text("{ }")
    assert identity_of(folder) != before


def test_weights_elsewhere_that_an_index_names_are_part_of_the_identity(tiny_folder, tmp_path):
    folder = tiny_folder("model")
    (folder / "model.safetensors").rename(tmp_path / "shard.safetensors")
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"lm_head.weight": "../shard.safetensors", "other": "not-there"}}))
    before = identity_of(folder)
    with (tmp_path / "shard.safetensors").open("ab") as file:
        file.write(b"x")
    changed = identity_of(folder)
    assert changed != before
    index.write_text("[]")
    assert identity_of(folder) not in (before, changed)


@pytest.mark.parametrize("where", ["modeling.py", "inside/helper.py"])
def test_code_is_part_of_the_identity_where_it_may_run_and_only_there(tiny_folder, where):
    folder = tiny_folder("model")
    (folder / "inside").mkdir()
    found = []
    for text in ("a = 1", "a = 2"):
        (folder / where).write_text(text)
        found.append([identity(ModelArguments(str(folder), trust_remote_code=trust)) for trust in (True, False)])
    (runs, _), (other, still) = found
    assert runs != other
    assert still == found[0][1]


def test_files_that_compute_nothing_leave_the_identity(tiny_folder):
    folder = tiny_folder("model")
    before = identity_of(folder)
    (folder / "README.md").write_text("hello")
    assert identity_of(folder) == before


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A hub whose cache is in tmp_path; returns what it was asked for."""
    asked = []

    def download(model, name, *, revision=None):
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


@pytest.mark.parametrize("name", ["runs/rope", "./model", "../model", "/models/rope", "~/models"])
def test_a_path_to_nothing_is_not_asked_of_the_hub(hub, tmp_path, monkeypatch, name):
    (tmp_path / "runs").mkdir()
    monkeypatch.chdir(tmp_path)
    for ask in (identity, read_config, revisions):
        with pytest.raises(ValueError, match=f"^there is no folder {name}$"):
            ask(ModelArguments(name))
    assert hub == []


def test_a_folder_goes_before_a_model_of_the_same_name(hub, tiny_folder, monkeypatch):
    monkeypatch.chdir(tiny_folder("some/model").parents[1])
    assert identity_of("some/model").startswith("sha256:")
    assert hub == []


SHAPE = {"num_hidden_layers": 2, "num_attention_heads": 4, "hidden_size": 48}


@pytest.mark.parametrize(
    ("config", "found"),
    [
        ({"max_position_embeddings": 2048}, 2048),
        ({"n_positions": 1024}, 1024),
        ({"text_config": {"max_position_embeddings": 512}}, 512),
        ({"max_position_embeddings": "many"}, None),
        ({}, None),
    ],
)
def test_a_config_tells_the_trained_length_or_it_is_unknown(config, found):
    assert provenance.trained_length(config) == found


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


def test_a_subfolder_is_read_in_the_place_of_the_folder(tiny_folder, tmp_path):
    save(tiny_llama(seed=3), tmp_path / "models" / "large")
    within = ModelArguments(str(tmp_path / "models"), subfolder="large")
    assert read_config(within)["model_type"] == "llama"
    assert identity(within) == identity_of(tmp_path / "models" / "large")
    assert within.source == within.name == f"{tmp_path}/models/large"
    assert (within.title, str(within)) == ("large", f"pretrained={tmp_path}/models,subfolder=large")


def test_a_tokenizer_around_a_subfolder_is_part_of_its_identity(tmp_path):
    folder = save(tiny_llama(), tmp_path / "sub")
    args = ModelArguments(str(tmp_path), subfolder="sub")
    (tmp_path / "tokenizer.json").write_text("{}")
    before = identity(args)
    assert before == identity_of(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()
    around = identity(args)
    (tmp_path / "tokenizer.json").write_text("{ }")
    assert len({before, around, identity(args)}) == 3


@pytest.mark.parametrize("name", ["other", "su", "sub/deeper"])
def test_a_subfolder_that_is_not_there_is_refused(tmp_path, name):
    save(tiny_llama(), tmp_path / "sub")
    with pytest.raises(ValueError, match=f"there is no folder {tmp_path}/{name}"):
        read_config(ModelArguments(str(tmp_path), subfolder=name))


def test_a_subfolder_of_the_hub_is_asked_for_and_is_part_of_the_identity(monkeypatch, tmp_path):
    asked = []
    path = tmp_path / "snapshots" / COMMIT / "sub" / "config.json"
    path.parent.mkdir(parents=True)
    path.write_text('{"model_type": "llama"}')

    def download(name, file, **options):
        asked.append((name, file, options))
        return str(path)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    args = ModelArguments("org/model", subfolder="sub", revision="v1")
    assert read_config(args) == {"model_type": "llama"}
    assert asked == [("org/model", "config.json", {"revision": "v1", "subfolder": "sub"})]
    assert identity(args) == f"commit:{COMMIT}/sub"
    assert identity(ModelArguments("org/model")) == f"commit:{COMMIT}"
