import pytest
from huggingface_hub import constants

from lib.checkpoints import series
from lib.checkpoints.tokenizers import has_tokenizer, tokenizer_identity

pytestmark = pytest.mark.cpu


def test_a_tokenizer_in_a_folder_is_known_by_the_content_of_its_files(tmp_path):
    (tmp_path / "tokenizer.json").write_text("{}")
    before = tokenizer_identity(str(tmp_path))
    (tmp_path / "model.safetensors").write_text("weights are none of it")
    assert tokenizer_identity(str(tmp_path)) == before
    (tmp_path / "merges.txt").write_text("a b")
    assert tokenizer_identity(str(tmp_path)) != before


def test_a_folder_without_a_tokenizer_is_refused(tmp_path):
    assert not has_tokenizer(tmp_path)
    with pytest.raises(ValueError, match="holds no tokenizer: give tokenizer= a folder"):
        tokenizer_identity(str(tmp_path))


def test_a_tokenizer_of_the_hub_without_a_network_gets_a_sentence(monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ValueError, match="org/name is no folder here"):
        tokenizer_identity("org/name")


def test_checkpoints_need_no_tokenizer_of_their_own_when_one_is_given(tiny_folder, tmp_path):
    for number in (1, 2):
        (tiny_folder(f"checkpoint-{number}") / "tokenizer.json").unlink()
        (tmp_path / f"checkpoint-{number}" / "tokenizer_config.json").unlink()
    pattern = f"{tmp_path}/checkpoint-*"
    with pytest.raises(ValueError, match=r"has no tokenizer.* or give tokenizer=ID_OR_FOLDER"):
        series.read(pattern)
    assert len(series.read(f"{pattern},tokenizer=elsewhere").usable) == 2
