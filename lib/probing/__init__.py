"""Probing: locate the query, key and value states of a model, read and edit them, and measure their rotation."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "anatomy": ["CannotRead", "survey"],
        "places": ["Place", "find_places", "looking"],
        "probe": ["Visit", "geometry", "visiting"],
        "proofs": ["PROOFS", "unreadable"],
        "rotation": ["frequencies", "position_response", "positions_held"],
        "taps": ["Geometry", "Tap"],
        "weights": ["prove_weights", "weighing"],
    },
)
