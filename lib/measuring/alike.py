"""Check that all arms can be compared, by their shapes and tokenizers, before the first arm is measured."""

from collections.abc import Callable, Sequence

import xarray as xr

from lib.checkpoints import different_size, read_config, sizes
from lib.measuring.arms import quiet
from lib.models import load_tokenizer, rows_in_config, signature, tokenize
from lib.records import BrokenRecord, NoRecord, Profile, profile_of
from lib.settings import Settings
from lib.texts import Text


class Profiles:
    """The profiles of a run's arms, read without their weights before the first arm is measured.

    `recorded(arm)` returns the arm's record of norms or raises. `fault(arm, error)` is called for an arm that cannot be
    compared; it raises if the run cannot go on without that arm.
    """

    def __init__(
        self,
        settings: Settings,
        chosen: Sequence[Text],
        recorded: Callable[[str], xr.Dataset],
        fault: Callable[[str, Exception], None],
    ):
        self.settings, self.texts, self.recorded, self.fault = settings, chosen, recorded, fault
        self.of_arms: dict[str, Profile] = {}
        self.done = False

    def check_all(self) -> None:
        """Profile all arms and report those that cannot be compared. Runs once, and only if a record is missing."""
        if self.done:
            return
        self.done = True
        rope = self._profile("rope")
        for arm in self.settings.arms:
            if arm != "rope":
                try:
                    self.of_arms[arm] = rope if self._made_from_rope(arm) else self._profile(arm)
                except ValueError as error:
                    self.fault(arm, error)
        for arm, profile in self.of_arms.items():
            try:
                self.check(arm, profile, rope)
            except ValueError as error:
                self.fault(arm, error)

    def check(self, arm: str, profile: Profile, rope: Profile) -> None:
        """Raise ValueError for an arm that cannot be compared with the RoPE arm, or with the rest of its series.

        A checkpoint may have another shape than the RoPE arm, and then another tokenizer too. With the same shape,
        another tokenizer is a mistake, because recalibration changes no tokenizer. All other arms derive from the RoPE
        arm and must have its shape and its tokenizer.
        """
        if arm not in self.settings.checkpoints:
            _check_alike(arm, profile, rope, "the RoPE arm")
            return
        if last := self._last(arm):
            _check_alike(arm, profile, last, "the last checkpoint")
        if not different_size(rope.sizes, profile.sizes):
            _check_alike(arm, profile, rope, "the RoPE arm")

    def _profile(self, arm: str) -> Profile:
        """Sizes and tokenizer of an arm. Raises ValueError for a text that this arm cannot read."""
        args = self.settings.arms[arm]
        with quiet():
            tokenizer = load_tokenizer(args)
        config = read_config(args)
        ids = tokenize(self.texts, tokenizer, self.settings.max_tokens, rows_in_config(config))
        counted = [text.role == "count" for text in self.texts]  # as in the records of norms
        return Profile(sizes(config), signature(ids[counted]))

    def _made_from_rope(self, arm: str) -> bool:
        """Does this arm differ from the RoPE arm in its rotation alone?"""
        return self.settings.arms[arm].same_but_for_rotation(self.settings.arms["rope"])

    def _last(self, arm: str) -> Profile | None:
        """The profile of the last checkpoint that has one, if it comes after this checkpoint."""
        for other in reversed(self.settings.checkpoints):
            if other == arm:
                return None
            if other not in self.of_arms:
                self._profile_record(other)
            if other in self.of_arms:
                return self.of_arms[other]
        return None

    def _profile_record(self, arm: str) -> None:
        """Profile an arm from its record. If the record is missing, the arm will be measured: then profile all arms."""
        try:
            self.of_arms[arm] = profile_of(self.recorded(arm))
        except (NoRecord, BrokenRecord):
            self.check_all()
        except ValueError:
            return  # the same error is raised again when the arm is asked for


def _check_alike(arm: str, profile: Profile, other: Profile, of: str) -> None:
    if different := different_size(other.sizes, profile.sizes):
        raise ValueError(f"the {arm} arm has another shape than {of}: {different}")
    if profile.tokenizer != other.tokenizer:
        raise ValueError(
            f"the {arm} arm has another tokenizer than {of}, so it does not read the same texts: give both the same "
            "tokenizer=, or the same add_bos_token= if one adds BOS and the other does not"
        )
