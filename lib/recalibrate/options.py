"""The options of a recalibration, and what their values may be."""

import re
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path

import torch
import transformers

from lib.definitions import from_json
from lib.models import NORMED

SAVING = ("steps", "epoch")
"""The values of --save_strategy with which something is saved: nothing is evaluated, so there is no best step."""


@dataclass
class Recalibration:
    """The model, the texts, and the changes to its rotation."""

    model: str = field(metadata={"help": "checkpoint to start from, written like --rope of pytest claims/"})
    texts: list[str] = field(
        metadata={
            "help": "files (.jsonl, .json, .parquet, .txt), one dataset of the hub (org/name[:config]), or "
            "self:TOKENS: as many tokens that the model writes itself at temperature 1, saved as self.jsonl in the "
            "output folder"
        }
    )
    tokens: int = field(default=2048, metadata={"help": "tokens of a row"})
    rotation: str = field(
        default="drop",
        metadata={"help": "keep makes the control: as many steps with the rotation on", "choices": ["drop", "keep"]},
    )
    attention_type: str = field(default="nope", metadata={"help": "QK-norm variant of DroPE", "choices": list(NORMED)})
    groups: str = field(
        default="{}",
        metadata={
            "help": "JSON: optimizer settings of their own for weights whose names match a regular expression, as in "
            '{"[qk]_proj": {"lr": 1e-4, "weight_decay": 0.1}}'
        },
    )
    text_field: str = field(default="text", metadata={"help": "field of the texts that holds the text"})
    split: str = field(default="train", metadata={"help": "split of the dataset"})
    one_per_row: bool = field(default=False, metadata={"help": "a row is the start of one document, nothing is packed"})
    streaming: bool = field(default=False, metadata={"help": "read the dataset while training, not before"})


@dataclass
class Training(transformers.TrainingArguments):
    """transformers' TrainingArguments with defaults for recalibrating."""

    lr_scheduler_type: str = field(default="cosine", metadata={"help": "schedule of the learning rate"})
    warmup_steps: float = field(default=0.02, metadata={"help": "steps of warm-up, or their share of all steps"})
    learning_rate: float = field(default=1e-4, metadata={"help": "highest learning rate"})
    weight_decay: float = field(default=0.1, metadata={"help": "weight decay of all but norms and biases"})
    adam_beta2: float = field(default=0.95, metadata={"help": "AdamW's second beta"})
    save_steps: float = field(default=100, metadata={"help": "save a checkpoint every so many steps"})
    logging_steps: float = field(default=10, metadata={"help": "say the loss every so many steps"})
    seed: int = field(default=0, metadata={"help": "seed of everything drawn at random"})
    report_to: str | None = field(default="none", metadata={"help": "wandb, tensorboard, .."})
    use_cache: bool = field(default=True, metadata={"help": "what the checkpoints' config says of generating"})

    def __post_init__(self):
        for name, value in vars(self).items():
            if isinstance(value, float) and not isfinite(value):
                raise ValueError(f"--{name} must be a finite number, not {value}")
        super().__post_init__()
        self.dataloader_pin_memory &= torch.cuda.is_available()  # without a GPU it warns in every run


def check(settings: Recalibration, training: Training) -> None:
    """Raise ValueError, one sentence, for the first option with which nothing sensible can be trained or written."""
    named = {**vars(settings), **{f"texts {i}": text for i, text in enumerate(settings.texts)}}
    for name, value in {**named, "output_dir": training.output_dir}.items():
        if isinstance(value, str) and not value.strip():
            raise ValueError(f"--{name.split()[0]} is empty: give it a value, or leave it out")
    groups = read_groups(settings.groups)
    for wrong, sentence in (
        (not settings.texts, "give --texts"),
        (
            type(settings.tokens) is not int or settings.tokens < 2,
            f"--tokens must be a whole number of 2 or more, not {settings.tokens}: a token is learnt from one before",
        ),
        (training.learning_rate < 0, f"--learning_rate must be 0 or more, not {training.learning_rate}"),
        (
            training.learning_rate == 0 and not any(changes.get("lr") for changes in groups.values()),
            "--learning_rate 0 trains nothing, unless --groups gives a learning rate to some weights",
        ),
        (
            training.max_steps < -1 or training.max_steps == 0,
            f"--max_steps must be a whole number of 1 or more, not {training.max_steps}, or be left out",
        ),
        (
            training.max_steps < 0 and training.num_train_epochs <= 0,
            f"--num_train_epochs must be more than 0, not {training.num_train_epochs}",
        ),
        (
            training.gradient_accumulation_steps < 1 or training.per_device_train_batch_size < 1,
            "--gradient_accumulation_steps and --per_device_train_batch_size must be whole numbers of 1 or more",
        ),
        (
            training.save_strategy not in SAVING,
            f"--save_strategy must be {' or '.join(SAVING)}: what is trained must be saved",
        ),
        (
            settings.streaming and training.max_steps < 0,
            "a dataset that is streamed has no known end: give --max_steps",
        ),
    ):
        if wrong:
            raise ValueError(sentence)
    make_folder(Path(training.output_dir))


def make_folder(folder: Path) -> None:
    """Make the output folder and write something in it. Raises ValueError, one sentence, if that cannot be done."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (FileExistsError, NotADirectoryError) as error:
        raise ValueError(f"--output_dir {folder} cannot be written: it is, or lies in, a file, not a folder") from error
    except OSError as error:
        raise ValueError(f"--output_dir {folder} cannot be written: {error.strerror or error}") from error


def read_groups(text: str) -> dict[str, dict]:
    """--groups: settings of the optimizer by pattern of names. Raises ValueError, one sentence, for anything else."""
    try:
        groups = from_json(text)
        for pattern, changes in groups.items():
            re.compile(pattern)
            for setting, value in changes.items():
                if not all(_is_setting(number) for number in (value if isinstance(value, list) else [value])):
                    raise ValueError(f"{setting} must be a finite number of 0 or more, not {value!r}")
    except (ValueError, AttributeError, TypeError, re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"--groups must be JSON of the form {{pattern: {{setting: number}}}}: {error}") from error
    return groups


def _is_setting(value: object) -> bool:
    """Is this a switch, or a finite number of 0 or more?"""
    return isinstance(value, int | float) and 0 <= value <= sys.float_info.max


def check_group(pattern: str, changes: Mapping, defaults: Mapping) -> None:
    """Raise ValueError, one sentence, unless every setting is one of an optimizer's `defaults`, and of the same kind.

    A setting that is a pair of numbers, such as betas, is given as a list, and each of them must be below 1.
    """
    for setting, value in changes.items():
        if setting not in defaults:
            raise ValueError(f"--groups: the optimizer has no setting {setting!r}")
        default = defaults[setting]
        alike = _is_number(value) if _is_number(default) else isinstance(value, bool)
        if isinstance(default, list | tuple):
            alike = isinstance(value, list) and len(value) == len(default)
            alike = alike and all(_is_number(number) and number < 1 for number in value)
        if not alike:
            raise ValueError(
                f"--groups: {setting} of {pattern!r} must be written like the optimizer's own, {default!r}, "
                f"not {value!r}"
            )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
