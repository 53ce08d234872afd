"""Runs side by side: `python -m lib.compare A.json B.json`, and a run against its baseline."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "compatible": ["finite", "incompatible"],
        "drift": ["compare"],
        "run": ["main"],
    },
)
