"""transformers' Trainer for recalibration: optimizer settings by names of weights, and DroPE checkpoints."""

import re
from collections.abc import Mapping
from pathlib import Path

import torch
import transformers
from torch import nn

from lib.models import mark_as_drope

RESUMING = ("optimizer.pt", "optimizer.bin", "scheduler.pt", "scaler.pt", "rng_state*.pth")
"""Files of a checkpoint that are needed only for resuming."""


class Recalibrator(transformers.Trainer):
    """A Trainer with optimizer settings by names of weights; with `dropped`, it saves DroPE checkpoints."""

    def __init__(self, *args, groups: Mapping[str, Mapping], dropped: bool, **options):
        super().__init__(*args, **options)
        self.groups, self.dropped = groups, dropped

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        fresh = self.optimizer is None
        optimizer = super().create_optimizer(model)
        if fresh and self.groups:
            regroup(optimizer, model or self.model, self.groups)
        return optimizer

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        super().save_model(output_dir, _internal_call)
        if self.dropped and self.args.should_save:
            mark_as_drope(Path(output_dir or self.args.output_dir))


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

    Raises ValueError for a pattern that matches no weight, and for a setting that the optimizer does not have.
    """
    names = {weight: name for name, weight in model.named_parameters()}
    used = set()
    for group in list(optimizer.param_groups):
        for pattern, changes in groups.items():
            if unknown := set(changes) - set(optimizer.defaults):
                raise ValueError(f"--groups: the optimizer has no setting {sorted(unknown)[0]!r}")
            matching = [weight for weight in group["params"] if re.search(pattern, names[weight])]
            if matching:
                used.add(pattern)
                group["params"] = [weight for weight in group["params"] if not re.search(pattern, names[weight])]
                optimizer.add_param_group({**group, **changes, "params": matching})
    if missed := [pattern for pattern in groups if pattern not in used]:
        raise ValueError(f"--groups: no weight has a name that matches {missed[0]!r}")
    optimizer.param_groups[:] = [group for group in optimizer.param_groups if group["params"]]
