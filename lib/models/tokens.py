"""Tokenizers: load one, cut texts to the same number of tokens, and compare tokenizers."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
import transformers
from transformers import PreTrainedTokenizerBase

from lib.checkpoints import ModelArguments, first_sentence, gguf_of, read_config, tokenizer_folder, tokenizer_identity
from lib.models.drope import drope_config, is_drope
from lib.models.from_gguf import gguf_tokenizer
from lib.models.special_tokens import set_bos
from lib.texts import Text

LONG = 100_000
"""Letters up to which a text is always read whole."""
LONG_TOKEN = 100
"""Letters that are read for each token of longer texts; tokens are rarely longer than 16."""


def tokenize(
    texts: Sequence[Text], tokenizer: PreTrainedTokenizerBase, tokens: int, embedding: int | None = None
) -> torch.Tensor:
    """Token ids [text, pos] of the first `tokens` tokens of every text, including the tokenizer's special tokens.

    All rows have the same length, so that counts of texts are comparable and nothing is padded. `embedding` is the
    number of rows of the model's embedding.
    Raises ValueError with the name of a text that is too short, that holds a token without a row, or whose tokens are
    those of another one: it would count twice, or choose the channels that it is scored with.
    """
    rows: list[list[int]] = []
    names: dict[tuple[int, ...], str] = {}
    for text in texts:
        row = _first(text, tokenizer, tokens)
        if len(row) < tokens:
            raise ValueError(
                f"the text {text.name!r} has {len(row)} tokens, {tokens} are needed: lengthen it or lower --max-tokens"
            )
        if other := names.get(tuple(row)):
            raise ValueError(
                f"the texts {other!r} and {text.name!r} begin with the same {tokens} tokens, and no more are used: "
                "leave one out, or raise --max-tokens"
            )
        names[tuple(row)] = text.name
        rows.append(row)
    ids = torch.tensor(rows)
    if embedding is not None:
        check_ids(ids, texts, embedding)
    return ids


def _first(text: Text, tokenizer: PreTrainedTokenizerBase, tokens: int) -> list[int]:
    """The first `tokens` ids of a text, or all of them if there are fewer.

    Of a very long text only the beginning is split, twice as far at least as its tokens are used, since they may be
    others where it was cut: a whole book takes gigabytes.
    """
    for length in (max(LONG, LONG_TOKEN * tokens), len(text.text)):
        ids = _ids(text, tokenizer, length)
        if len(ids) > 2 * tokens or length >= len(text.text):
            break
    return ids[:tokens]


def _ids(text: Text, tokenizer: PreTrainedTokenizerBase, length: int) -> list[int]:
    try:
        return tokenizer(text.text[:length], truncation=False, verbose=False)["input_ids"]
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # a panic of the library's Rust code is no Exception
        raise ValueError(
            f"the tokenizer cannot cut the text {text.name!r} ({first_sentence(error)}): give another by "
            "tokenizer=ID_OR_FOLDER"
        ) from error


def check_ids(ids: torch.Tensor, texts: Sequence[Text], embedding: int) -> None:
    """Raise ValueError with the name of a text whose ids [text, pos] reach beyond the `embedding` rows of a model."""
    for text, largest in zip(texts, ids.amax(1).tolist(), strict=True):
        if largest >= embedding:
            raise ValueError(
                f"the text {text.name!r} holds the token id {largest}, and the model's embedding has {embedding} rows: "
                "the tokenizer is not that of the model, give it by tokenizer=ID_OR_FOLDER"
            )


def embedding_rows(model: transformers.PreTrainedModel) -> int:
    """The number of rows of a model's embedding, which is the number of token ids that it can read."""
    return model.get_input_embeddings().weight.shape[0]


def rows_in_config(config: Mapping) -> int | None:
    """The same number as a config.json says it; None if it does not."""
    text = config.get("text_config")
    return {**config, **(text if isinstance(text, Mapping) else {})}.get("vocab_size")


def signature(ids: torch.Tensor) -> str:
    """A hash of the ids [text, pos] that a tokenizer makes of some texts: what it does to them, and nothing else of it.

    A tokenizer with a token that no text holds, as recalibration may add for padding, reads the same.
    """
    return hashlib.sha256(json.dumps(ids.tolist()).encode()).hexdigest()


def load_tokenizer(args: ModelArguments) -> transformers.PreTrainedTokenizerBase:
    """The arm's tokenizer, with or without BOS as its arguments ask, without loading the weights.

    Raises ValueError, one sentence, if it has no usable one, or none that can be as the arguments ask.
    """
    _refuse_bare_sentencepiece(args)
    tokenizer = _elsewhere(args) if args.tokenizer else _its_own(args)
    if args.add_bos_token is not None:
        set_bos(tokenizer, args.add_bos_token, args.tokenizer or args.source)
    return tokenizer


def _refuse_bare_sentencepiece(args: ModelArguments) -> None:
    """What transformers makes of a bare tokenizer.model depends on the class that it guesses: tokens get lost."""
    folder = Path(args.tokenizer) if args.tokenizer else None if args.is_gguf else tokenizer_folder(args)
    held = {path.name for path in folder.glob("*")} if folder else set()
    if "tokenizer.model" in held and not held & {"tokenizer.json", "vocab.json"} and not args.trust_remote_code:
        raise ValueError(
            f"{folder} holds its tokenizer as tokenizer.model alone, which transformers does not cut texts by as "
            "SentencePiece does: put the model's tokenizer.json beside it, or give tokenizer=ID_OR_FOLDER"
        )


def _its_own(args: ModelArguments) -> transformers.PreTrainedTokenizerBase:
    if gguf := gguf_of(args):
        return gguf_tokenizer(gguf)
    raw = read_config(args)
    config = drope_config(args, raw) if is_drope(raw) else None
    where = str(tokenizer_folder(args) or args.pretrained)
    options = {"config": config, "trust_remote_code": args.trust_remote_code}
    places = [args.on_hub, replace(args, subfolder=None).on_hub]  # beside the weights, else around their subfolder
    for on_hub in places if "subfolder" in args.on_hub else places[:1]:
        try:
            return transformers.AutoTokenizer.from_pretrained(where, **on_hub, **options)
        except Exception as error:  # transformers raises nearly any exception for a broken tokenizer
            broken = error
    raise ValueError(
        f"{where} has no usable tokenizer ({first_sentence(broken)}); save one beside the weights, or "
        "give tokenizer=ID_OR_FOLDER"
    ) from broken


def _elsewhere(args: ModelArguments) -> transformers.PreTrainedTokenizerBase:
    tokenizer_identity(args.tokenizer)  # it says in one sentence what is wrong with a name or with the hub
    try:
        return transformers.AutoTokenizer.from_pretrained(args.tokenizer, trust_remote_code=args.trust_remote_code)
    except Exception as error:  # as above
        raise ValueError(f"tokenizer={args.tokenizer} is not usable ({first_sentence(error)})") from error
