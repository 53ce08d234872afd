"""Time of both experiments against plain forward passes of the same work, and against the straightforward way."""

import numpy as np
import pytest
import straightforward
import torch
from alternate import alternate
from both import assert_equal_counts, assert_equal_losses, both, disruption
from workload import CONTROLS, COUNTED, SCORED, SEED, TOKENS

from lib.definitions.massive import massive_mask
from lib.definitions.words import EDITED, conditions
from lib.effects.thresholds import THRESHOLDS, counts_at
from lib.measuring.interventions import condition_masks
from lib.measuring.norms import norms_and_loss, rows_that_fit
from lib.measuring.scoring import score
from lib.probing.anatomy import _KNOWN
from lib.probing.probe import geometry
from lib.probing.rotation import frequencies

CONDITIONS = len(conditions(CONTROLS))


@pytest.mark.parametrize(("site", "aim"), [("projection", "at most 1.05"), ("attention", "none set")])
def bench_experiment_1_against_plain_passes(benchmark, report, arm, site, aim):
    sizes = geometry(arm.model)
    ours, _ = alternate(
        benchmark,
        lambda: norms_and_loss(arm.model, COUNTED, sizes, site),
        lambda: score(arm.model, COUNTED),
        rounds=24,
    )
    comparison = f"experiment 1 at {site} / plain pass ({len(COUNTED)} texts)"
    report("Time", comparison=comparison, CPU_time=ours, rounds=ours.rounds, aim=aim)


def bench_looking_at_a_model_against_one_plain_pass(benchmark, report, arm):
    """The survey of a model and the measurement of its rotation: four passes over a dozen tokens, once per model."""

    def look():
        _KNOWN.clear()
        frequencies(arm.model)

    ours, _ = alternate(benchmark, look, lambda: score(arm.model, COUNTED[:1]), rounds=24)
    report(
        "Time", comparison="looking at a model / plain pass (1 text)", CPU_time=ours, rounds=ours.rounds, aim="none set"
    )


def bench_experiment_2_against_plain_passes(benchmark, report, arm, chosen):
    text = SCORED[:1]
    passes = text.expand(CONDITIONS, -1).split(rows_that_fit(arm, TOKENS))
    ours, _ = alternate(
        benchmark,
        lambda: disruption(arm, text, chosen),
        lambda: [score(arm.model, rows) for rows in passes],
        rounds=10,
    )
    comparison = f"experiment 2 / {CONDITIONS} plain rows (1 text)"
    report("Time", comparison=comparison, CPU_time=ours, rounds=ours.rounds, aim="none set")


def bench_counts_at_all_thresholds_against_counts_at_one(benchmark, report):
    """Norms of 20 texts and one tensor at the shape of a model of 7 billion weights."""
    norms = np.random.default_rng(0).lognormal(0, 1, (20, 32, 32, 128)).astype(np.float32)
    ours, _ = alternate(
        benchmark,
        lambda: counts_at(norms, THRESHOLDS, "layer"),
        lambda: massive_mask(norms, threshold=5.0, scope="layer").sum((2, 3)),
        rounds=10,
    )
    comparison = f"counts at {len(THRESHOLDS)} thresholds / at one"
    report("Time", comparison=comparison, CPU_time=ours, rounds=ours.rounds, aim="none set")


def bench_both_experiments_against_the_straightforward_way(benchmark, report, arm, chosen):
    model = arm.model
    drawn = {name: condition_masks(chosen[name], name=name, controls=CONTROLS, seed=SEED) for name in EDITED}
    random = {name: masks[2:] for name, masks in drawn.items()}
    results = {}

    def ours():
        results["counts"], results["losses"] = both(arm, chosen)

    def other():
        texts = SCORED.split(1)
        results["other counts"] = [straightforward.count(model, text) for text in texts]
        results["other losses"] = torch.stack([straightforward.disrupt(model, text, chosen, random) for text in texts])

    _, faster = alternate(benchmark, ours, other, rounds=5)
    assert_equal_counts(results["counts"], results["other counts"])
    assert_equal_losses(results["losses"], results["other losses"].numpy())
    comparison = f"straightforward way / experiments 1 and 2 ({len(SCORED)} texts)"
    report("Time", comparison=comparison, CPU_time=faster, rounds=faster.rounds, aim="at least 2.2")
