"""What a record tells of its model: sizes of the states, the tokenizer, and the sites at which it can be read."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import xarray as xr

from lib.checkpoints import sizes
from lib.records.files import provenance_of


@dataclass(frozen=True)
class Look:
    """What can be known of an arm before its weights are: `sizes`, and a hash of what its tokenizer does."""

    sizes: Mapping[str, int | None]
    tokenizer: str


def look_at(record: xr.Dataset) -> Look:
    """Sizes and tokenizer of the arm that a record was made of."""
    origin = provenance_of(record)
    _, layers, heads, dim = record["query_norm"].shape
    states = {"num_hidden_layers": layers, "num_attention_heads": heads, "head_dim": dim}
    states["num_key_value_heads"] = record["key_norm"].shape[2]
    return Look({**sizes(origin["config"]), **states}, origin["tokenizer"])


def tokenizers(records: Iterable[xr.Dataset]) -> set[str]:
    """What the tokenizers that records were made with do, as hashes; a record that does not tell is passed over."""
    origins = (provenance_of(record) for record in records if "provenance" in record.attrs)
    return {origin["tokenizer"] for origin in origins if "tokenizer" in origin}


def sites_of(record: xr.Dataset) -> list[str]:
    """The sites at which the states of a record's model can be read."""
    return record.attrs["sites"].split()


def site_before(record: xr.Dataset) -> str:
    """The last site before the rotation: after the norms of query and key where the model has them."""
    return "normed" if "normed" in sites_of(record) else "projection"
