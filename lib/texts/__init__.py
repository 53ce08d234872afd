"""Texts that choose and count massive values, and texts that are scored: the unit of replication."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "reading": ["Text", "bundled", "chosen", "read"],
    },
)
