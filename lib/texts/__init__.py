"""Texts, the unit of replication: some choose and count the massive channels, others are scored."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "reading": ["Text", "bundled", "read"],
        "rows": ["Selection"],
        "selecting": ["select"],
        "sources": ["FORMATS", "Source", "ending", "parse"],
    },
)
