"""The layout of records: which arrays and facts each experiment writes, and within which bounds."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr

from lib.definitions import (
    ASKED,
    BANDS,
    EDITED,
    IN_MODULES,
    INPUTS,
    NAMES,
    OF_ACTIVATIONS,
    OF_PROMPT,
    PARTS,
    SITES,
    WHERE,
    compared_conditions,
    conditions,
    from_json,
)
from lib.records.opening import Misfit

FLOAT32 = float(np.finfo(np.float32).max)
LOSS = 2 * FLOAT32
"""A loss is a difference of two logits in float32."""
ROUNDING = 1e-9
"""How far a share may be above 1: its parts are added up in another order than the whole."""
ROUNDED = 1e-5
"""How far a share may be above 1 that was computed in float32."""
NORM = FLOAT32**0.5
"""The squares of a norm are added up in float32."""
HEADS = {"query": "head", "key": "kv_head", "value": "kv_head"}


@dataclass(frozen=True)
class Array:
    """What an array must be: its type, one of some `dims`, and bounds; NaN stands for the unknown where it may."""

    dtype: str
    dims: tuple[tuple[str, ...], ...]
    least: float = 0.0
    most: float = FLOAT32
    unknown: bool = False
    optional: bool = False


def _of(name: str, *first: str) -> tuple[str, ...]:
    """Dims of something that each channel of a tensor has."""
    return (*first, "layer", HEADS[name], "dim")


SCALAR = Array("float64", ((),))
NUMBER = Array("int64", ((),))
TOKENS = Array("int64", ((),), 2)
FREQUENCY = Array("float64", (("layer", "dim"),), unknown=True)
VALUE = Array("float32", tuple(("text", "layer", "kv_head", dim) for dim in ("dim", "value_dim")), most=NORM)
NORMS = {
    **{
        f"{name}_{kind}": Array("float32", (_of(name, "text"),), most=NORM)
        for name in EDITED
        for kind in ("norm", "rest_norm")
    },
    **{f"value_{kind}": VALUE for kind in ("norm", "rest_norm")},
    **{f"{name}_row_norm": Array("float32", (_of(name),), most=NORM, optional=True) for name in EDITED},
    "frequency": FREQUENCY,
    "nll": Array("float64", (("text",),), -LOSS, LOSS),
    "position_change": SCALAR,
    "position_noise": SCALAR,
}
LOSSES = {"nll": Array("float64", (("text", "condition"),), -LOSS, LOSS)}


def _masks(*kinds: str) -> dict[str, Array]:
    return {
        f"{name}_{kind}": Array("bool", (_of(name), _of(name, "text")), most=1) for name in EDITED for kind in kinds
    }


RANKED = ("text", "stream", "rank")
LAYOUT: Mapping[str, Mapping[str, Array]] = {
    "norms": NORMS,
    "disruption": {**LOSSES, **_masks("zeroed")},
    "bands": {**LOSSES, **_masks(*BANDS), "frequency": FREQUENCY},
    "specificity": {
        **LOSSES,
        **{f"{name}_replaced": Array("bool", (_of(name, "condition"),), most=1) for name in EDITED},
        **{f"{name}_share": Array("float64", (("condition", "layer"),), most=1 + ROUNDING) for name in EDITED},
    },
    "tasks": {
        "likelihood": Array("float64", (("item", "condition", "choice"),), -LOSS, 0.0, unknown=True),
        "written": Array("bool", (("item", "condition", "choice"),), most=1),
        **{name: Array("int64", (("item",),)) for name in ("answer", "choices", "tokens")},
        **{name: Array("float64", (("item",),), unknown=True) for name in ("length", "depth")},
        **{f"{name}_replaced": Array("bool", (_of(name),), most=1) for name in EDITED},
    },
    "stream": {
        "stream_norm": Array("float32", (("text", "stream", "where"),), most=NORM),
        "added_norm": Array("float32", (("text", "layer", "part", "where"),), most=NORM),
        "state_norm": Array("float32", (("text", "layer", "state", "where"),), most=NORM),
        "run_norm": Array("float32", (("text", "stream", "run"),), most=NORM),
        "median": Array("float32", (("text", "stream"),)),
        "largest": Array("float32", (RANKED,), -FLOAT32),
        "at_delimiter": Array("bool", (RANKED,), most=1),
        **dict.fromkeys(("position", "channel"), Array("int64", (RANKED,))),
        "width": Array("int64", ((),), 1),
        "tokens": TOKENS,
        "nll": Array("float64", (("text",),), -LOSS, LOSS),
    },
    "sinks": {
        "first_share": Array("float64", (("input", "text", "layer", "head"),), most=1 + ROUNDED),
        **{
            f"{name}_norm": Array("float32", (("input", "text", "layer", "kv_head", "where"),), most=NORM)
            for name in ("key", "value")
        },
        "tokens": TOKENS,
    },
    "modules": {
        **LOSSES,
        "replaced": Array("int64", (("text",),)),
        **dict.fromkeys(("layer", "spike"), NUMBER),
        "massive_at": Array("int64", ((),), -1),
    },
}
"""The arrays of each experiment's record."""
NAMED: Mapping[str, Mapping[str, str]] = {
    **{name: {"text": "text", "kind": "text", "condition": "condition"} for name in LAYOUT},
    "norms": {"text": "text", "kind": "text"},
    "tasks": {
        **dict.fromkeys(("item", "task", "knowledge", "template"), "item"),
        "condition": "condition",
    },
    "stream": {"text": "text", "kind": "text", "part": "part", "state": "state", "where": "where"},
    "sinks": {"text": "text", "kind": "text", "input": "input", "where": "where"},
}
"""The names that each experiment's record gives, and the dim along which each lies."""
PROVENANCE: Mapping[str, type | tuple] = {
    **dict.fromkeys(("pretrained", "identity", "class", "dtype", "quantization", "device", "tokenizer"), str),
    "attn_implementation": (str, type(None)),
    **dict.fromkeys(("parameters", "threads"), int),
    **dict.fromkeys(("arguments", "config", "versions", "tokenizer_facts"), dict),
}
"""Facts that every record tells of its weights and of how they were measured."""
WITHIN: Mapping[str, Mapping[str, type | tuple]] = {
    "arguments": {"revision": (str, type(None)), "rope": (str, type(None)), "add_bos_token": (bool, type(None))},
    "config": {"model_type": str},
    "versions": {"torch": str, "transformers": str},
    "tokenizer_facts": {
        **dict.fromkeys(("adds_bos", "adds_eos"), bool),
        "bos_token": (str, type(None)),
        **dict.fromkeys(("vocabulary", "embedding"), int),
    },
}
"""And facts within them."""


def check(record: xr.Dataset, settings: dict) -> None:
    """Raise Misfit, a phrase, unless a record is what the experiment of these settings writes."""
    experiment = settings["experiment"]
    if experiment not in LAYOUT:
        raise Misfit(f"no experiment is called {experiment!r}")
    if _told(record, "settings") != settings:
        raise Misfit("its settings are not those of its checksum")
    _check_provenance(_told(record, "provenance"))
    if experiment == "norms" and not _are_sites(record.attrs.get("sites")):
        raise Misfit("it does not say at which sites its model can be read")
    if "unreadable" in record.attrs and not all(isinstance(why, str) for why in _told(record, "unreadable").values()):
        raise Misfit("it does not say why something cannot be read")
    check_arrays(record, experiment)


def _told(record: xr.Dataset, name: str) -> dict:
    try:
        told = from_json(record.attrs[name])
    except (KeyError, ValueError, TypeError) as error:
        raise Misfit(f"it has no {name}") from error
    if not isinstance(told, dict):
        raise Misfit(f"its {name} are no facts by name")
    return told


def _check_provenance(origin: dict) -> None:
    for facts, needed, of in ((origin, PROVENANCE, ""), *((origin.get(k), v, f"{k}.") for k, v in WITHIN.items())):
        for name, kind in needed.items():
            value = facts.get(name, ...)
            if not isinstance(value, kind) or (isinstance(value, bool) and kind is int):
                raise Misfit(f"its provenance says {'nothing' if value is ... else 'nonsense'} about {of}{name}")
    if not all(isinstance(version, str) for version in origin["versions"].values()):
        raise Misfit("its provenance says nonsense about versions")


def _are_sites(told: object) -> bool:
    return isinstance(told, str) and set(told.split()) <= set(SITES)


def check_arrays(record: xr.Dataset, experiment: str) -> None:
    """Raise Misfit, a phrase, unless the arrays of a record are those of an experiment, with numbers within bounds."""
    layout, named = LAYOUT[experiment], NAMED[experiment]
    needed = {name for name, array in layout.items() if not array.optional}
    if missing := sorted((needed | set(named)) - set(record.variables)):
        raise Misfit(f"it has no {missing[0]}")
    if added := sorted(set(record.variables) - set(layout) - set(named)):
        raise Misfit(f"it has an array {added[0]}, which no run writes")
    if empty := [dim for dim, size in record.sizes.items() if not size]:
        raise Misfit(f"it is empty along {empty[0]}")
    for name, dim in named.items():
        if record[name].dims != (dim,) or not all(isinstance(value, str) for value in record[name].values.tolist()):
            raise Misfit(f"{name} is no list of words")
    for name, array in layout.items():
        if name in record.variables:
            _check_array(name, record[name], array)
    for name, expected in _expected(record, experiment).items():
        if (found := record[name].values.tolist()) != expected:
            raise Misfit(f"its {name}s are {found}, and not {expected}")
    if experiment == "tasks":
        _check_answers(record)


def _expected(record: xr.Dataset, experiment: str) -> dict[str, list[str]]:
    """What a record should name, by dim. The conditions are those of one that has as many, or such, of them."""
    named = {"part": list(PARTS), "state": list(NAMES), "where": list(WHERE), "input": list(INPUTS)}
    expected = {name: of_dim for name, of_dim in named.items() if name in NAMED[experiment]}
    if "condition" in NAMED[experiment]:
        found = record["condition"].values.tolist()
        fixed = {
            "bands": ["baseline", *BANDS],
            "specificity": compared_conditions(),
            "tasks": [c for c in ASKED if c in found or c not in OF_PROMPT],
            "modules": [c for c in IN_MODULES if not set(OF_ACTIVATIONS).isdisjoint(found) or c not in OF_ACTIVATIONS],
        }
        expected["condition"] = fixed.get(experiment) or conditions(max(1, len(found) - 2))
    return expected


def _check_answers(record: xr.Dataset) -> None:
    """Raise Misfit unless each item's answer is one of its choices, each of which has a likelihood, and no other."""
    answer, choices = record["answer"].values, record["choices"].values
    if not ((answer >= 0) & (answer < choices) & (choices >= 2) & (choices <= record.sizes["choice"])).all():
        raise Misfit("the answer of an item is none of its choices")
    offered = np.arange(record.sizes["choice"]) < choices[:, None]
    if not (np.isfinite(record["likelihood"].values) == offered[:, None]).all():
        raise Misfit("its likelihoods are not those of each item's choices")


def _check_array(name: str, found: xr.DataArray, array: Array) -> None:
    if found.dims not in array.dims:
        raise Misfit(f"{name} has the dims {found.dims}, and not {array.dims[0]}")
    if found.dtype != np.dtype(array.dtype):
        raise Misfit(f"{name} is {found.dtype}, and not {array.dtype}")
    values = found.values
    known = values[~np.isnan(values)] if array.unknown else values
    if not ((known >= array.least) & (known <= array.most)).all():
        raise Misfit(f"{name} holds a number that is not between {array.least:g} and {array.most:g}")
