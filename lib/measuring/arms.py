"""Models in a session: each loaded once, one at a time, freed when its records are taken, and never changed."""

import gc
import logging
from collections.abc import Mapping

import torch
import transformers

from lib.checkpoints import ModelArguments
from lib.models import Arm, fingerprint, load


class Arms:
    """Loads arms by name and holds at most one of them."""

    def __init__(self, arguments: Mapping[str, ModelArguments], device: str):
        self.arguments, self.device = arguments, device
        self.held: dict[str, Arm] = {}
        self.loads: list[str] = []
        self._fingerprints: dict[str, str] = {}

    def get(self, name: str) -> Arm:
        """The arm called `name`, loaded if it is not held; another one is freed first."""
        if name not in self.held:
            self.free()
            with quiet():
                self.held[name] = load(self.arguments[name], device=self.device)
            self.loads.append(name)
            self._fingerprints[name] = fingerprint(self.held[name].model)
        return self.held[name]

    def verify(self) -> None:
        """Raise ValueError when the weights of a held arm are no longer what was loaded."""
        for name, arm in self.held.items():
            if fingerprint(arm.model) != self._fingerprints[name]:
                raise ValueError(f"the weights of the {name} arm were changed after loading: measurements would differ")

    def free(self) -> None:
        """Let go of the held model."""
        if not self.held:
            return  # collecting garbage takes a quarter of a second
        self.held.clear()
        self._fingerprints.clear()
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


class quiet:
    """Within the block, no progress bars and warnings of the loading libraries: they would break the terminal's lines.

    What matters among them (missing or unexpected weights) is an error of ours.
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
