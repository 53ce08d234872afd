"""Properties of the model of a record: sizes of its states, its tokenizer, and the sites at which it can be read."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import xarray as xr

from lib import checkpoints
from lib.definitions import from_json, label
from lib.records.files import provenance_of


@dataclass(frozen=True)
class Profile:
    """Properties of an arm that are known without its weights: `sizes`, and a signature of its `tokenizer`."""

    sizes: Mapping[str, int | None]
    tokenizer: str


def profile_of(record: xr.Dataset) -> Profile:
    """Sizes and tokenizer of the arm of a record."""
    origin = provenance_of(record)
    _, layers, heads, dim = record["query_norm"].shape
    states = {"num_hidden_layers": layers, "num_attention_heads": heads, "head_dim": dim}
    states["num_key_value_heads"] = record["key_norm"].shape[2]
    return Profile({**checkpoints.sizes(origin["config"]), **states}, origin["tokenizer"])


def tokenizers(records: Iterable[xr.Dataset]) -> set[str]:
    """Signatures of the tokenizers that records were made with; records without a signature are passed over."""
    origins = (provenance_of(record) for record in records if "provenance" in record.attrs)
    return {origin["tokenizer"] for origin in origins if "tokenizer" in origin}


def sites_of(record: xr.Dataset) -> list[str]:
    """The sites at which the states of a record's model can be read."""
    return record.attrs["sites"].split()


def unreadable_of(record: xr.Dataset) -> dict[str, str]:
    """What cannot be read in a record's model beside its states, each with a sentence; {} in a record of older code."""
    return from_json(record.attrs.get("unreadable", "{}"))


def site_before(record: xr.Dataset) -> str:
    """The last site before the rotation: after the norms of query and key if the model has them."""
    return "normed" if "normed" in sites_of(record) else "projection"


def label_of(record: xr.Dataset, arm: str) -> str:
    """The name of an arm for readers, as its record tells what it is."""
    origin = provenance_of(record) if "provenance" in record.attrs else {}
    return label(arm, origin.get("arguments", {}).get("rope"))


def trained_length(record: xr.Dataset) -> int | None:
    """The number of tokens that a record's model was trained to read at most; None if the record does not tell."""
    origin = provenance_of(record) if "provenance" in record.attrs else {}
    return checkpoints.trained_length(origin.get("config", {}))
