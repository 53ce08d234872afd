"""Both experiments against nnsight and TransformerLens: the same texts, counts and losses, in time and in memory.

They are no dependencies: `pip install -c constraints.txt -r benchmarks/requirements.txt`.
"""

from importlib.metadata import version
from importlib.util import find_spec

import pytest
import torch
from alternate import alternate
from both import assert_equal_counts, assert_equal_losses, both
from others import OTHERS
from peak import peak_bytes
from workload import CONTROLS, SCORED, SEED, random_arm

from lib.definitions import EDITED
from lib.measuring.interventions import condition_masks
from lib.measuring.norms import norms_and_loss
from lib.probing import geometry

TITLE = "Both experiments in other libraries (2 texts; counting alone for memory)"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", OTHERS)
def bench_both_experiments_against_another_library(benchmark, report, arm, chosen, name):
    if find_spec(name) is None:
        report(TITLE, library=name, time="not installed", memory="", rounds="")
        pytest.skip("pip install -c constraints.txt -r benchmarks/requirements.txt")
    other = OTHERS[name](random_arm().model)
    drawn = {name: condition_masks(chosen[name], name=name, controls=CONTROLS, seed=SEED) for name in EDITED}
    random = {name: masks[2:] for name, masks in drawn.items()}
    results = {}

    def ours():
        results["counts"], results["losses"] = both(arm, chosen)

    def theirs():
        texts = SCORED.split(1)
        results["other counts"] = [other.count(text) for text in texts]
        results["other losses"] = torch.stack([other.disrupt(text, chosen, random) for text in texts])

    _, slower = alternate(benchmark, ours, theirs, rounds=3)
    assert_equal_counts(results["counts"], results["other counts"])
    assert_equal_losses(results["losses"], results["other losses"].numpy())
    text, sizes = SCORED[:1], geometry(arm.model)
    peaks = [peak_bytes(lambda: other.count(text)), peak_bytes(lambda: norms_and_loss(arm.model, text, sizes))]
    report(
        TITLE,
        library=f"{name} {version(name)}",
        time=f"{slower} x",
        memory=f"{peaks[0] / peaks[1]:.2f} x ({peaks[0] / 2**20:.1f} and {peaks[1] / 2**20:.1f} MiB)",
        rounds=slower.rounds,
    )
