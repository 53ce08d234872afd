"""What a sweep is of: a file of options of a run, in which a list makes an axis of the grid."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from lib.checkpoints import expand
from lib.definitions import from_toml, meant
from lib.settings import OPTIONS

MODELS = ("rope", "drope", "continued")
"""Options that hold model arguments, to which an axis of `dtype` is added."""
OWN = ("each", "runs", "dtype", "out", "workers")
"""Keys of a grid that are no options of a run."""
WORKERS = ("cpus", "gpus", "address")
GROUPS = ("arms", "measuring", "choosing")
"""Groups of options that a grid may set; a sweep writes pages, compares and replays by itself."""
ALLOWED = (
    *(option.name for option in OPTIONS if option.group in GROUPS and option.name not in ("published", "list_claims")),
    "threads",
    "records",
)


@dataclass(frozen=True)
class Cell:
    """One run of the grid: its name on the page, its options, and the arms that stand under its control."""

    name: str
    options: Mapping[str, str]

    @property
    def control(self) -> Mapping[str, str]:
        """What decides the records of the arms that are no treatment; cells that share them share these records."""
        return {name: value for name, value in self.options.items() if name != "drope"}

    @property
    def measured(self) -> Mapping[str, str]:
        """Of these, what decides their records of norms: cells that share them must not measure them twice at once."""
        return {name: value for name, value in self.control.items() if name in (*MODELS, "pair", "device", "texts")}


@dataclass(frozen=True)
class Workers:
    """What each task takes of an engine, and the address of a cluster; None starts one on this machine."""

    cpus: int = 1
    gpus: float = 0
    address: str | None = None


@dataclass(frozen=True)
class Grid:
    """The cells of a sweep, the folder of its pages, and its workers.

    `of_training` says that the cells are runs of one recipe of training, which are judged together as well.
    """

    cells: tuple[Cell, ...]
    out: Path
    workers: Workers
    of_training: bool = False


def read(path: Path) -> Grid:
    """Read a grid. Raises ValueError, one sentence, for a key or a value that is none."""
    try:
        told = from_toml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ValueError(f"{path} is no TOML: {error}") from error
    known = (*ALLOWED, *OWN)
    for key in told:
        if key not in known:
            raise ValueError(f"{path}: a grid has no {key!r}, {meant(key, known)}")
    _check_together(path, told)
    axes = {key: _values(path, key, told[key]) for key in told if key not in ("out", "workers", "runs")}
    if "each" in axes:
        found = [str(args) for pattern in axes.pop("each") for args in _expanded(path, pattern)]
        axes["drope"] = list(dict.fromkeys(found))  # what fits two patterns is one checkpoint
    out, workers = Path(_text(path, told, "out", "sweep")), _workers(path, told)
    if "runs" in told:
        return Grid(_runs(path, told["runs"], axes), out, workers, of_training=True)
    short = {name: _short(values) for name, values in axes.items() if name in MODELS}
    cells = [_cell(dict(zip(axes, values, strict=True)), axes, short) for values in product(*axes.values())]
    return Grid(tuple(cells), out, workers)


def _runs(path: Path, runs: object, axes: Mapping[str, Sequence[str]]) -> tuple[Cell, ...]:
    """A cell for each run of training: its models, and the options that all runs share."""
    if several := next((key for key, values in axes.items() if len(values) > 1), None):
        raise ValueError(f"{path}: runs and a list of {several} exclude each other: judge runs at one value")
    shared = {key: value for key, (value,) in axes.items()}
    if not isinstance(runs, list) or not all(isinstance(of, Mapping) for of in runs):
        raise ValueError(f"{path}: runs are tables: write [[runs]] and below it rope, drope and continued")
    cells = []
    for number, of in enumerate(runs, 1):
        for key in of:
            if key not in (*MODELS, "name"):
                raise ValueError(f"{path}: [[runs]] has no {key!r}, {meant(key, (*MODELS, 'name'))}")
        if not {"rope", "drope"} <= set(of):
            raise ValueError(f"{path}: run {number} needs rope and drope")
        given = {key: _values(path, key, value) for key, value in of.items()}
        if several := next((key for key, values in given.items() if len(values) > 1), None):
            raise ValueError(f"{path}: run {number} has several values of {several}: give each run a table of its own")
        name = of.get("name", f"run {number}")
        cells.append(Cell(str(name), {**{key: given[key][0] for key in given if key != "name"}, **shared}))
    if len({cell.name for cell in cells}) < len(cells):
        raise ValueError(f"{path}: two runs have the same name")
    return tuple(cells)


def _check_together(path: Path, told: Mapping) -> None:
    if "runs" in told and (twice := next((key for key in (*MODELS, "each", "dtype", "pair") if key in told), None)):
        raise ValueError(f"{path}: runs and {twice} exclude each other: each run names its own models")
    if not {"pair", "rope", "runs"} & set(told):
        raise ValueError(f"{path} names no model: give rope = ARGUMENTS or pair = NAME")
    if "each" in told and "drope" in told:
        raise ValueError(f"{path}: each and drope exclude each other: each makes a cell of every checkpoint")
    if "dtype" in told and "rope" not in told:
        raise ValueError(f"{path}: dtype is added to model arguments, so give rope = ARGUMENTS, and no pair alone")


def _values(path: Path, key: str, value: object) -> list[str]:
    """The values of an axis, as they would be typed. A single one is an axis of one."""
    values = value if isinstance(value, list) else [value]
    if not values or not all(isinstance(one, str | int | float) and str(one).strip() for one in values):
        raise ValueError(f"{path}: {key} must be a value or a list of values, not {value!r}")
    texts = [str(one).lower() if isinstance(one, bool) else str(one) for one in values]
    if len({text.rstrip("/") for text in texts}) < len(texts):
        raise ValueError(f"{path}: {key} has the same value twice")
    return texts


def _expanded(path: Path, pattern: str) -> Sequence[object]:
    try:
        return expand(pattern)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _cell(chosen: dict[str, str], axes: Mapping[str, Sequence[str]], short: Mapping[str, Mapping[str, str]]) -> Cell:
    """A cell, called by its values on the axes that have several."""
    dtype = chosen.pop("dtype", None)
    options = {name: f"{value},dtype={dtype}" if dtype and name in MODELS else value for name, value in chosen.items()}
    several = [name for name, values in axes.items() if len(values) > 1]
    named = {**chosen, **({"dtype": dtype} if dtype else {})}
    parts = [short[name][named[name]] if name in MODELS else f"{name}={named[name]}" for name in several]
    return Cell(", ".join(parts) or "run", options)


def _short(args: Sequence[str]) -> dict[str, str]:
    """Each model by the fewest last parts of its path that tell all apart: checkpoint-64, or a/checkpoint-64."""
    paths = {one: one.rstrip("/").split("/") for one in args}
    for depth in range(1, max(map(len, paths.values())) + 1):
        names = {one: "/".join(parts[-depth:]) for one, parts in paths.items()}
        if len(set(names.values())) == len(names):
            break
    return names


def _workers(path: Path, told: Mapping) -> Workers:
    given = told.get("workers", {})
    if not isinstance(given, Mapping):
        raise ValueError(f"{path}: workers is a table: write [workers] and below it cpus = N or gpus = N")
    for key in given:
        if key not in WORKERS:
            raise ValueError(f"{path}: [workers] has no {key!r}, {meant(key, WORKERS)}")
    cpus, gpus, address = given.get("cpus", 1), given.get("gpus", 0), given.get("address")
    if type(cpus) is not int or cpus < 1:
        raise ValueError(f"{path}: [workers] cpus must be a whole number from 1, not {cpus!r}")
    if isinstance(gpus, bool) or not isinstance(gpus, int | float) or gpus < 0:
        raise ValueError(f"{path}: [workers] gpus must be a number from 0, not {gpus!r}")
    if address is not None and not isinstance(address, str):
        raise ValueError(f"{path}: [workers] address must be a text, not {address!r}")
    return Workers(cpus, gpus, address)


def _text(path: Path, told: Mapping, key: str, otherwise: str) -> str:
    value = told.get(key, otherwise)
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{path}: {key} must be a text, not {value!r}")
    return value
