"""Save, load and find records: labelled arrays on disk, never reused under other settings."""

import ast
import hashlib
import json
import os
import re
from functools import cache
from pathlib import Path

import xarray as xr

LIB = Path(__file__).parents[1]
DECISIVE = ("definitions", "texts", "models", "probing", "measuring")
"""Packages of `lib` that decide the content of a record: a change in one of them makes old records unfit."""

_UNREADABLE = (OSError, ValueError, KeyError, RuntimeError, TypeError, EOFError)
_DAMAGED = "the record {} is damaged or cut short: delete it and measure again"


class NoRecord(LookupError):
    """No record has these settings."""


class Unusable(ValueError):
    """This arm cannot be measured; the others can."""


class BrokenRecord(ValueError):
    """A record file cannot be read: it was cut short or changed."""


@cache
def code_version() -> str:
    """A hash of the code in the decisive packages, without their tests, comments and layout.

    It makes old records unfit when that code changes; nobody has to remember a version number.
    """
    digest = hashlib.sha256()
    modules = (path.relative_to(LIB) for name in DECISIVE for path in (LIB / name).rglob("*.py"))
    for module in sorted(module for module in modules if "tests" not in module.parts):
        digest.update(module.as_posix().encode())
        digest.update(ast.unparse(ast.parse((LIB / module).read_text(encoding="utf-8"))).encode())
    return digest.hexdigest()[:16]


def path_of(folder: Path, settings: dict) -> Path:
    """The path for a record of these settings: a readable name and a hash of all settings."""
    model = re.sub(r"[^A-Za-z0-9]+", "-", Path(str(settings["pretrained"])).name).strip("-") or "model"
    return folder / f"{model}.{settings['experiment']}.{_key(settings)}.nc"


def save(folder: Path, settings: dict, provenance: dict, record: xr.Dataset) -> Path:
    """Write a record with its settings and provenance, atomically: a reader sees the whole file or no file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = path_of(folder, settings)
    record = record.assign_attrs(settings=json.dumps(settings), provenance=json.dumps(provenance))
    # The checksum of every block lets a changed byte be noticed when it is read.
    packed = {name: {"zlib": True, "complevel": 1, "fletcher32": True} for name, v in record.items() if v.ndim}
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        # in memory first: HDF5 that runs out of disk leaves a file behind that crashes the process
        content = record.to_netcdf(engine="h5netcdf", encoding=packed)
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    return path


def load(path: Path) -> xr.Dataset:
    """Read a whole record. Raises NoRecord if the file is missing, BrokenRecord if it cannot be read."""
    if not path.is_file():
        raise NoRecord(f"there is no record {path}")
    try:
        record = xr.load_dataset(path, engine="h5netcdf")
        json.loads(record.attrs["settings"]), json.loads(record.attrs["provenance"])
    except _UNREADABLE as error:
        raise BrokenRecord(_DAMAGED.format(path)) from error
    return record


def find(folder: Path, settings: dict) -> xr.Dataset:
    """The record of exactly these settings. Raises NoRecord or BrokenRecord."""
    path = path_of(folder, settings)
    record = load(path)
    if _key(settings_of(record)) != _key(settings):
        raise BrokenRecord(f"the record {path} was made with other settings than its name says: delete it")
    return record


def search(folder: Path, settings: dict, here: dict | None = None) -> xr.Dataset:
    """The one record that agrees with `settings` wherever they are not None, for replaying without the model.

    Of records that differ only in the settings `here`, those of this machine, one that agrees with them is taken, else
    the newest; so of copies the newest is. Raises NoRecord if several records agree, or if none does (naming what
    differs in the nearest one).
    """
    candidates = every(folder, settings["experiment"])
    differences = {path: _differing(settings, candidate) for path, candidate in candidates.items()}
    fitting = [path for path, differing in differences.items() if not differing]
    if len(fitting) > 1 and not _apart(fitting, candidates) - set(here or ()):
        own = [path for path in fitting if not _differing(here or {}, candidates[path])]
        fitting = [max(own or fitting, key=lambda path: path.stat().st_mtime_ns)]
    where = f"{settings['experiment']} in {folder}"
    if len(fitting) > 1:
        apart = ", ".join(sorted(_apart(fitting, candidates)))
        raise NoRecord(f"{len(fitting)} records fit {where}; they differ in {apart}: say which is meant")
    if not fitting:
        nearest = min(differences.values(), key=len, default=[])
        hint = f"; the nearest one has another {' and '.join(nearest)}" if nearest else ""
        raise NoRecord(f"there is no record for {where}{hint}: run once without --replay")
    return load(fitting[0])


def _apart(paths: list[Path], settings: dict[Path, dict]) -> set[str]:
    """The settings in which some records differ."""
    return {key for path in paths for key in _differing(settings[paths[0]], settings[path])}


def every(folder: Path, experiment: str = "*") -> dict[Path, dict]:
    """The settings of all records of an experiment. Raises BrokenRecord if one of them cannot be read."""
    return {path: _peek(path) for path in sorted(folder.glob(f"*.{experiment}.*.nc"))}


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


def _peek(path: Path) -> dict:
    """The settings of a record, read without its arrays."""
    try:
        with xr.open_dataset(path, engine="h5netcdf") as record:
            return settings_of(record)
    except _UNREADABLE as error:
        raise BrokenRecord(_DAMAGED.format(path)) from error


def _differing(wanted: dict, candidate: dict) -> list[str]:
    """The keys of all settings that are wanted and differ."""
    return [key for key, value in wanted.items() if value is not None and candidate.get(key) != value]


def names_in(folder: Path) -> list[str]:
    """The names of the models whose records a folder holds."""
    return sorted({str(settings["pretrained"]) for settings in every(folder).values()})
