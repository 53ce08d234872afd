"""Weights in an installed package: found, joined from parts and checked, while none of the package's code runs."""

import hashlib
import importlib.util
import os
import re
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from lib.checkpoints.hashes import sha256_of
from lib.definitions import clear

SUMS = "SHA256SUMS"
"""A file of checksums that a package may hold, in the form of the program sha256sum."""
PART = re.compile(r"\.part(\d+)")
"""What follows the name of a file in the name of one of its parts."""


def find(package: str, file: str, sha256: str | None = None) -> Path:
    """The path of a GGUF file that an installed package holds, whole or in parts.

    `package` is an import name, and `file` a name or a path within its folder. Parts are `FILE.part00`, `FILE.part01`
    and so on, in this package or in those that it requires; they are joined once, in the cache. The file must have the
    checksum `sha256`, else the one that the package's own SHA256SUMS gives; parts need either.
    Raises ValueError, one sentence, if the package is not installed, if it does not hold the file, if parts are
    missing, or if the checksum is another.
    """
    name = package.replace("-", "_")
    folders = _folders(name)
    listed = _sums(folders)
    expected = sha256.lower() if sha256 else listed.get(Path(file).name)
    whole = _in(folders, file)
    if whole:
        check(whole, expected)
        return whole
    parts = _parts(name, folders, file, listed=Path(file).name in listed)
    if not parts:
        held = sorted({path.name for folder in folders for path in folder.rglob("*.gguf")} | listed.keys())
        raise ValueError(f"package {package} holds no {file}: it holds {', '.join(held) or 'no GGUF file at all'}")
    if not expected:
        raise ValueError(f"package {package} holds {file} in parts and tells no checksum of it: give sha256=HEX")
    return _joined(parts, Path(file).name, expected)


def check(path: Path, expected: str | None) -> None:
    """Raise ValueError if the file has another SHA-256 than expected; None expects nothing."""
    if expected and (found := sha256_of(path)) != expected.lower():
        raise ValueError(f"{path} has the sha256 {found} and not {expected.lower()}: it is damaged, or another file")


def _folders(name: str) -> list[Path]:
    """The folders of an installed package. Finding a top-level package runs none of its code."""
    spec = importlib.util.find_spec(name) if name.isidentifier() and name != "__main__" else None
    if spec is None:
        raise ValueError(f"package {name} is not installed: pip install {name.replace('_', '-')}")
    if not spec.submodule_search_locations:
        raise ValueError(f"package {name} is a single module, which holds no files")
    return [Path(folder) for folder in spec.submodule_search_locations]


def _in(folders: Sequence[Path], file: str) -> Path | None:
    """The file at this path within the folders, else the only one of this name."""
    found = [path for folder in folders for path in sorted(folder.rglob(Path(file).name)) if path.is_file()]
    exact = [path for path in found if path in [folder / file for folder in folders]]
    if len(found) > 1 and not exact:
        raise ValueError(f"{found[0].parent} and {found[1].parent} both hold {file}: give file=PATH in the package")
    return (exact or found or [None])[0]


def _sums(folders: Sequence[Path]) -> dict[str, str]:
    """The checksums in a package's own list, by the names of files."""
    lists = (path.read_text() for folder in folders for path in sorted(folder.rglob(SUMS)))
    found = (re.findall(r"^([0-9a-fA-F]{64}) [ *](.+)$", text, re.MULTILINE) for text in lists)
    return {Path(name.strip()).name: digits.lower() for pairs in found for digits, name in pairs}


def _parts(package: str, folders: Sequence[Path], file: str, *, listed: bool) -> list[Path]:
    """All parts of a file, in order; [] if there are none and the package lists no such file either."""
    name = Path(file).name
    found = [path for folder in folders for path in folder.rglob(f"{name}.part*")]
    absent = []
    for required in _required(package):
        try:
            files = metadata.distribution(required).files or ()
        except metadata.PackageNotFoundError:
            absent.append(required)
            continue
        found += [Path(path.locate()) for path in files if path.name.startswith(f"{name}.part")]
    numbered = {
        int(match.group(1)): path
        for path in found
        if path.is_file() and (match := PART.fullmatch(path.name.removeprefix(name)))
    }
    if absent and (numbered or listed):
        raise ValueError(f"parts of {name} are missing: pip install {' '.join(absent)}")
    if not numbered:
        return []
    first = min(numbered)
    gaps = [number for number in range(min(first, 1), max(numbered)) if number not in numbered]
    if gaps:
        raise ValueError(f"parts of {name} are missing: there is a part {max(numbered)}, but no part {gaps[0]}")
    return [numbered[number] for number in sorted(numbered)]


def _required(package: str) -> list[str]:
    """The distributions that a package's own distribution requires."""
    names = metadata.packages_distributions().get(package) or [package.replace("_", "-")]
    try:
        lines = metadata.distribution(names[0]).requires or ()
    except metadata.PackageNotFoundError:
        return []
    return [re.match(r"[\w.-]+", line).group() for line in lines if "extra ==" not in line]


def cache() -> Path:
    """The folder for joined files: massive-values in $XDG_CACHE_HOME, else in ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "massive-values"


def _joined(parts: Sequence[Path], name: str, expected: str) -> Path:
    """The file that the parts make up, from the cache if it is there and whole."""
    path = cache() / expected[:16] / name
    if path.is_file() and sha256_of(path) == expected:
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _join(parts, path, expected)
    except OSError as error:
        raise ValueError(f"{name} cannot be joined in {path.parent} ({error}): set XDG_CACHE_HOME") from error
    return path


def _join(parts: Sequence[Path], path: Path, expected: str) -> None:
    """Write all parts into one file that appears only when it is whole and right."""
    clear(path.parent)
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        if (found := _write(parts, draft)) != expected:
            raise ValueError(
                f"the {len(parts)} parts of {path.name} make up a file with the sha256 {found} and not {expected}: "
                "a part is damaged or missing, install the packages again"
            )
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def _write(parts: Sequence[Path], draft: Path) -> str:
    """Write all parts into one file and return its SHA-256."""
    digest = hashlib.sha256()
    with draft.open("wb") as out:
        for part in parts:
            with part.open("rb") as file:
                while block := file.read(1 << 22):
                    digest.update(block)
                    out.write(block)
        out.flush()
        os.fsync(out.fileno())
    return digest.hexdigest()
