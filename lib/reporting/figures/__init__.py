"""Figures, drawn from the subjects that claims have read."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["pictures"],
    submod_attrs={
        "figures": ["LABELS"],
        "heat_maps": ["SIZES", "heat_maps", "legend", "levels", "shape_of", "sprite"],
        "pictures": ["draw"],
    },
)
