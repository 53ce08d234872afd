"""Small records as runs write them, and somebody else who changes one and makes its checksum right again."""

import json
from contextlib import contextmanager

import h5py
import numpy as np

from fixtures.planted import records
from lib.definitions import NAMES
from lib.records import files
from lib.records.seal import content, with_seal

SETTINGS = {"experiment": "norms", "pretrained": "some/model", "identity": "commit:1", "dtype": "float32", "tokens": 8}
ORIGIN = {
    **dict.fromkeys(("pretrained", "identity", "class", "dtype", "quantization", "device", "tokenizer"), "x"),
    **{"attn_implementation": "sdpa", "parameters": 5, "threads": 1, "config": {"model_type": "llama"}},
    "arguments": {"revision": None, "rope": None, "add_bos_token": None},
    "versions": {"torch": "2.13.0", "transformers": "5.0.0"},
    "tokenizer_facts": {"adds_bos": True, "adds_eos": False, "bos_token": "<s>", "vocabulary": 9, "embedding": 9},
}


def norms(texts=3):
    """A record of norms of one layer."""
    counts = dict.fromkeys(NAMES, np.ones((texts, 1), dtype=int))
    made = records.norms_record(counts, heads=2, kv_heads=1, dim=16).assign_attrs(sites="projection attention")
    return made.assign({name: made[name].astype("float32") for name in ("query_row_norm", "key_row_norm")})


RECORDS = {
    "norms": norms,
    "disruption": lambda: records.disruption_record(records.losses(1.0, [0.0, 0.1], texts=3), layers=1),
    "bands": lambda: records.bands_record(1.0, 0.5, texts=3),
    "specificity": lambda: records.specificity_record((4, 2), (3, 1), (3, 1), texts=3),
    "tasks": lambda: records.answers_record({"baseline": 0.9}, {"baseline": 0.5}, items=3),
    "stream": lambda: records.stream_record(texts=3),
    "sinks": lambda: records.sinks_record(texts=3),
    "modules": lambda: records.modules_record({"mlp": 2.0}, texts=3),
}


def write(folder, experiment="norms", record=None, **settings):
    """Save a record, by default one of the experiment that is as it should be."""
    record = RECORDS[experiment]() if record is None else record
    return files.save(folder, {**SETTINGS, "experiment": experiment, **settings}, ORIGIN, record)


@contextmanager
def changed(path):
    """The content of a record as HDF5, to be changed; its checksum is right again afterwards."""
    seal, netcdf = content(path)
    path.write_bytes(netcdf)
    with h5py.File(path, "r+") as file:
        yield file
    path.write_bytes(with_seal(path.read_bytes(), seal.settings))


def tell(file, name, change):
    """Change the facts in an attribute."""
    file.attrs[name] = json.dumps(change(json.loads(file.attrs[name])))
