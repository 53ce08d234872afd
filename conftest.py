"""Registers the fixtures; everything else is in fixtures/."""

pytest_plugins = [
    "pytester",
    "fixtures.options",
    "fixtures.arms",
    "fixtures.tiny",
    "fixtures.series",
    "fixtures.recording",
    "fixtures.judging",
    "fixtures.terminal",
    "fixtures.report",
]
