"""The special tokens around a text: what a tokenizer adds, and how to make it add BOS or not."""

from typing import Any

from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedConfig, PreTrainedTokenizerBase

PROBE = "text"


def tokenizer_facts(
    tokenizer: PreTrainedTokenizerBase, embedding: int | None, config: PreTrainedConfig | None = None
) -> dict[str, Any]:
    """What a tokenizer does to every text, as plain JSON values, for the provenance of a record.

    `adds_bos` and `adds_eos` say whether it puts BOS before a text and EOS after it, `bos_token` is None without one,
    `vocabulary` the number of token ids that it knows (its largest id + 1), and `embedding` the number of rows of the
    model's embedding. `expects_bos` is the token that the model of this config expects before a text, or None.
    """
    ids = tokenizer(PROBE)["input_ids"]
    return {
        "adds_bos": tokenizer.bos_token_id is not None and ids[0] == tokenizer.bos_token_id,
        "adds_eos": tokenizer.eos_token_id is not None and ids[-1] == tokenizer.eos_token_id,
        "bos_token": tokenizer.bos_token,
        "vocabulary": max(tokenizer.get_vocab().values()) + 1,
        "embedding": embedding,
        "expects_bos": expected_bos(tokenizer, config),
    }


def bos_id(tokenizer: PreTrainedTokenizerBase, config: PreTrainedConfig | None) -> int | None:
    """The id of the BOS token that a tokenizer names, else its model's config; None if there is no such token."""
    named = tokenizer.bos_token_id
    if named is None:
        named = getattr(config, "bos_token_id", None)
    return named if named in tokenizer.get_vocab().values() else None


def expected_bos(tokenizer: PreTrainedTokenizerBase, config: PreTrainedConfig | None) -> str | None:
    """The BOS token that a model expects before a text, as far as its config and its tokenizer say so.

    A tokenizer that states `add_bos_token` is believed (OPT's does add it, Yi's does not). Otherwise a model expects
    BOS if it has a token for nothing else (Gemma, Llama), and not if the token also ends texts or pads them (GPT-2,
    Pythia, Qwen2) or begins the turns of a chat (SmolLM2).
    """
    bos, stated = bos_id(tokenizer, config), tokenizer.init_kwargs.get("add_bos_token")
    if bos is None or stated is False:
        return None
    token = tokenizer.convert_ids_to_tokens(bos)
    others = [
        value
        for holder in (tokenizer, config)
        for name in ("eos_token_id", "pad_token_id")
        for value in _listed(getattr(holder, name, None))
    ]
    template = str(tokenizer.chat_template or "")
    turns = token in template and "bos_token" not in template
    return token if stated or not (bos in others or turns) else None


def _listed(value: Any) -> list:
    return value if isinstance(value, list) else [value]


def set_bos(tokenizer: PreTrainedTokenizerBase, add: bool, name: str) -> None:
    """Make a tokenizer put BOS before every text, once, or not at all. All else that it adds stays.

    It is changed in place, so whoever cuts texts with it, or saves it, has it so. `name` is for the errors.
    Raises ValueError, one sentence, if it has no BOS token to add, or does not obey.
    """
    if add and tokenizer.bos_token_id is None:
        raise ValueError(f"add_bos_token=True: the tokenizer of {name} has no BOS token to add: leave the argument out")
    before, plain, after = _parts(tokenizer)
    wanted = [*([tokenizer.bos_token_id] if add else []), *(i for i in before if i != tokenizer.bos_token_id)]
    if before == wanted:
        return
    if hasattr(tokenizer, "backend_tokenizer"):
        around = {"before": wanted, "after": after}
        tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
            single=[*(["before"] if wanted else []), "$A", *(["after"] if after else [])],
            special_tokens=[
                {"id": place, "ids": ids, "tokens": tokenizer.convert_ids_to_tokens(ids)}
                for place, ids in around.items()
                if ids
            ],
        )
    else:
        tokenizer.add_bos_token = add
    if tokenizer(PROBE)["input_ids"] != [*wanted, *plain, *after]:
        raise ValueError(f"the tokenizer of {name} does not obey add_bos_token={add}: give another by tokenizer=")


def _parts(tokenizer: PreTrainedTokenizerBase) -> tuple[list[int], list[int], list[int]]:
    """The ids that a tokenizer puts before a text, those of the text, and those that it puts after it."""
    whole = tokenizer(PROBE)["input_ids"]
    plain = tokenizer(PROBE, add_special_tokens=False)["input_ids"]
    places = (i for i in range(len(whole) - len(plain) + 1) if whole[i : i + len(plain)] == plain)
    start = next(places, 0)
    return whole[:start], plain, whole[start + len(plain) :]
