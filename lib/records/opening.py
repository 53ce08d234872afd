"""Open the content of a record that somebody else may have made: nothing outside of it, and no more than it holds."""

import math
import warnings
from io import BytesIO

import h5py
import xarray as xr

FILTERS = (h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32)
"""What may be done to arrays on their way into a file; for all else HDF5 looks for programs in other folders."""
DEFLATED = 1032
"""Times that deflate can shrink bytes at most: a file that claims to hold more does not hold it."""
AT_ONCE = 64
"""Texts that are read at a time."""


class Misfit(ValueError):
    """This is no record as a run writes it: a phrase."""


def opened(content: bytes) -> xr.Dataset:
    """The arrays and attributes of a NetCDF file. Raises Misfit if they cannot be read, or are not all in `content`."""
    try:
        with h5py.File(BytesIO(content), "r") as file:
            _check_that_nothing_leaves(file, DEFLATED * len(content))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what an odd attribute makes of an array is judged by the array
            return xr.load_dataset(BytesIO(content), engine="h5netcdf")
    except Misfit:
        raise
    except Exception as error:  # libraries may raise anything on a file that they did not write
        raise Misfit(f"it cannot be read ({type(error).__name__})") from error


def _check_that_nothing_leaves(file: h5py.File, most: int) -> None:
    """Raise Misfit unless everything in a file is plain arrays that lie in it, of `most` bytes together."""
    for name in file:
        # the link is looked at before it is followed: one to elsewhere would open another file
        item = file[name] if isinstance(file.get(name, getlink=True), h5py.HardLink) else None
        if not isinstance(item, h5py.Dataset):
            raise Misfit(f"{name} is no array in the file itself")
        made = item.id.get_create_plist()
        if made.get_external_count() or item.is_virtual:
            raise Misfit(f"{name} lies in another file")
        if any(made.get_filter(i)[0] not in FILTERS for i in range(made.get_nfilters())):
            raise Misfit(f"{name} is packed in an unknown way")
        text = h5py.check_string_dtype(item.dtype) is not None
        if not text and item.dtype.kind not in "fiu":
            raise Misfit(f"{name} holds neither numbers nor text")
        most -= math.prod(item.shape or ()) * item.dtype.itemsize
        if text and item.ndim == 1 and most >= 0:
            most -= _length(item, most)
        if most < 0:
            raise Misfit(f"{name} is larger than anything that such a file can hold")


def _length(texts: h5py.Dataset, most: int) -> int:
    """Bytes of some texts, counted until they are more than `most`: many entries can be one and the same long text."""
    found = 0
    for start in range(0, len(texts), AT_ONCE):
        found += sum(map(len, texts[start : start + AT_ONCE]))
        if found > most:
            break
    return found
