"""The layout of records: which arrays and facts each experiment writes, and within which bounds."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

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
    """What an array must be: its type, one of some `dims`, and bounds; NaN stands for the unknown where it may.

    `doc` says for docs/records.md what its numbers are, and in which unit.
    """

    dtype: str
    dims: tuple[tuple[str, ...], ...]
    least: float = 0.0
    most: float = FLOAT32
    unknown: bool = False
    optional: bool = False
    doc: str = ""


def _of(name: str, *first: str) -> tuple[str, ...]:
    """Dims of something that each channel of a tensor has."""
    return (*first, "layer", HEADS[name], "dim")


TOKENS = Array("int64", ((),), 2)
FREQUENCY = Array(
    "float64",
    (("layer", "dim"),),
    unknown=True,
    doc="angle of the rotation per position, in radians, by layer and channel of a head; NaN where a channel is not "
    "rotated",
)
NLL = "mean loss of a text, in nats per predicted token"


def _channels(name: str, what: str) -> Array:
    dims = (_of(name, "text"),) if name in EDITED else tuple((*_of(name, "text")[:-1], d) for d in ("dim", "value_dim"))
    return Array("float32", dims, most=NORM, doc=what.format(name))


NORMS = {
    **{f"{name}_norm": _channels(name, "norm of each channel of {} over the positions of a text") for name in NAMES},
    **{f"{name}_rest_norm": _channels(name, "the same of {} without the first position of the text") for name in NAMES},
    **{
        f"{name}_row_norm": Array(
            "float32",
            (_of(name),),
            most=NORM,
            optional=True,
            doc=f"norm of the row of weights that makes a {name} channel",
        )
        for name in EDITED
    },
    "frequency": FREQUENCY,
    "nll": Array("float64", (("text",),), -LOSS, LOSS, doc=NLL),
    "token_nll": Array(
        "float64",
        (("text", "predicted"),),
        -LOSS,
        LOSS,
        optional=True,
        doc="loss of each token but the first one, in nats; since layout 3",
    ),
    "position_change": Array(
        "float64", ((),), doc="how far logits move when positions are stretched, in their standard deviations"
    ),
    "position_noise": Array("float64", ((),), doc="how far they move when nothing is changed, in the same unit"),
}
LOSSES = {"nll": Array("float64", (("text", "condition"),), -LOSS, LOSS, doc=f"{NLL}, under each condition")}


def _masks(of: Mapping[str, str]) -> dict[str, Array]:
    return {
        f"{name}_{kind}": Array("bool", (_of(name), _of(name, "text")), most=1, doc=what.format(name))
        for name in EDITED
        for kind, what in of.items()
    }


RANKED = ("text", "stream", "rank")
AT = "at the positions that `where` names"
LAYOUT: Mapping[str, Mapping[str, Array]] = {
    "norms": NORMS,
    "disruption": {**LOSSES, **_masks({"zeroed": "the massive {} channels, which are zeroed"})},
    "bands": {
        **LOSSES,
        **_masks({band: f"the {{}} channels that are zeroed as {band}" for band in BANDS}),
        "frequency": FREQUENCY,
    },
    "specificity": {
        **LOSSES,
        **{
            f"{name}_replaced": Array(
                "bool", (_of(name, "condition"),), most=1, doc=f"the {name} channels that are replaced"
            )
            for name in EDITED
        },
        **{
            f"{name}_share": Array(
                "float64",
                (("condition", "layer"),),
                most=1 + ROUNDING,
                doc=f"their share of the sum of squares of a layer's {name} channels",
            )
            for name in EDITED
        },
    },
    "tasks": {
        "likelihood": Array(
            "float64",
            (("item", "condition", "choice"),),
            -LOSS,
            0.0,
            unknown=True,
            doc="log-likelihood of each choice after the prompt, in nats; NaN beyond an item's choices",
        ),
        "written": Array(
            "bool", (("item", "condition", "choice"),), most=1, doc="does the model, decoding greedily, begin with it?"
        ),
        "answer": Array("int64", (("item",),), doc="which choice is right, from 0"),
        "choices": Array("int64", (("item",),), doc="number of an item's choices"),
        "tokens": Array("int64", (("item",),), doc="tokens of the prompt"),
        "length": Array("float64", (("item",),), unknown=True, doc="tokens around a pass key; NaN for other tasks"),
        "depth": Array("float64", (("item",),), unknown=True, doc="share of them that stands before it; NaN elsewhere"),
        **{
            f"{name}_replaced": Array(
                "bool", (_of(name),), most=1, doc=f"the massive {name} channels, which are replaced"
            )
            for name in EDITED
        },
    },
    "stream": {
        "stream_norm": Array(
            "float32", (("text", "stream", "where"),), most=NORM, doc=f"norm of the residual stream {AT}"
        ),
        "added_norm": Array(
            "float32",
            (("text", "layer", "part", "where"),),
            most=NORM,
            doc=f"norm of what attention and the MLP add to it {AT}",
        ),
        "state_norm": Array(
            "float32", (("text", "layer", "state", "where"),), most=NORM, doc=f"norm of query, key and value {AT}"
        ),
        "run_norm": Array(
            "float32",
            (("text", "stream", "run"),),
            most=NORM,
            doc="mean norm of the stream in runs of positions, in order",
        ),
        "median": Array("float32", (("text", "stream"),), doc="median of the absolute values of the stream"),
        "largest": Array("float32", (RANKED,), -FLOAT32, doc="its largest values, with their signs, by absolute value"),
        "at_delimiter": Array("bool", (RANKED,), most=1, doc="does each of these stand at a delimiter?"),
        "position": Array("int64", (RANKED,), doc="its position in the text, from 0"),
        "channel": Array("int64", (RANKED,), doc="its dimension of the stream, from 0"),
        "width": Array("int64", ((),), 1, doc="dimensions of the stream"),
        "tokens": replace(TOKENS, doc="tokens of each text"),
        "nll": Array("float64", (("text",),), -LOSS, LOSS, doc=NLL),
    },
    "sinks": {
        "first_share": Array(
            "float64",
            (("input", "text", "layer", "head"),),
            most=1 + ROUNDED,
            doc="attention to the first position, mean over the later ones",
        ),
        **{
            f"{name}_norm": Array(
                "float32",
                (("input", "text", "layer", "kv_head", "where"),),
                most=NORM,
                doc=f"norm of the {name} of each head {AT}",
            )
            for name in ("key", "value")
        },
        "tokens": replace(TOKENS, doc="tokens of each text"),
    },
    "modules": {
        **LOSSES,
        "replaced": Array(
            "int64", (("text",),), doc="values of the stream that are massive in a text and are replaced"
        ),
        "layer": Array("int64", ((),), doc="the layer whose modules are zeroed"),
        "spike": Array("int64", ((),), doc="the layer behind which the first position grows most"),
        "massive_at": Array(
            "int64", ((),), -1, doc="the place of the stream whose massive values are replaced; -1 if none"
        ),
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
