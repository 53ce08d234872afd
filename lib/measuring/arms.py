"""The models of a session: loaded once each, one at a time, freed after they are measured, and never changed."""

import gc
import logging
from collections.abc import Mapping

import torch
import transformers

from lib.checkpoints import ModelArguments
from lib.measuring.logits import try_parts
from lib.measuring.threads import use_threads
from lib.models import Arm, fingerprint, load


class Arms:
    """Loads arms by name and holds at most one of them at a time."""

    def __init__(self, arguments: Mapping[str, ModelArguments], device: str, threads: int | None = None):
        self.arguments, self.device, self.threads = arguments, device, threads
        self.held: dict[str, Arm] = {}
        self.loads: list[str] = []
        self._fingerprints: dict[str, str] = {}

    def get(self, name: str) -> Arm:
        """The arm called `name`, loaded unless it is held; another held arm is freed first."""
        if name not in self.held:
            self.free()
            use_threads(self.threads)
            with quiet():
                self.held[name] = load(self.arguments[name], device=self.device)
                try_parts(self.held[name].model)
            self.loads.append(name)
            self._fingerprints[name] = fingerprint(self.held[name].model)
        return self.held[name]

    def verify(self) -> None:
        """Raise ValueError if the weights of a held arm have changed since it was loaded."""
        for name, arm in self.held.items():
            if fingerprint(arm.model) != self._fingerprints[name]:
                raise ValueError(f"the weights of the {name} arm were changed after loading: measurements would differ")

    def free(self) -> None:
        """Release the held model and its memory."""
        if not self.held:
            return  # collecting garbage takes a quarter of a second
        self.held.clear()
        self._fingerprints.clear()
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


class quiet:
    """Within the block, the loading libraries show no progress bars or warnings, which would garble the terminal.

    The important ones, about missing or unexpected weights, are raised as errors by `lib.models.load`.
    """

    def __enter__(self):
        self.level = transformers.logging.get_verbosity()
        self.bars = transformers.logging.is_progress_bar_enabled()
        transformers.logging.set_verbosity(logging.CRITICAL)
        transformers.logging.disable_progress_bar()

    def __exit__(self, *_):
        transformers.logging.set_verbosity(self.level)
        if self.bars:
            transformers.logging.enable_progress_bar()
