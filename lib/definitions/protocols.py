"""Protocols of experiment 2 by name: what is replaced where, chosen on what, against which control. Needs no torch."""

from dataclasses import dataclass
from typing import Literal

DEFAULT = "held-out"


@dataclass(frozen=True)
class Protocol:
    """One way to disrupt a model.

    `site` is where states are edited, None for wherever `--site` says. `chosen_on` says which tokens choose the
    channels: those of the counting texts, of all scored texts together, or of each text's own prompt. `selection` are
    the channels that are put to the test and `control` those they are held against; `replacement` is what both get.
    `prompt` is the share of a text's tokens that is its prompt: with one, the prompt alone is edited and the rest alone
    is scored; with 0 the whole text is both. `said` describes all of that to a reader.
    """

    name: str
    site: str | None
    chosen_on: Literal["count", "score", "prompt"]
    selection: Literal["massive", "top of each head"]
    replacement: Literal["zero", "mean"]
    control: Literal["random", "smallest of each head"]
    prompt: float
    said: str

    @property
    def leaks(self) -> bool:
        """Has what is scored been looked at before, to choose the channels?"""
        return self.chosen_on == "score"

    @property
    def controls(self) -> int | None:
        """How many controls there are, None for as many as are asked for: a control that is not drawn is one."""
        return None if self.control == "random" else 1

    def prompt_tokens(self, tokens: int) -> int:
        """How many of a text's tokens are its prompt."""
        return int(self.prompt * tokens)


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            name=DEFAULT,
            site=None,
            chosen_on="count",
            selection="massive",
            replacement="zero",
            control="random",
            prompt=0.0,
            said="the massive Query and Key channels are zeroed, against as many random ones; texts that choose the "
            "channels are never scored",
        ),
        # the study calibrates on what it scores; pooled, because its channels are the same for all of its texts
        Protocol(
            name="africa2026",
            site="projection",
            chosen_on="score",
            selection="massive",
            replacement="zero",
            control="random",
            prompt=0.0,
            said="the massive Query and Key channels of all scored texts together are zeroed, against as many random "
            "ones; chosen on the texts that are scored: leaks",
        ),
        Protocol(
            name="jin2025",
            site="attention",
            chosen_on="prompt",
            selection="top of each head",
            replacement="mean",
            control="smallest of each head",
            prompt=0.5,
            said="the channel with the largest norm of every Query and Key head is replaced by its mean over the "
            "prompt (the first half of a text) while the prompt is read, against the channel with the smallest norm; "
            "the second half is scored, continued from the cache without any replacement; chosen on the prompt of the "
            "same text, of which nothing is scored, so it does not leak",
        ),
    )
}


def marked(name: str) -> str:
    """A protocol's name as it stands among a run's settings, with a mark when it leaks; "" for none (published)."""
    leaks = name in PROTOCOLS and PROTOCOLS[name].leaks
    return f"{name} (chosen on the texts that are scored: leaks)" if leaks else name
