"""Series of checkpoints: find them, put them in order, and say which cannot be measured and why."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fnmatch import fnmatch
from glob import glob, has_magic
from itertools import pairwise
from math import prod
from pathlib import Path

from safetensors import SafetensorError, safe_open

from lib.checkpoints import provenance
from lib.checkpoints.arguments import ModelArguments, parse, portable
from lib.checkpoints.tokenizers import has_tokenizer
from lib.definitions import from_json, printable

STATE = "trainer_state.json"
"""The file that transformers' Trainer writes last: if it is complete, so is the checkpoint."""
NAMED = re.compile(
    r"(?:step|checkpoint|ckpt|iter(?:ation)?)s?[-_]?(\d+(?:\.\d+)?)([kmbg]?)(?![a-z0-9]|\.\d)", re.IGNORECASE
)
"""A step in a name: `checkpoint-500`, `iter_0070`, `step-500k`, `step1.5M`."""
UNITS = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9, "g": 10**9}
BARE = re.compile(r"(?<![0-9.])(?<![0-9][-_.])(?<!v)(\d+)$", re.IGNORECASE)
"""A number that ends a name, unless it is the end of a date or of a decimal, or that of a version: `r7`, not `b-v2`."""
DATE = re.compile(r"(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d*")
"""A date in digits alone, with or without a time of day."""
RECALIBRATION = "recalibration.json"
"""The note that `lib.recalibrate` leaves in the folder of a run, above its checkpoints."""
ROWS = ("tokens", "per_device_train_batch_size", "gradient_accumulation_steps", "world_size")
"""What makes up the tokens of a step, in that note."""


@dataclass(frozen=True)
class Checkpoint:
    """One checkpoint of a series. `fault` is a sentence on why it cannot be measured, or empty."""

    args: ModelArguments
    step: int | None = None
    fault: str = ""

    @property
    def label(self) -> str:
        """`step500`, `step500k` where its name has that unit, or the folder's or file's name if the step is unknown."""
        if self.step is None:
            return printable(Path(self.args.source).name)
        number, unit = _written(_name(self.args)) or ("", "")
        return f"step{number}{unit}" if unit and _steps(number, unit) == self.step else f"step{self.step}"


@dataclass(frozen=True)
class Series:
    """Checkpoints in the order of their steps. `note` is a remark on the order in which they were listed, or empty."""

    checkpoints: tuple[Checkpoint, ...]
    note: str = ""

    @property
    def usable(self) -> tuple[Checkpoint, ...]:
        """The checkpoints that can be measured."""
        return tuple(c for c in self.checkpoints if not c.fault)

    @property
    def faults(self) -> dict[str, str]:
        """The faults of the other checkpoints, by label."""
        return {c.label: c.fault for c in self.checkpoints if c.fault}


def read(given: str | Mapping | Sequence, *, like: ModelArguments | None = None, known: Sequence[str] = ()) -> Series:
    """The checkpoints that `given` names, ordered by step and examined without loading any weights.

    `given` is model arguments, several of them (a list, or separated by `;`), or a pattern: `runs/checkpoint-*` for
    folders or GGUF files, `org/model,revision=step-*` for branches and tags. If nothing here fits a pattern, it is
    matched against `known`, the names in stored records. All checkpoints must have the same shape: that of `like` (if
    it is on disk) when at least half of them have it, else that of the last one.
    Raises ValueError when nothing fits, when no step can be read, or when no checkpoint can be measured.
    """
    expanded = expand(given, known=known)
    if len(expanded) == 1:
        return Series((Checkpoint(expanded[0], _step(expanded[0])[0]),))
    marked = any(_state(args) is not None for args in expanded)
    shape = _common_shape(expanded, like)
    listed = [_examined(args, shape, marked) for args in expanded]
    if all(c.step is None for c in listed):
        raise ValueError(
            f"no checkpoint of the series tells its step: name the folders checkpoint-N, not {listed[0].label}"
        )
    ordered = _in_order(listed)
    series = Series(tuple(ordered), _order_note(listed))
    if not series.usable:
        raise ValueError(f"no checkpoint of the series can be measured; the first: {ordered[0].fault}")
    return series


def expand(given: str | Mapping | Sequence, *, known: Sequence[str] = ()) -> list[ModelArguments]:
    """The model arguments that `given` stands for, in the order given; matches of a pattern are sorted by number."""
    items = given.split(";") if isinstance(given, str) else [given] if isinstance(given, Mapping) else list(given)
    expanded: list[ModelArguments] = []
    for item in items:
        args = parse(item)
        if args.pretrained and has_magic(args.pretrained) and not Path(args.pretrained).exists():
            fit = (path for path in glob(args.pretrained) if Path(path).is_dir() or path.endswith(".gguf"))
            names = sorted(fit, key=_by_number)
            names = names or sorted(
                (name for name in known if fnmatch(name, portable(args.pretrained))), key=_by_number
            )
            if not names:
                raise ValueError(f"no folder fits {args.pretrained!r}")
            expanded += [replace(args, pretrained=name) for name in names]
        elif args.revision and has_magic(args.revision):
            names = sorted((n for n in provenance.revisions(args) if fnmatch(n, args.revision)), key=_by_number)
            if not names:
                raise ValueError(f"{args.pretrained} has no branch or tag that fits {args.revision!r}")
            expanded += [replace(args, revision=name) for name in names]
        else:
            expanded.append(args)
    return expanded


def trained_steps(folder: str | Path) -> int | None:
    """The number of steps in the Trainer state of a checkpoint; None if it has no readable state."""
    return _trainer_state(folder).get("global_step")


def tokens_per_step(args: ModelArguments) -> int | None:
    """The tokens that a step of a recalibration trains on, from the note in the folder of its run; None without one."""
    try:
        begun = from_json((args.folder.parent / RECALIBRATION).read_text(encoding="utf-8"))
        sizes = [begun[name] for name in ROWS]
    except (AttributeError, OSError, ValueError, KeyError, TypeError):
        return None
    return prod(sizes) if all(type(size) is int and size > 0 for size in sizes) else None


def step_of(args: ModelArguments) -> int | None:
    """The step of one checkpoint, from its files or its name; None if neither has it."""
    return _step(args)[0]


def label_of(args: ModelArguments) -> str:
    """How one checkpoint is called in reports, see `Checkpoint.label`."""
    return Checkpoint(args, step_of(args)).label


def finished(folder: str | Path) -> bool:
    """Is this the last checkpoint of its training run?"""
    state = _trainer_state(folder)
    last = state.get("max_steps")
    return type(last) is int and state["global_step"] >= last


def _trainer_state(folder: str | Path) -> dict:
    try:
        state = from_json((Path(folder) / STATE).read_text(encoding="utf-8"))
        return state if type(state["global_step"]) is int else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def unfinished(folder: Path) -> str:
    """A sentence on how the checkpoint in `folder` is incomplete; empty if it is complete."""
    index = folder / "model.safetensors.index.json"
    files = sorted(folder.glob("*.safetensors"))
    if index.is_file():
        try:
            shards = {folder / name for name in from_json(index.read_text(encoding="utf-8"))["weight_map"].values()}
        except (ValueError, KeyError, AttributeError):
            return f"{folder} was not written to its end: {index.name} cannot be read"
        if missing := sorted(path.name for path in shards if not path.is_file()):
            return f"{folder} was not written to its end: {missing[0]} is not there"
    for path in files:
        try:
            with safe_open(path, framework="numpy"):
                pass
        except (SafetensorError, OSError):
            return f"{folder} was not written to its end: {path.name} is cut short"
    if not files:
        return f"{folder} holds no weights as safetensors: it was not written to its end, or in another format"
    if (folder / STATE).is_file() and trained_steps(folder) is None:
        return f"{folder} was not written to its end: {STATE} is cut short"
    return ""


def _examined(args: ModelArguments, shape: dict | None, marked: bool) -> Checkpoint:
    """A checkpoint with its step and, if it is on disk, its fault. `marked`: others of the series have a state."""
    step, doubt = _step(args)
    if not _on_disk(args):
        return Checkpoint(args, step, doubt)
    try:
        own_shape = _shape(args)
    except ValueError as error:
        return Checkpoint(args, step, str(error))
    fault = "" if args.is_gguf else _fault_of_folder(args, marked)
    if not fault and shape and (different := provenance.different_size(shape, own_shape)):
        fault = f"{args.source} has another shape than the others: {different}"
    return Checkpoint(args, step, fault or doubt)


def _fault_of_folder(args: ModelArguments, marked: bool) -> str:
    folder = args.folder
    fault = unfinished(folder)
    if not fault and marked and not (folder / STATE).is_file():
        fault = f"{folder} was not written to its end: it has no {STATE}, and others of the series have"
    if not fault and not args.tokenizer and not has_tokenizer(provenance.tokenizer_folder(args)):
        fault = f"{folder} has no tokenizer: save the RoPE arm's beside the weights, or give tokenizer=ID_OR_FOLDER"
    return fault


def _on_disk(args: ModelArguments) -> bool:
    """Can the checkpoint be examined here? One on the hub cannot."""
    return bool(args.folder) or (args.is_gguf and not args.gguf_file)


def _step(args: ModelArguments) -> tuple[int | None, str]:
    """The step, from the Trainer state or from the name, and a sentence if it is in doubt.

    The state is right where the name only ends with a number; a name that says `step` is not contradicted in silence.
    """
    name, trained = _name(args), _state(args)
    named = _number(name)
    if named is None and trained is None:
        return None, f"{args.source} tells no step: name its folder checkpoint-N"
    if trained is not None and named != trained and _written(name):
        said = trained if named is None else named
        return said, f"{args.source} says in {STATE} that it is step {trained}: its place in the series is unclear"
    return (named if trained is None else trained), ""


def _name(args: ModelArguments) -> str:
    return args.revision or Path(args.subfolder or args.pretrained or args.file).name


def _number(name: str) -> int | None:
    """The step in a name, or None: digits of a date, a version or a size are none, nor is a part of a step."""
    if written := _written(name):
        return _steps(*written)
    bare = BARE.search(name)
    return int(bare[1]) if bare and not DATE.fullmatch(bare[1]) else None


def _written(name: str) -> tuple[str, str] | None:
    """The number and the unit of a step that a name calls one."""
    found = NAMED.search(name)
    return (found[1], found[2]) if found else None


def _steps(number: str, unit: str) -> int | None:
    steps = Decimal(number) * UNITS[unit.lower()]
    return int(steps) if steps == int(steps) else None


def _by_number(name: str) -> tuple[int, str]:
    """A key that sorts `checkpoint-500` before `checkpoint-1000`."""
    return _number(Path(name).name) or 0, name


def _state(args: ModelArguments) -> int | None:
    return trained_steps(args.folder) if args.folder else None


def _shape(args: ModelArguments) -> dict | None:
    """Sizes of the states of a checkpoint on disk; None for one on the hub, which is compared when it is loaded."""
    return provenance.sizes(provenance.read_config(args)) if _on_disk(args) else None


def _common_shape(expanded: list[ModelArguments], like: ModelArguments | None) -> dict | None:
    """The shape that the checkpoints of a series must have; None if no shape can be read."""
    by_step = sorted(expanded, key=lambda args: _step(args)[0] or 0)
    shapes = [shape for args in by_step if (shape := _shape_or_none(args))]
    wanted = _shape_or_none(like) if like else None
    if wanted and 2 * shapes.count(wanted) >= len(shapes):
        return wanted
    return shapes[-1] if shapes else None


def _shape_or_none(args: ModelArguments) -> dict | None:
    try:
        return _shape(args)
    except ValueError:
        return None


def _in_order(listed: list[Checkpoint]) -> list[Checkpoint]:
    """Sorted by step. If two checkpoints have the same step, broken or not, neither is measured: it could be either."""
    many = {step for step, n in Counter(c.step for c in listed if c.step is not None).items() if n > 1}
    kept = [c for c in listed if c.step not in many]
    for step in many:
        claiming = [c for c in listed if c.step == step]
        names = " and by ".join(c.args.source for c in claiming)
        kept.append(replace(claiming[0], fault=f"step {step} is claimed by {names}: give one of them"))
    return sorted(kept, key=lambda c: (c.step is None, c.step or 0))


def _order_note(listed: list[Checkpoint]) -> str:
    steps = [c.step for c in listed if c.step is not None]
    for before, after in pairwise(steps):
        if after < before:
            return f"step {after} is listed after step {before}: the series is judged in the order of its steps"
    return ""
