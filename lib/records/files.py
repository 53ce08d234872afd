"""Save, load and find records: labelled arrays on disk, never reused under other settings."""

import hashlib
import json
import re
from pathlib import Path

import xarray as xr

from lib.definitions import clear, modified, write_whole
from lib.records.layout import check
from lib.records.older import record_of_today
from lib.records.opening import Misfit, opened
from lib.records.seal import Newer, Seal, Unsealed, content, sealed, with_seal


class NoRecord(LookupError):
    """No record has these settings."""


class Unusable(ValueError):
    """This arm cannot be measured; the others can."""


class BrokenRecord(ValueError):
    """A record file is not as a run wrote it: it was cut short or changed, or it is older, or somebody else's."""


def path_of(folder: Path, settings: dict) -> Path:
    """The path for a record of these settings: a readable name and a hash of all settings."""
    model = re.sub(r"[^A-Za-z0-9]+", "-", Path(str(settings["pretrained"])).name).strip("-") or "model"
    return folder / f"{model}.{settings['experiment']}.{_key(settings)}.nc"


def save(folder: Path, settings: dict, provenance: dict, record: xr.Dataset) -> Path:
    """Write a record with its settings and provenance, atomically: a reader sees the whole file or no file."""
    folder.mkdir(parents=True, exist_ok=True)
    clear(folder)
    path = path_of(folder, settings)
    record = record.assign_attrs(settings=json.dumps(settings), provenance=json.dumps(provenance))
    packed = {name: {"zlib": True, "complevel": 1} for name, v in record.items() if v.ndim}
    # in memory first: HDF5 that runs out of disk leaves a file behind that crashes the process
    write_whole(path, with_seal(bytes(record.to_netcdf(engine="h5netcdf", encoding=packed)), settings))
    return path


def load(path: Path) -> xr.Dataset:
    """Read a whole record, and check that it is what a run wrote.

    Raises NoRecord if the file is missing, and BrokenRecord if it has changed, is older than its checksum, or is not
    such a record.
    """
    if not path.is_file():
        raise NoRecord(f"there is no record {path}")
    try:
        seal, netcdf = content(path)
        record = record_of_today(opened(netcdf), seal.layout)
        check(record, seal.settings)
    except (Unsealed, Misfit, OSError) as error:
        raise _broken(path, error) from error
    record.encoding["source"] = str(path)
    return record


def _broken(path: Path, error: Exception) -> BrokenRecord:
    if isinstance(error, OSError):
        return BrokenRecord(f"the record {path} cannot be read: {error.strerror or error}")
    if isinstance(error, Newer):
        return BrokenRecord(f"the record {path} {error}")
    fault = error if isinstance(error, Unsealed) else f"is not as a run writes it: {error}"
    return BrokenRecord(f"the record {path} {fault}; delete it and measure again")


def find(folder: Path, settings: dict) -> xr.Dataset:
    """The record of exactly these settings. Raises NoRecord or BrokenRecord."""
    path = path_of(folder, settings)
    record = load(path)
    if _key(settings_of(record)) != _key(settings):
        raise BrokenRecord(
            f"the record {path} was made with other settings than its name says; delete it and measure again"
        )
    return record


def search(folder: Path, settings: dict, here: dict | None = None) -> xr.Dataset:
    """The one record that agrees with `settings` wherever they are not None, for replaying without the model.

    Of records that differ only in the settings `here`, those of this machine and its code, the newest of those that
    agree with most of them is taken; so of copies the newest is. Files that cannot be read are passed over. Raises
    NoRecord if several records agree, or if none does (naming what differs in the nearest one, and the first file that
    cannot be read); BrokenRecord if the one record that does is damaged.
    """
    found, unreadable = seals(folder, settings["experiment"])
    candidates = {path: seal.settings for path, seal in found.items()}
    differences = {path: _differing(settings, candidate) for path, candidate in candidates.items()}
    fitting = [path for path, differing in differences.items() if not differing]
    if len(fitting) > 1 and not _apart(fitting, candidates) - set(here or ()):
        fitting = [max(fitting, key=lambda path: (-len(_differing(here or {}, candidates[path])), modified(path)))]
    where = f"{settings['experiment']} in {folder}"
    if len(fitting) > 1:
        apart = ", ".join(sorted(_apart(fitting, candidates)))
        raise NoRecord(f"{len(fitting)} records fit {where}; they differ in {apart}: say which is meant")
    if not fitting:
        nearest = min(differences.values(), key=len, default=[])
        hint = f"; the nearest one has another {' and '.join(nearest)}" if nearest else ""
        others = f" (and {len(unreadable) - 1} more cannot be read)" if len(unreadable) > 1 else ""
        broken = f"; {unreadable[0]}{others}" if unreadable else ""
        raise NoRecord(f"there is no record for {where}{hint}: run once without --replay{broken}")
    return load(fitting[0])


def _apart(paths: list[Path], settings: dict[Path, dict]) -> set[str]:
    """The settings in which some records differ."""
    return {key for path in paths for key in _differing(settings[paths[0]], settings[path])}


def seals(folder: Path, experiment: str = "*") -> tuple[dict[Path, Seal], list[BrokenRecord]]:
    """The seals of all records of an experiment, without their arrays, and what is wrong with the other files."""
    found, broken = {}, []
    for path in paths_in(folder, experiment):
        try:
            found[path] = sealed(path)
        except (Unsealed, OSError) as error:
            broken.append(_broken(path, error))
    return found, broken


def paths_in(folder: Path, experiment: str = "*") -> list[Path]:
    """The files in a folder that are called like records of an experiment."""
    return sorted(path for path in folder.glob(f"*.{experiment}.*.nc") if path.is_file())


def settings_of(record: xr.Dataset) -> dict:
    """The settings that a record was made with."""
    return json.loads(record.attrs["settings"])


def provenance_of(record: xr.Dataset) -> dict:
    """The weights, code and libraries that a record was made with."""
    return json.loads(record.attrs["provenance"])


def _key(settings: dict) -> str:
    """A hash of all settings except the model's name, which its commit or the hash of its weights stands for."""
    content = {key: value for key, value in settings.items() if key != "pretrained"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _differing(wanted: dict, candidate: dict) -> list[str]:
    """The keys of all settings that are wanted and differ."""
    return [key for key, value in wanted.items() if value is not None and candidate.get(key) != value]


def names_in(folder: Path) -> list[str]:
    """The names of the models whose records a folder holds."""
    return sorted({str(seal.settings["pretrained"]) for seal in seals(folder)[0].values()})
