"""How a model shows its states: where they are, reading and editing them, and how they rotate."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "anatomy": ["survey"],
        "probe": ["Visit", "geometry", "visiting"],
        "rotation": ["frequencies", "position_response"],
        "taps": ["Geometry", "Tap"],
    },
)
