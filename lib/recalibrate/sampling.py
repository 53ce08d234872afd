"""Training texts that a model writes itself: rows of tokens at temperature 1, saved as a file, resumable."""

import json
import os
from pathlib import Path

import torch
import transformers

from lib.models import Arm
from lib.recalibrate import notes

ROWS = 64
"""Rows that are sampled together: more are hardly faster on a CPU, and a stop loses all of those that are begun."""


def sample(arm: Arm, origin: str, file: Path, *, total: int, tokens: int, seed: int) -> Path:
    """Write rows of `tokens` tokens, `total` tokens together or more, to `file`: JSON lines, `input_ids` and `text`.

    Every row begins with the tokenizer's start token, or where it has none with its end token, and is sampled from the
    model's whole distribution at temperature 1; an end token ends nothing. `origin` names the model. Every batch has a
    seed of its own: a file that a stopped run left behind is gone on with, and becomes what it would have been.
    Raises ValueError, one sentence, for a model that has neither token, or a file that was begun otherwise.
    """
    start = next((i for i in (arm.tokenizer.bos_token_id, arm.tokenizer.eos_token_id) if i is not None), None)
    if start is None:
        raise ValueError(f"{origin} has neither a start nor an end token to begin a text with: give files of texts")
    needed = -(-total // tokens)
    made_of = {"model": origin, "start": start, "rows": needed, "tokens": tokens, "seed": seed, "batch": ROWS}
    sampled = _begun(file, made_of)
    with file.open("a", encoding="utf-8", newline="\n") as stream:
        while sampled < needed:
            ids = rows(arm, start, tokens, seed=1_000_003 * seed + sampled)[: needed - sampled]
            stream.writelines(
                json.dumps({"input_ids": row, "text": arm.tokenizer.decode(row)}) + "\n" for row in ids.tolist()
            )
            stream.flush()
            os.fsync(stream.fileno())
            sampled += len(ids)
            print(f"sampled {sampled * tokens} of {needed * tokens} tokens", flush=True)
    return file


@torch.no_grad()
def rows(arm: Arm, start: int, tokens: int, *, seed: int) -> torch.Tensor:
    """Token ids [batch, pos] of ROWS rows of `tokens` tokens, each sampled at temperature 1 after the token `start`."""
    model = arm.model
    generator = torch.Generator(model.device).manual_seed(seed)
    known = min(len(arm.tokenizer), model.get_input_embeddings().num_embeddings)  # embeddings may be padded with others
    ids = torch.full((ROWS, 1), start, device=model.device)
    cache = transformers.DynamicCache(config=model.config)
    for _ in range(tokens - 1):
        logits = model(ids[:, -1:], past_key_values=cache, use_cache=True).logits[:, -1, :known]
        # one uniform number a row; torch.multinomial draws one for each token of the vocabulary
        below = logits.double().softmax(-1).cumsum(-1)
        drawn = torch.rand(ROWS, 1, generator=generator, device=model.device, dtype=below.dtype) * below[:, -1:]
        ids = torch.cat([ids, torch.searchsorted(below, drawn, right=True).clamp(max=known - 1)], 1)
    return ids


def _begun(file: Path, made_of: dict) -> int:
    """How many rows a stopped run left in `file`; a line that it did not finish is cut off.

    A fresh file gets a note beside it of what it is made of. Raises ValueError for a file that was begun otherwise.
    """
    note = file.with_suffix(".note.json")
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        notes.write(note, made_of)
        return 0
    if not note.is_file():
        raise ValueError(f"{file} has no note of what it is made of: delete it, or give it itself as --texts")
    if other := notes.difference(note, made_of):
        raise ValueError(f"{file} was sampled with {other}: delete it, or give it itself as --texts")
    content = file.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    count = whole.count(b"\n")
    kept = count if count == made_of["rows"] else count // ROWS * ROWS  # batches are whole, or they are drawn again
    file.write_bytes(b"".join(whole.splitlines(keepends=True)[:kept]))
    return kept
