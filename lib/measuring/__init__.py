"""Measuring: an arm and texts in, a record out. Each experiment has its module."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "arms": ["Arms"],
        "interventions": ["chosen_mask", "condition_masks", "zeroing"],
        "norms": ["channel_norms", "measure_norms", "norms_and_loss"],
        "recorder": ["Elsewhere", "Recorder", "cannot_be_made"],
        "scoring": ["score"],
    },
)
