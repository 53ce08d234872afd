"""Which arms may be compared: by the shapes of their states and by their tokenizers, before the first is measured."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import xarray as xr

from lib.checkpoints import different_size, read_config, sizes
from lib.measuring.arms import quiet
from lib.models import load_tokenizer, tokenize, tokenizer_signature
from lib.records import BrokenRecord, Look, NoRecord, look_at
from lib.settings import Settings
from lib.texts import Text


class Looks:
    """Looks at every arm of a run before the first is measured, as far as that takes no weights.

    `recorded` gives an arm's record or raises, `fault` is told what is wrong with an arm, and raises where the run
    cannot go on without it.
    """

    def __init__(
        self,
        settings: Settings,
        chosen: Sequence[Text],
        recorded: Callable[[str], xr.Dataset],
        fault: Callable[[str, Exception], None],
    ):
        self.settings, self.texts, self.recorded, self.fault = settings, chosen, recorded, fault
        self.found: dict[str, Look] = {}
        self.done = False

    def at_all(self) -> None:
        """Find the arms that cannot be compared. Records that are all there are looked at when they are taken."""
        if self.done:
            return
        self.done = True
        rope = self._look("rope")
        for arm in self.settings.arms:
            if arm != "rope":
                try:
                    self.found[arm] = rope if self._made_from_rope(arm) else self._look(arm)
                except ValueError as error:
                    self.fault(arm, error)
        for arm, look in self.found.items():
            try:
                self.check(arm, look, rope)
            except ValueError as error:
                self.fault(arm, error)

    def check(self, arm: str, look: Look, rope: Look) -> None:
        """Raise ValueError for an arm that cannot be compared with the RoPE arm, or with the rest of its series.

        A checkpoint may have another shape than the RoPE arm, and then another tokenizer; in the same shape another
        tokenizer is a mistake, since recalibration changes none. What comes from the RoPE arm has its shape.
        """
        if arm not in self.settings.checkpoints:
            _check_alike(arm, look, rope, "the RoPE arm")
            return
        if last := self._last(arm):
            _check_alike(arm, look, last, "the last checkpoint")
        if not different_size(rope.sizes, look.sizes):
            _check_alike(arm, look, rope, "the RoPE arm")

    def _look(self, arm: str) -> Look:
        """Sizes of the states and what the tokenizer does; every text must be long enough."""
        args = self.settings.arms[arm]
        with quiet():
            tokenizer = load_tokenizer(args)
        tokenize(self.texts, tokenizer, self.settings.max_tokens)
        return Look(sizes(read_config(args)), tokenizer_signature(tokenizer))

    def _made_from_rope(self, arm: str) -> bool:
        """Is this the RoPE arm with another rotation?"""
        rope, args = self.settings.arms["rope"], self.settings.arms[arm]
        return args == replace(rope, rope=args.rope)

    def _last(self, arm: str) -> Look | None:
        """The last checkpoint that can be looked at, if it comes after this one."""
        for other in reversed(self.settings.checkpoints):
            if other == arm:
                return None
            if other not in self.found:
                self._look_at_record(other)
            if other in self.found:
                return self.found[other]
        return None

    def _look_at_record(self, arm: str) -> None:
        """Look at an arm's record. Where it has none, it will be measured, and all are looked at before that."""
        try:
            self.found[arm] = look_at(self.recorded(arm))
        except (NoRecord, BrokenRecord):
            self.at_all()
        except ValueError:
            return  # the arm says what is wrong with it when it is asked for


def _check_alike(arm: str, look: Look, other: Look, of: str) -> None:
    if different := different_size(other.sizes, look.sizes):
        raise ValueError(f"the {arm} arm has another shape than {of}: {different}")
    if look.tokenizer != other.tokenizer:
        raise ValueError(f"the {arm} arm has another tokenizer than {of}, so it does not read the same texts")
