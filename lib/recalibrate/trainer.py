"""transformers' Trainer for recalibration: optimizer settings by names of weights, and DroPE checkpoints.

Nothing that is not finite is trained on or saved, and a checkpoint is saved whole or not at all.
"""

import re
import shutil
import tempfile
from collections.abc import Callable, Mapping
from math import isfinite
from pathlib import Path

import torch
import transformers
from torch import nn

from lib.checkpoints import STATE, first_sentence
from lib.models import mark_as_drope
from lib.recalibrate.options import check_group
from lib.recalibrate.resuming import DRAFT, newest

RESUMING = ("optimizer.pt", "optimizer.bin", "scheduler.pt", "scaler.pt", "rng_state*.pth")
"""Files of a checkpoint that are needed only for resuming."""


class Recalibrator(transformers.Trainer):
    """A Trainer with optimizer settings by names of weights; with `dropped`, it saves DroPE checkpoints.

    It raises ValueError, one sentence, when loss, gradients or weights are no longer finite, and when a checkpoint
    cannot be saved; for most reasons before the first step.
    """

    def __init__(self, *args, groups: Mapping[str, Mapping], dropped: bool, **options):
        super().__init__(*args, **options)
        self.groups, self.dropped = groups, dropped
        self.add_callback(BeforeTheFirstStep(self.rehearse))

    @property
    def folder(self) -> Path:
        """The output folder."""
        return Path(self.args.output_dir)

    def close(self) -> None:
        """End the line of the progress bar: what is said next stands on its own."""
        bar = getattr(self.pop_callback(transformers.ProgressCallback), "training_bar", None)
        if bar is not None:
            bar.close()

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        fresh = self.optimizer is None
        optimizer = super().create_optimizer(model)
        if fresh and self.groups:
            regroup(optimizer, model or self.model, self.groups)
        return optimizer

    def create_scheduler(self, *args, **options) -> torch.optim.lr_scheduler.LRScheduler:
        try:
            return super().create_scheduler(*args, **options)
        except TypeError as error:
            raise ValueError(f"--lr_scheduler_kwargs cannot be used: {first_sentence(error)}") from error

    def training_step(self, *args, **options) -> torch.Tensor:
        loss = super().training_step(*args, **options)
        self._go_on_only_if_finite("the loss", float(loss))
        return loss

    def _get_grad_norm(self, *args, **options):
        norm = super()._get_grad_norm(*args, **options)
        if self.accelerator.scaler is None and norm is not None:  # a scaler passes over steps that overflow in float16
            self._go_on_only_if_finite("the norm of the gradients", float(norm))
        return norm

    def _go_on_only_if_finite(self, what: str, value: float) -> None:
        if not isfinite(value):
            raise ValueError(
                f"{what} of step {self.state.global_step + 1} is {value}: the training ends, and {self._saved()}; give "
                "a lower learning rate and another --output_dir, or put right what the texts or the weights have"
            )

    def _saved(self) -> str:
        last = newest(self.folder)
        return f"the last good checkpoint is {last}" if last else "no checkpoint is saved yet"

    def _check_weights(self) -> None:
        for name, weight in self.model.named_parameters():
            if not weight.isfinite().all():
                raise ValueError(
                    f"the weights are not finite after step {self.state.global_step} ({name}): they are not saved, and "
                    f"{self._saved()}"
                )

    def _check_room(self) -> None:
        """Raise ValueError unless the disk has room for a checkpoint: the weights, and what Adam keeps of them."""
        weights = [(weight.numel() * weight.element_size(), weight.requires_grad) for weight in self.model.parameters()]
        adam = "adam" in self.args.optim and "bit" not in self.args.optim and not self.args.save_only_model
        needed = sum(size * (3 if adam and trained else 1) for size, trained in weights)
        free = shutil.disk_usage(self.folder).free
        if free < needed:
            raise ValueError(
                f"a checkpoint needs {needed / 1e9:.3g} GB and {self.folder} has room for {free / 1e9:.3g}: make room, "
                f"then the same command goes on ({self._saved()})"
            )

    def rehearse(self) -> None:
        """Save all of a checkpoint but weights and optimizer, and delete it again.

        Raises ValueError, one sentence, for what would only be known at the first checkpoint.
        """
        self._check_weights()
        if not self.args.should_save:
            return
        self._check_room()
        try:
            with tempfile.TemporaryDirectory(prefix=DRAFT, dir=self.folder) as draft:
                self._save(draft, state_dict={})
                if self.dropped:
                    mark_as_drope(Path(draft))
                self.state.save_to_json(str(Path(draft) / STATE))
        except Exception as error:  # nearly any exception can come from a config or a tokenizer
            raise ValueError(f"no checkpoint of this model can be saved: {first_sentence(error)}") from error

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        super().save_model(output_dir, _internal_call)
        if self.dropped and self.args.should_save:
            mark_as_drope(Path(output_dir or self.args.output_dir))

    def _save_checkpoint(self, *args, **options) -> None:
        self._check_weights()
        if self.args.should_save:
            self._check_room()
        checkpoint, complete = self.folder / f"checkpoint-{self.state.global_step}", False
        try:
            super()._save_checkpoint(*args, **options)
            complete = True
        except Exception as error:  # every library has its own for a full disk
            free = shutil.disk_usage(self.folder).free / 1e9
            raise ValueError(
                f"{checkpoint} cannot be saved ({first_sentence(error)}; there is room for {free:.3g} GB): the "
                f"same command goes on when it can, and {self._saved()}"
            ) from error
        finally:
            if not complete and self.args.should_save:
                shutil.rmtree(checkpoint, ignore_errors=True)


class BeforeTheFirstStep(transformers.TrainerCallback):
    """Calls a function when everything is set up and nothing is trained."""

    def __init__(self, function: Callable[[], None]):
        self.function = function

    def on_train_begin(self, args, state, control, **_):
        self.function()


class KeepOneToResume(transformers.TrainerCallback):
    """Deletes the optimizer, which is twice as large as the weights, from all checkpoints but the newest."""

    def on_save(self, args, state, control, **_):
        if args.should_save:
            for folder in Path(args.output_dir).glob("checkpoint-*"):
                if folder.name != f"checkpoint-{state.global_step}":
                    for pattern in RESUMING:
                        for file in folder.glob(pattern):
                            file.unlink()


def regroup(optimizer: torch.optim.Optimizer, model: nn.Module, groups: Mapping[str, Mapping]) -> None:
    """Apply the settings in `groups` to the weights whose names match their patterns; the first match counts.

    Raises ValueError, one sentence, for a pattern that matches no weight, for a setting that the optimizer does not
    have, and for one that is of another kind than the optimizer's own.
    """
    names = {weight: name for name, weight in model.named_parameters()}
    used = set()
    for pattern, changes in groups.items():
        check_group(pattern, changes, optimizer.defaults)
    for group in list(optimizer.param_groups):
        for pattern, changes in groups.items():
            matching = [weight for weight in group["params"] if re.search(pattern, names[weight])]
            if matching:
                used.add(pattern)
                group["params"] = [weight for weight in group["params"] if not re.search(pattern, names[weight])]
                optimizer.add_param_group({**group, **changes, "params": matching})
    if missed := [pattern for pattern in groups if pattern not in used]:
        raise ValueError(f"--groups: no weight has a name that matches {missed[0]!r}")
    optimizer.param_groups[:] = [group for group in optimizer.param_groups if group["params"]]
