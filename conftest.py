"""Registers the fixtures; everything else is in fixtures/."""

pytest_plugins = [
    "pytester",
    "fixtures.options",
    "fixtures.arms",
    "fixtures.tiny",
    "fixtures.recording",
    "fixtures.judging",
    "fixtures.terminal",
    "fixtures.report",
]
