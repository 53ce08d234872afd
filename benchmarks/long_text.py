"""Measure one long random text of a real model, and print what it took: `python long_text.py MODEL TOKENS CHUNK`.

In a process of its own, because the peak of a process's memory never falls. A CHUNK of 0 reads the text at once.
"""

import json
import resource
import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from lib.checkpoints import parse
from lib.measuring import Arms, measure_norms
from lib.texts import Text

GIB = 2**20
"""Of the KiB in which Linux tells the peak of a process's memory."""


def main(model: str, tokens: int, chunk: int) -> None:
    torch.set_num_threads(2)
    arm = Arms({"rope": parse(model)}, "cpu").get("rope")
    loaded = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    rows = arm.model.get_input_embeddings().weight.shape[0]
    ids = torch.randint(rows, (1, tokens), generator=torch.Generator().manual_seed(0))
    start = time.perf_counter()
    record = measure_norms(arm, ids, [Text("long", "random", "count", "")], chunk=chunk or None)
    took = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = {"loss": float(record["nll"][0]), "seconds": took, "loaded": loaded / GIB, "peak": peak / GIB}
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
