"""Drop the rotation of a Llama or Qwen2 and train it on: `python -m lib.recalibrate --help`.

Training is transformers' Trainer's, and so are most options: precision, schedule, accumulation, `accelerate launch` for
several GPUs. Every checkpoint is one that `pytest claims/ --drope` reads. The same command again goes on where a killed
one stopped.
"""

import hashlib
import json
import re
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import torch
import transformers
from torch import nn

from lib.checkpoints import finished, first_sentence, identity, parse, read_config
from lib.definitions import printable, refuse_empty
from lib.models import DROPE_BASES, NORMED, Arm, add_norms, apply_norms, drop_rope, is_drope, load
from lib.probing import position_response
from lib.recalibrate import texts
from lib.recalibrate.generating import saveable
from lib.recalibrate.options import Recalibration, Training, check, read_groups
from lib.recalibrate.resuming import clear, newest, to_resume_from
from lib.recalibrate.sampling import sample
from lib.recalibrate.stopping import Stopped, stoppable
from lib.recalibrate.trainer import KeepOneToResume, Recalibrator

DECISIVE = (
    *("max_steps", "num_train_epochs", "learning_rate", "lr_scheduler_type", "lr_scheduler_kwargs", "warmup_steps"),
    *("optim", "weight_decay", "adam_beta1", "adam_beta2", "adam_epsilon", "max_grad_norm", "bf16", "fp16", "seed"),
    *("data_seed", "per_device_train_batch_size", "gradient_accumulation_steps", "world_size"),
)
"""Trainer's settings that the weights depend on: a run is resumed only if they are the same."""

QUANTIZED = "quantized weights cannot be trained: leave load_in_4bit and load_in_8bit out of --model"


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
    arm.model.generation_config, left_out = saveable(arm.model.generation_config)
    if left_out:
        names = ", ".join(f"{name} {value}" for name, value in left_out.items())
        print(f"recalibrate: checkpoints are saved without settings of generating that act on nothing: {names}")
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
    first = next(iter(rows), None)
    if first is None:  # of a stream this is not known before
        raise ValueError(f"the texts have not one row of {settings.tokens} tokens: lower --tokens or give more texts")
    origin = {
        "weights": identity(parse(settings.model)),
        "first row": hashlib.sha256(json.dumps(first["input_ids"]).encode()).hexdigest()[:16],
        "rows": None if settings.streaming else len(rows),
    }
    everything = {**origin, **vars(settings), **{key: getattr(training, key) for key in DECISIVE}}
    return json.loads(json.dumps(everything, default=str))


def recalibrate(settings: Recalibration, training: Training) -> Path:
    """Recalibrate, or resume a recalibration; returns the folder of the last checkpoint.

    Raises ValueError, one sentence, for options, texts or a model with which that cannot be done, and when the training
    ends before its last step.
    """
    check(settings, training)
    folder = Path(training.output_dir)
    with training.main_process_first(desc="writing texts"):
        own = _written_by_itself(settings, training, folder)
    arm = prepare(settings)
    with training.main_process_first(desc="reading texts"):
        documents, name = texts.read(
            own or settings.texts, field=settings.text_field, split=settings.split, streaming=settings.streaming
        )
        rows = texts.rows(documents, name, arm.tokenizer, settings.tokens, one_per_row=settings.one_per_row)
        found = to_resume_from(folder, begun_with(settings, training, rows))
    if found and finished(found):
        return found
    if training.should_save:
        clear(folder)
    try:
        trainer = Recalibrator(
            arm.model,
            training,
            train_dataset=rows,
            data_collator=transformers.default_data_collator,
            processing_class=arm.tokenizer,
            callbacks=[KeepOneToResume()],
            groups=read_groups(settings.groups),
            dropped=settings.rotation == "drop",
        )
    except RuntimeError as error:  # a package to report to that is not installed, for example
        raise ValueError(first_sentence(error)) from error
    with closing(trainer):
        trainer.train(resume_from_checkpoint=str(found) if found else None)
    state, last = trainer.state, folder / f"checkpoint-{trainer.state.global_step}"
    if not finished(last):
        raise ValueError(
            f"the training ended at step {state.global_step} of {state.max_steps}: it was stopped, or its texts ended; "
            "the same command goes on"
        )
    return last


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


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line. A fault ends it with one sentence and the code 1, a signal n with one and 128 + n."""
    parser = transformers.HfArgumentParser(
        (Recalibration, Training),
        prog="python -m lib.recalibrate",
        usage="%(prog)s --model MODEL --texts FILE.. --output_dir DIR --max_steps N [options]",
        description=__doc__,
    )
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    training = None
    try:
        with stoppable():
            refuse_empty(arguments)
            settings, training = parser.parse_args_into_dataclasses(arguments)
            print(printable(f"done: {recalibrate(settings, training)}"))
    except (ValueError, ImportError, OSError) as error:  # a package or a file that an option needs is not there
        sys.exit(printable(f"recalibrate: {' '.join(str(error).split())}"))
    except Stopped as signal:
        last = newest(Path(training.output_dir)) if training else None
        goes_on = f"goes on from {last}" if last else "begins again: no checkpoint is saved yet"
        print(printable(f"recalibrate: stopped by {signal}; the same command {goes_on}"), file=sys.stderr)
        sys.exit(128 + signal.number)
    finally:
        # gloo's threads may outlive the interpreter and abort it: a finished training would look like a failed one
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
