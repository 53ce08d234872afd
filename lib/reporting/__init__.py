"""Reporting: a run as one document, and the tables, sentences, figures and the page made of it."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["documents", "figures", "page", "sentences", "tables"],
    submod_attrs={
        "claims_csv": ["claims_csv"],
        "assemble": ["Run", "assemble", "decided", "settings_of"],
        "notes": ["notes", "without_bos"],
        "scope": ["ONLY_TEXTS", "scope_lines"],
        "sentences": ["measured"],
        "tables": ["rule"],
    },
)
