"""What an experiment has measured of its texts so far: kept as it comes, so that a killed run goes on where it was."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from lib.definitions import write_whole
from lib.records.files import path_of
from lib.records.seal import Unsealed, content, with_seal


class Parts:
    """The parts of a record that is not whole yet, beside the place where it will lie: one file for each text or item.

    A part is sealed as records are, with the settings of the record: one that has changed, or that belongs to another
    record, is measured again.
    """

    def __init__(self, folder: Path, settings: dict):
        self.folder, self.settings = path_of(folder, settings).with_suffix(".parts"), settings

    def find(self, name: str) -> list[np.ndarray] | None:
        """The arrays of a part in the order in which they were kept; None if there is no such part."""
        try:
            seal, raw = content(self._path(name))
            arrays = load(raw)
        except (OSError, Unsealed, SafetensorError):
            return None
        return [arrays[str(i)] for i in range(len(arrays))] if seal.settings == self.settings else None

    def keep(self, name: str, arrays: Sequence[np.ndarray]) -> None:
        """Keep the arrays of a part. Raises OSError if they cannot be written."""
        self.folder.mkdir(parents=True, exist_ok=True)
        raw = save({str(i): np.asarray(array, order="C") for i, array in enumerate(arrays)})
        write_whole(self._path(name), with_seal(raw, self.settings))

    def clear(self) -> None:
        """Delete all parts: the record is whole."""
        if not self.folder.is_dir():
            return
        for path in self.folder.iterdir():
            path.unlink()
        if self.folder.is_dir():  # a folder of a store of objects goes with the last of them
            self.folder.rmdir()

    def _path(self, name: str) -> Path:
        return self.folder / f"{hashlib.sha256(name.encode()).hexdigest()[:16]}.part"
