"""Drop the rotation of a Llama or Qwen2 and train it on: `python -m lib.recalibrate --help`.

Training is transformers' Trainer's, and so are most options: precision, schedule, accumulation, `accelerate launch` for
several GPUs. Every checkpoint is one that `pytest claims/ --drope` reads. The same command again goes on where a killed
one stopped.
"""

import hashlib
import json
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

import torch
import transformers
from torch import nn

from lib.checkpoints import finished, identity, parse, read_config, trained_steps, unfinished
from lib.models import DROPE_BASES, NORMED, Arm, add_norms, apply_norms, drop_rope, is_drope, load
from lib.probing import position_response
from lib.recalibrate import texts
from lib.recalibrate.sampling import sample
from lib.recalibrate.trainer import KeepOneToResume, Recalibrator

DECISIVE = (
    *("max_steps", "num_train_epochs", "learning_rate", "lr_scheduler_type", "lr_scheduler_kwargs", "warmup_steps"),
    *("optim", "weight_decay", "adam_beta1", "adam_beta2", "adam_epsilon", "max_grad_norm", "bf16", "fp16", "seed"),
    *("data_seed", "per_device_train_batch_size", "gradient_accumulation_steps", "world_size"),
)
"""Trainer's settings that the weights depend on: a run is resumed only if they are the same."""

QUANTIZED = "quantized weights cannot be trained: leave load_in_4bit and load_in_8bit out of --model"


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
        super().__post_init__()
        self.dataloader_pin_memory &= torch.cuda.is_available()  # without a GPU it warns in every run


def prepare(settings: Recalibration) -> Arm:
    """The model to train: loaded in full precision, its rotation dropped or kept, its weights trainable."""
    args = parse(settings.model)
    raw = read_config(args)
    if args.quantization != "none":
        raise ValueError(QUANTIZED)
    if settings.rotation == "keep" and is_drope(raw):
        raise ValueError(f"{args.name} has no rotation to keep: it is a DroPE checkpoint")
    if raw["model_type"].removesuffix("_drope") not in DROPE_BASES:
        raise ValueError(f"{args.name} is a {raw['model_type']!r}: Llama and Qwen2 can be recalibrated")
    arm = load(args, device="cpu")
    if settings.rotation == "drop" and not is_drope(raw):
        drop_rope(arm.model)
        arm.model.config.attention_type = settings.attention_type
        if NORMED[settings.attention_type]:
            add_norms(arm.model)
            apply_norms(arm.model)
        _prove_that_positions_are_gone(arm.model)
    for name, weight in arm.model.named_parameters():
        weight.requires_grad_(not _unused_norm(name, arm.model.config))
    return arm


def _unused_norm(name: str, config: transformers.PreTrainedConfig) -> bool:
    """Is this the norm of query or key that its QK-norm variant stores and does not apply?"""
    match = re.search(r"self_attn\.([qk])_norm\.", name)
    return bool(match) and match.group(1) not in NORMED[getattr(config, "attention_type", "nope")]


def _prove_that_positions_are_gone(model: nn.Module) -> None:
    response = position_response(model.eval(), torch.arange(16)[None] % model.config.vocab_size)
    if response["change"] > response["noise"]:
        raise ValueError(f"{type(model).__name__} still sees positions after its rotation was dropped: {response}")


def begun_with(settings: Recalibration, training: Training, rows: texts.Rows) -> dict:
    """Everything that the trained weights depend on, as plain JSON values."""
    first = next(iter(rows))["input_ids"]
    origin = {
        "weights": identity(parse(settings.model)),
        "first row": hashlib.sha256(json.dumps(first).encode()).hexdigest()[:16],
        "rows": None if settings.streaming else len(rows),
    }
    everything = {**origin, **vars(settings), **{key: getattr(training, key) for key in DECISIVE}}
    return json.loads(json.dumps(everything, default=str))


def to_resume_from(folder: Path, beginning: dict) -> Path | None:
    """The newest complete checkpoint, or None for a fresh start.

    A fresh start writes `beginning` into the folder. Raises ValueError if the run was begun differently.
    """
    note = folder / "recalibration.json"
    if not any(folder.glob("checkpoint-*")):  # nothing was trained yet, even if a failed run left its note
        folder.mkdir(parents=True, exist_ok=True)
        note.write_text(json.dumps(beginning, indent=2) + "\n")
        return None
    if not note.is_file():
        raise ValueError(f"{folder} holds checkpoints that were made otherwise: give another --output_dir")
    before = json.loads(note.read_text())
    for key, value in beginning.items():
        if before.get(key) != value:
            raise ValueError(
                f"{folder} was begun with {key} {before.get(key)!r}, now it is {value!r}: give another --output_dir"
            )
    by_step = {trained_steps(path): path for path in folder.glob("checkpoint-*")}
    whole = {n: p for n, p in by_step.items() if n and not unfinished(p) and (p / "scheduler.pt").is_file()}
    return whole[max(whole)] if whole else None


def recalibrate(settings: Recalibration, training: Training) -> Path:
    """Recalibrate, or resume a recalibration; returns the folder of the last checkpoint."""
    groups = _groups(settings.groups)
    if settings.streaming and training.max_steps <= 0:
        raise ValueError("a dataset that is streamed has no known end: give --max_steps")
    folder = Path(training.output_dir)
    with training.main_process_first(desc="writing texts"):
        own = _written_by_itself(settings, training, folder)
    arm = prepare(settings)
    with training.main_process_first(desc="reading texts"):
        documents, name = texts.read(
            own or settings.texts, field=settings.text_field, split=settings.split, streaming=settings.streaming
        )
        rows = texts.rows(documents, name, arm.tokenizer, settings.tokens, one_per_row=settings.one_per_row)
        newest = to_resume_from(folder, begun_with(settings, training, rows))
    if newest and finished(newest):
        return newest
    trainer = Recalibrator(
        arm.model,
        training,
        train_dataset=rows,
        data_collator=transformers.default_data_collator,
        processing_class=arm.tokenizer,
        callbacks=[KeepOneToResume()],
        groups=groups,
        dropped=settings.rotation == "drop",
    )
    trainer.train(resume_from_checkpoint=str(newest) if newest else None)
    return folder / f"checkpoint-{trainer.state.global_step}"


def _written_by_itself(settings: Recalibration, training: Training, folder: Path) -> list[str]:
    """The file that `self:TOKENS` stands for, written by the model as it is before training; [] for other texts."""
    asked = [text for text in settings.texts if text.startswith("self:")]
    if not asked:
        return []
    number = asked[0].removeprefix("self:")
    if len(settings.texts) > 1 or not number.isdecimal() or int(number) < settings.tokens:
        raise ValueError(
            f"--texts {asked[0]}: write self:TOKENS alone, TOKENS being a whole number of {settings.tokens} (--tokens) "
            "or more"
        )
    args = parse(settings.model)
    if args.quantization != "none":
        raise ValueError(QUANTIZED)
    file = folder / "self.jsonl"
    sample(load(args), identity(args), file, total=int(number), tokens=settings.tokens, seed=training.seed)
    return [str(file)]


def _groups(text: str) -> dict[str, dict]:
    try:
        groups = json.loads(text)
        for pattern, changes in groups.items():
            re.compile(pattern)
            dict(changes)
    except (ValueError, AttributeError, TypeError, re.error) as error:
        raise ValueError(f"--groups must be JSON of the form {{pattern: {{setting: number}}}}: {error}") from error
    return groups


def main() -> None:
    """Run the command line."""
    parser = transformers.HfArgumentParser(
        (Recalibration, Training),
        prog="python -m lib.recalibrate",
        usage="%(prog)s --model MODEL --texts FILE.. --output_dir DIR --max_steps N [options]",
        description=__doc__,
    )
    try:
        settings, training = parser.parse_args_into_dataclasses()
        print(f"done: {recalibrate(settings, training)}")
    except ValueError as error:
        sys.exit(f"recalibrate: {error}")
    finally:
        # gloo's threads may outlive the interpreter and abort it: a finished training would look like a failed one
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
