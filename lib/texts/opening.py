"""Open the rows of a parquet or JSON-lines file, of a dataset in a folder, or of one on the hub."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import huggingface_hub
from huggingface_hub import errors

from lib.texts.sources import FORMATS, Source, ending

TIMEOUT = 10
"""Seconds that the hub has to answer."""


def is_remote(source: Source) -> bool:
    """Must the hub be asked for the texts?"""
    return source.on_hub and not Path(source.where).is_dir()


def rows_of(source: Source) -> Iterator[Mapping[str, Any]]:
    """The rows of a source, read one after the other as they are asked for, so that nothing large is downloaded.

    Raises ValueError, one sentence, if they cannot be read, also in the middle.
    """
    if not source.on_hub and not Path(source.where).is_file():
        raise ValueError(f"the texts in {source.where} cannot be read: there is no such file")
    if is_remote(source):
        _ask_hub(source)
    try:
        import datasets  # it takes seconds to import, and most texts do without it
    except ImportError as error:
        raise ValueError(f"--texts {source} needs the package datasets: pip install datasets") from error
    try:
        if source.on_hub:
            opened = datasets.load_dataset(
                source.where,
                source.config,
                split=source.split,
                revision=source.revision if is_remote(source) else None,
                streaming=True,
            )
        else:
            files = {"train": source.where}
            kind = FORMATS[ending(source.where)]
            opened = datasets.load_dataset(kind, data_files=files, split="train", streaming=True)
        yield from opened
    except Exception as error:  # the library raises nearly any exception for a broken file or a missing split
        reason = (str(error.__cause__ or error).strip().splitlines() or [type(error).__name__])[0]
        raise ValueError(f"the texts in {source} cannot be read: {reason[:200]}") from error


def _ask_hub(source: Source) -> None:
    """Raise ValueError, one sentence, unless the hub has the dataset: `datasets` itself tries for half a minute."""
    name = source.where
    try:
        huggingface_hub.HfApi().dataset_info(name, revision=source.revision, timeout=TIMEOUT)
    except errors.HFValidationError as error:
        raise ValueError(f"{name} is neither a folder here nor a dataset's id such as name/dataset") from error
    except errors.GatedRepoError as error:
        raise ValueError(f"the dataset {name} is gated: accept its terms on its page and set HF_TOKEN") from error
    except errors.RevisionNotFoundError as error:
        raise ValueError(f"the dataset {name} has no revision {source.revision!r}") from error
    except errors.RepositoryNotFoundError as error:
        where = "on the hub, or it is private and HF_TOKEN is not set"
        raise ValueError(f"there is no dataset {name!r} {where}") from error
    except Exception as error:  # the hub's client raises those of whatever it talks through
        raise ValueError(
            f"the texts in {source} cannot be read, because the hub cannot be reached ({type(error).__name__}): give "
            "texts in a file, or the --records of a run that has read them"
        ) from error
