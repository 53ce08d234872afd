"""Sweeps: many checkpoints, number formats and thresholds, measured as tasks of an engine and judged on one page."""
