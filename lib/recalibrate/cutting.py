"""Documents of any length as token ids: long ones are tokenized in pieces, because memory grows with what is together.

A tokenizer takes a hundred and more bytes for every character of a text.
"""

import re
from collections.abc import Iterator, Sequence

import numpy as np
import transformers

PIECE = 1 << 20
"""Characters that are tokenized together, of one document or of several."""
BETWEEN_WORDS = re.compile(r"(?<=\w) (?=\w)")


def encode(
    documents: Sequence[str], tokenizer: transformers.PreTrainedTokenizerBase, most: int | None = None
) -> Iterator[np.ndarray]:
    """Ids [pos] of every document, with the tokenizer's special tokens; of a long one, `most` ids or more are enough.

    A document of more than PIECE characters is cut between two words, which leaves its tokens as they are. Without two
    words within so many characters it is cut anywhere, and a token or two are others.
    """
    group: list[str] = []
    size = 0
    for document in documents:
        if size + len(document) > PIECE:
            yield from _together(group, tokenizer)
            group, size = [], 0
        if len(document) > PIECE:
            yield _in_pieces(document, tokenizer, most)
        else:
            group.append(document)
            size += len(document)
    yield from _together(group, tokenizer)


def pieces(document: str, kept: str) -> Iterator[str]:
    """A document in pieces of PIECE characters or more; all but the first begin with `kept` in place of a space."""
    start = 0
    while len(document) - start > PIECE:
        space = BETWEEN_WORDS.search(document, start + PIECE, start + 2 * PIECE)
        end = space.start() if space else start + PIECE
        yield document[start:end]
        start = end
        if space and not kept:
            start += 1
    yield document[start:]


def _together(documents: list[str], tokenizer: transformers.PreTrainedTokenizerBase) -> list[np.ndarray]:
    if not documents:
        return []
    return [np.array(ids, dtype=np.int64) for ids in _plain(tokenizer, documents, special=True)]


def _in_pieces(document: str, tokenizer: transformers.PreTrainedTokenizerBase, most: int | None) -> np.ndarray:
    (both,), (one,) = _plain(tokenizer, ["a b"], special=False), _plain(tokenizer, ["a"], special=False)
    (bare,), (spaced,) = _plain(tokenizer, ["b"], special=False), _plain(tokenizer, [" b"], special=False)
    # a tokenizer that puts a space before every text makes one of its own
    kept = "" if both == one + bare and both != one + spaced else " "
    (whole,) = _plain(tokenizer, ["a"], special=True)
    before = next((i for i in range(len(whole)) if whole[i : i + len(one)] == one), 0)
    parts = [whole[:before]]
    for piece in pieces(document, kept):
        parts.append(np.array(_plain(tokenizer, [piece], special=False)[0], dtype=np.int64))
        if most is not None and sum(map(len, parts)) >= most:
            break
    parts.append(whole[before + len(one) :])
    return np.concatenate([np.asarray(part, dtype=np.int64) for part in parts])


def _plain(tokenizer: transformers.PreTrainedTokenizerBase, texts: list[str], *, special: bool) -> list[list[int]]:
    return tokenizer(texts, truncation=False, verbose=False, add_special_tokens=special)["input_ids"]
