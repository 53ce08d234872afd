"""Registers what every run needs; what measures models is registered by fixtures/options."""

import os

if "PYTEST_XDIST_WORKER" in os.environ:
    # one of several processes that share the cores: a thread for each core in every one of them slows all down
    os.environ.setdefault("OMP_NUM_THREADS", "1")

pytest_plugins = [
    "pytester",
    "fixtures.plugin.options",
    "fixtures.plugin.evidence",
    "fixtures.plugin.judging",
    "fixtures.plugin.terminal",
    "fixtures.plugin.report",
    "fixtures.plugin.regression",
]
