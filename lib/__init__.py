"""Reusable measurement code: models, probes, masks, records, verdicts. Knows nothing of pytest."""
