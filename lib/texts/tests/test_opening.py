import sys
from unittest.mock import Mock

import datasets
import huggingface_hub
import pyarrow
import pyarrow.parquet
import pytest
from huggingface_hub import errors

from lib.texts.opening import rows_of
from lib.texts.sources import parse

pytestmark = pytest.mark.cpu

ROWS = [{"body": f"text {i}", "topic": "ab"[i % 2]} for i in range(4)]


@pytest.fixture
def parquet(tmp_path):
    folder = tmp_path / "dataset"
    folder.mkdir()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(ROWS), folder / "test-00000.parquet")
    return folder / "test-00000.parquet"


@pytest.fixture
def hub(monkeypatch):
    """Makes the hub answer that a dataset is there, or raise an error."""

    def answer(error=None):
        def ask(self, name, **_):
            if error:
                raise error

        monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", ask)

    return answer


def opened(text):
    return list(rows_of(parse(text)))


def test_a_parquet_file_is_read_row_by_row(parquet):
    assert opened(f"{parquet}") == ROWS


def test_a_folder_is_read_like_a_dataset_of_the_hub(parquet):
    assert opened(f"hf:{parquet.parent},split=test") == ROWS


def test_a_dataset_of_the_hub_is_streamed_with_its_configuration_split_and_revision(hub, monkeypatch):
    asked = []
    monkeypatch.setattr(datasets, "load_dataset", lambda *a, **k: asked.append((a, k)) or ROWS)
    hub()
    assert opened("hf:org/name:big,split=test,revision=v1") == ROWS
    assert asked == [(("org/name", "big"), {"split": "test", "revision": "v1", "streaming": True})]


def test_without_a_network_there_is_one_sentence_at_once(hub):
    hub(ConnectionError("Name or service not known"))
    with pytest.raises(
        ValueError, match=r"^the texts in hf:org/name cannot be read, because the hub cannot be reached"
    ):
        opened("hf:org/name")


def test_a_hub_that_is_switched_off_gets_the_same_sentence(monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ValueError, match="the hub cannot be reached"):
        opened("hf:org/name")


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (errors.RepositoryNotFoundError, "there is no dataset 'org/name' on the hub, or it is private"),
        (errors.GatedRepoError, "the dataset org/name is gated: accept its terms"),
        (errors.RevisionNotFoundError, "the dataset org/name has no revision 'v1'"),
    ],
)
def test_what_the_hub_refuses_gets_a_sentence(hub, error, sentence):
    hub(error("no", response=Mock()))
    with pytest.raises(ValueError, match=sentence):
        opened("hf:org/name,revision=v1")


def test_a_name_that_no_dataset_can_have_gets_a_sentence():
    with pytest.raises(ValueError, match="neither a folder here nor a dataset's id"):
        opened("hf:a/b/c")


def test_a_split_that_is_missing_gets_a_sentence(parquet):
    with pytest.raises(ValueError, match=r"cannot be read: Bad split: train. Available splits: \['test'\]"):
        opened(f"hf:{parquet.parent}")


def test_a_file_that_is_missing_or_damaged_gets_a_sentence(parquet):
    with pytest.raises(ValueError, match=r"none.parquet cannot be read: there is no such file"):
        opened(str(parquet.with_name("none.parquet")))
    parquet.write_bytes(parquet.read_bytes()[:-20])
    with pytest.raises(ValueError, match=r"^the texts in .* cannot be read: "):
        opened(str(parquet))


def test_a_missing_package_gets_a_sentence(parquet, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ValueError, match="needs the package datasets: pip install datasets"):
        opened(str(parquet))
