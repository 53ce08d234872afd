"""Records of older layouts, read as a run of today would have written them; docs/records.md tells the layouts apart."""

import json
from collections.abc import Callable, Mapping

import xarray as xr

from lib.checkpoints import portable
from lib.definitions import from_json

NEWEST = 3
"""The layout that runs write. It changes with what records hold, and not with the code that measures it."""
IN_CHUNKS = ("norms", "disruption", "bands", "specificity")
"""Experiments whose settings tell, since layout 3, how many positions of a text were read at a time."""


def settings_of_today(settings: dict, layout: int) -> dict:
    """The settings of a record of some layout as they would be written today."""
    for number in range(layout, NEWEST):
        settings = SETTINGS[number](settings)
    return settings


def record_of_today(record: xr.Dataset, layout: int) -> xr.Dataset:
    """The arrays and attributes of a record of some layout as they would be written today."""
    for number in range(layout, NEWEST):
        record = RECORDS[number](record)
    return record


def _portable(settings: dict) -> dict:
    """Layout 1 held the paths of models as they were typed."""
    return {**settings, "pretrained": portable(str(settings["pretrained"]))}


def _whole(settings: dict) -> dict:
    """Up to layout 2 every text was read at once."""
    return {**settings, "chunk": None} if settings["experiment"] in IN_CHUNKS else settings


def _telling(change: Callable[[dict], dict]) -> Callable[[xr.Dataset], xr.Dataset]:
    """Makes the same change in the settings that a record tells."""

    def tell(record: xr.Dataset) -> xr.Dataset:
        try:
            return record.assign_attrs(settings=json.dumps(change(from_json(record.attrs["settings"]))))
        except (KeyError, ValueError, TypeError):
            return record  # what is wrong with it is said when it is checked

    return tell


SETTINGS: Mapping[int, Callable[[dict], dict]] = {1: _portable, 2: _whole}
"""For each older layout, what makes its settings those of the next one."""
RECORDS: Mapping[int, Callable[[xr.Dataset], xr.Dataset]] = {
    layout: _telling(change) for layout, change in SETTINGS.items()
}
"""For each older layout, what makes its record one of the next one; arrays that it lacks are optional."""
