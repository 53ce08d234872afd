"""Recalibration: drop the rotation of a model and continue its training; `python -m lib.recalibrate --help`."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={"options": ["Recalibration", "Training"], "run": ["recalibrate"]},
)
