"""Figures, drawn from the subjects that claims have read. A new figure is one row of the table in `pictures`."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "heat_maps": ["SIZES", "decode", "heat_maps", "legend", "levels", "shape_of", "sprite"],
        "pictures": ["GROUPS", "PICTURES", "draw", "write_all"],
    },
)
