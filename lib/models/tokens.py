"""Tokenizers: load one, cut texts to the same number of tokens, and compare tokenizers."""

import hashlib
import json
from collections.abc import Sequence

import torch
import transformers
from transformers import PreTrainedTokenizerBase

from lib.checkpoints import ModelArguments, first_sentence, gguf_of, read_config
from lib.models.drope import drope_config, is_drope
from lib.models.from_gguf import gguf_tokenizer
from lib.texts import Text


def tokenize(texts: Sequence[Text], tokenizer: PreTrainedTokenizerBase, tokens: int) -> torch.Tensor:
    """Token ids [text, pos] of the first `tokens` tokens of every text, including the tokenizer's special tokens.

    All rows have the same length, so that counts of texts are comparable and nothing is padded.
    Raises ValueError with the name of a text that is too short.
    """
    rows = []
    for text in texts:
        ids = tokenizer(text.text, truncation=False, verbose=False)["input_ids"]
        if len(ids) < tokens:
            raise ValueError(
                f"the text {text.name!r} has {len(ids)} tokens, {tokens} are needed: lengthen it or lower --max-tokens"
            )
        rows.append(ids[:tokens])
    return torch.tensor(rows)


def tokenizer_signature(tokenizer: PreTrainedTokenizerBase) -> str:
    """A hash of a tokenizer's behaviour: its vocabulary, and the tokens of a sentence with special tokens."""
    probe = tokenizer("Both arms must cut THIS sentence, and 3.14 \u00fc, in the same way.\n\tx = 1")["input_ids"]
    content = json.dumps([sorted(tokenizer.get_vocab().items(), key=lambda item: item[1]), probe])
    return hashlib.sha256(content.encode()).hexdigest()


def load_tokenizer(args: ModelArguments) -> transformers.PreTrainedTokenizerBase:
    """The arm's tokenizer, without loading the weights. Raises ValueError, one sentence, if it has no usable one."""
    if gguf := gguf_of(args):
        return gguf_tokenizer(gguf)
    raw = read_config(args)
    config = drope_config(args, raw) if is_drope(raw) else None
    try:
        return transformers.AutoTokenizer.from_pretrained(
            args.pretrained, revision=args.revision, config=config, trust_remote_code=args.trust_remote_code
        )
    except Exception as error:  # transformers raises nearly any exception for a broken tokenizer
        raise ValueError(
            f"{args.pretrained} has no usable tokenizer ({first_sentence(error)}); save one beside the weights"
        ) from error
