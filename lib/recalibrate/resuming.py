"""Going on with a run: its note, the checkpoint to go on from, and what a killed run left half-written."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import transformers
from jsonschema import Draft202012Validator

from lib.checkpoints import RECALIBRATION, STATE, trained_steps, unfinished
from lib.definitions import from_json
from lib.recalibrate import notes

DRAFT = ".draft-"
"""How the names of folders begin that are there only while something is written."""
INTEGER, NUMBER, OBJECTS = {"type": "integer"}, {"type": "number"}, {"type": "array", "items": {"type": "object"}}
STATES = Draft202012Validator(
    {
        "type": "object",
        "properties": {
            **dict.fromkeys(("global_step", "max_steps", "num_train_epochs"), INTEGER),
            **dict.fromkeys(("epoch", "total_flos", "save_steps", "logging_steps"), NUMBER),
            "log_history": OBJECTS,
            "stateful_callbacks": {"type": "object"},
        },
        "required": ["global_step", "max_steps", "epoch"],
    }
)
"""What a run goes on with of the state that Trainer saves."""


def to_resume_from(folder: Path, beginning: Mapping) -> Path | None:
    """The newest complete checkpoint, or None for a fresh start.

    A fresh start writes `beginning` into the folder. Raises ValueError if the run was begun differently, or if its note
    cannot be read.
    """
    note = folder / RECALIBRATION
    if not any(folder.glob("checkpoint-*")):  # nothing was trained yet, even if a failed run left its note
        folder.mkdir(parents=True, exist_ok=True)
        notes.write(note, beginning)
        return None
    if not note.is_file():
        raise ValueError(f"{folder} holds checkpoints that were made otherwise: give another --output_dir")
    if other := notes.difference(note, beginning):
        raise ValueError(f"{folder} was begun with {other}: give another --output_dir")
    return newest(folder)


def newest(folder: Path) -> Path | None:
    """The newest checkpoint that a run can go on from; None if there is none."""
    by_step = {trained_steps(path): path for path in folder.glob("checkpoint-*") if _is_whole(path)}
    return by_step[max(by_step)] if by_step else None


def _is_whole(checkpoint: Path) -> bool:
    """Are the weights, the optimizer's schedule and a state of the same step there?"""
    steps = trained_steps(checkpoint)
    complete = steps and not unfinished(checkpoint) and (checkpoint / "scheduler.pt").is_file()
    return bool(complete) and checkpoint.name == f"checkpoint-{steps}" and readable(checkpoint / STATE)


def readable(state: Path) -> bool:
    """Can Trainer go on with the state in this file?"""
    try:
        content = from_json(state.read_text(encoding="utf-8"))
        return STATES.is_valid(content) and bool(transformers.TrainerState(**content))
    except (OSError, ValueError, TypeError, AttributeError):
        return False


def clear(folder: Path) -> None:
    """Delete what a killed run left half-written: drafts, and the checkpoints without the state that is saved last."""
    for path in (*folder.glob(f"{DRAFT}*"), *folder.glob("checkpoint-*")):
        if path.is_dir() and (path.name.startswith(DRAFT) or trained_steps(path) is None):
            shutil.rmtree(path, ignore_errors=True)
