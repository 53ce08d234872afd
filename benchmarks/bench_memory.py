"""Peak memory that counting adds to a plain forward pass: it must not grow with the length of the text."""

import straightforward
from peak import peak_bytes
from workload import random_ids

from lib.measuring.norms import norms_and_loss
from lib.measuring.scoring import score
from lib.probing.probe import geometry

LENGTHS = (128, 256, 512, 1024)
SLACK = 1024
"""Bytes: scalars that a loss adds for every chunk of positions."""


def bench_experiment_1_adds_memory_that_does_not_grow(benchmark, report, arm):
    rows = benchmark.pedantic(lambda: [_extra(arm.model, tokens) for tokens in LENGTHS], rounds=1)
    for row in rows:
        report("Peak memory", **row)
    added = [row["experiment_1_adds_KiB"] for row in rows]
    assert max(added) - min(added) <= SLACK / 1024


def _extra(model, tokens):
    ids = random_ids(1, tokens)
    sizes = geometry(model)
    plain = peak_bytes(lambda: score(model, ids))
    return {
        "tokens": tokens,
        "plain_pass_MiB": round(plain / 2**20, 1),
        "experiment_1_adds_KiB": round((peak_bytes(lambda: norms_and_loss(model, ids, sizes)) - plain) / 2**10, 1),
        "straightforward_way_adds_KiB": round((_captured(model, ids) - _uncaptured(model, ids)) / 2**10, 1),
    }


def _captured(model, ids):
    return peak_bytes(lambda: straightforward.capture(model, ids))


def _uncaptured(model, ids):
    return peak_bytes(lambda: model(input_ids=ids, use_cache=False))
