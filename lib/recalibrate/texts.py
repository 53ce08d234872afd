"""Texts for training, from files or a dataset on the hub, cut into rows of the same number of tokens."""

from collections.abc import Sequence
from glob import glob
from pathlib import Path

import datasets
import numpy as np
import transformers

from lib.recalibrate.cutting import encode
from lib.texts import FORMATS as ROWS
from lib.texts import ending

FORMATS = {".json": "json", ".json.gz": "json", ".txt": "text", ".txt.gz": "text", **ROWS}
Rows = datasets.Dataset | datasets.IterableDataset


def read(
    texts: Sequence[str], *, field: str = "text", split: str = "train", streaming: bool = False
) -> tuple[Rows, str]:
    """The documents of `texts`, one in each row, and the name of the field that holds them.

    `texts` are files or patterns of files (.jsonl, .ndjson, .json, .parquet, or .txt, where an empty line ends a
    document; all but .parquet also as .gz) or one dataset on the hub: `org/name`, or `org/name:config`.
    Raises ValueError, one sentence, if they cannot be read.
    """
    if ending(texts[0]) in FORMATS:
        files = [Path(file) for text in texts for file in (sorted(glob(text)) or [text])]
        if missing := [str(file) for file in files if not file.is_file()]:
            raise ValueError(f"there is no file {missing[0]}")
        kinds = {FORMATS.get(ending(file)) for file in files}
        if len(kinds) > 1:
            raise ValueError(f"files of one format are needed, not {' and '.join(sorted(set(map(ending, files))))}")
        (kind,) = kinds
        where, options = kind, {"data_files": [str(file) for file in files]}
        if kind == "text":
            field, options = "text", {**options, "sample_by": "paragraph"}
    elif len(texts) == 1:
        where, _, config = texts[0].partition(":")
        options = {"name": config or None}
    else:
        raise ValueError(f"{texts[0]} is no text file ({', '.join(FORMATS)}), and only one dataset can be named")
    try:
        documents = datasets.load_dataset(where, split=split, streaming=streaming, **options)
    except Exception as error:  # the library raises nearly any exception for a broken file or a missing dataset
        reason = (str(error.__cause__ or error).strip().splitlines() or [type(error).__name__])[0]
        raise ValueError(f"the texts {', '.join(texts)} cannot be read: {reason[:200]}") from error
    if documents.column_names and field not in documents.column_names:
        columns = ", ".join(documents.column_names)
        raise ValueError(f"the texts have no field {field!r}, only {columns}: name it with --text_field")
    return documents, field


def rows(
    documents: Rows,
    field: str,
    tokenizer: transformers.PreTrainedTokenizerBase,
    tokens: int,
    *,
    one_per_row: bool = False,
) -> Rows:
    """Rows of `tokens` tokens, as `input_ids` and `labels` [tokens].

    Rows that a model wrote itself (`input_ids`) stay as they are. Documents follow one another without gaps, each with
    the tokenizer's special tokens and its end-of-text token, if any. With `one_per_row`, a row is the start of one
    document, and shorter documents are left out.
    Raises ValueError if no row can be filled, or if the field holds anything but texts.
    """
    if "input_ids" in (documents.column_names or ()):
        lengths = {len(row["input_ids"]) for row in documents}
        if lengths != {tokens}:
            raise ValueError(f"the texts hold rows of {', '.join(map(str, sorted(lengths)))} tokens: give --tokens so")
        return documents.map(lambda batch: {"labels": batch["input_ids"]}, batched=True, remove_columns=[field])
    end = np.array([] if one_per_row or tokenizer.eos_token_id is None else [tokenizer.eos_token_id], dtype=np.int64)
    streamed = isinstance(documents, datasets.IterableDataset)

    def cut(batch: dict) -> dict:
        if other := [text for text in batch[field] if not isinstance(text, str)]:
            raise ValueError(f"the field {field!r} of the texts holds no text but {other[0]!r}"[:200])
        ids = encode(batch[field], tokenizer, most=tokens if one_per_row else None)
        if one_per_row:
            stream = [document[:tokens] for document in ids if len(document) >= tokens]
        else:
            stream = [part for document in ids for part in (document, end)]
        flat = np.concatenate([np.empty(0, dtype=np.int64), *stream])
        whole = flat[: len(flat) // tokens * tokens].reshape(-1, tokens)
        rows = whole.tolist() if streamed else list(whole)
        return {"input_ids": rows, "labels": rows}

    filled = documents.map(cut, batched=True, remove_columns=documents.column_names or [field])
    if isinstance(filled, datasets.Dataset) and not len(filled):
        short = "no document has" if one_per_row else "the texts together have not"
        raise ValueError(f"{short} {tokens} tokens, so not one row can be filled: lower --tokens or give more texts")
    return filled
