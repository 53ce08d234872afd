"""Tasks: what a model knows, asked in items of which the context or the weights hold the answer. Loads no model."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "drawing": ["dealt", "offered", "one_of", "shuffled"],
        "files": ["FIELDS", "Fields", "read"],
        "items": ["Item", "KNOWLEDGE", "Task"],
        "registry": ["load", "names"],
    },
)
