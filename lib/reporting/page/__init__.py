"""The page that people read, made from a run's document."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "forest": ["forest"],
        "sections": ["STYLE", "broken", "build"],
    },
)
