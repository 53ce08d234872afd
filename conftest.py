"""Registers what every run needs; what measures models is registered by fixtures/options."""

pytest_plugins = [
    "pytester",
    "fixtures.options",
    "fixtures.evidence",
    "fixtures.judging",
    "fixtures.terminal",
    "fixtures.report",
    "fixtures.regression",
]
