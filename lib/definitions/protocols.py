"""The protocols of experiment 2 by name: which channels are replaced, by what, where, and against which control."""

from dataclasses import dataclass
from typing import Literal

DEFAULT = "held-out"


@dataclass(frozen=True)
class Protocol:
    """One way to disrupt a model.

    `site` is where states are edited; None stands for the site of the run. `chosen_on` names the tokens that choose
    the channels: those of the counting texts, of all scored texts together, or of each text's own prompt. `selection`
    names the tested channels and `control` the channels they are compared with; both are replaced by `replacement`.
    `prompt` is the share of a text's tokens that forms its prompt. With a prompt, only the prompt is edited and only
    the rest is scored; with 0, the whole text is edited and scored. `description` is for readers.
    """

    name: str
    site: str | None
    chosen_on: Literal["count", "score", "prompt"]
    selection: Literal["massive", "top of each head"]
    replacement: Literal["zero", "mean"]
    control: Literal["random", "smallest of each head"]
    prompt: float
    description: str

    @property
    def leaks(self) -> bool:
        """Do the scored tokens also choose the channels?"""
        return self.chosen_on == "score"

    @property
    def controls(self) -> int | None:
        """The number of controls: 1 if the control is not random, None if the run sets the number."""
        return None if self.control == "random" else 1

    def prompt_tokens(self, tokens: int) -> int:
        """The number of tokens in a text's prompt."""
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
            description="the massive Query and Key channels are zeroed, against as many random ones; texts that choose "
            "the channels are never scored",
        ),
        # The study calibrates on the texts that it scores. Pooled, because all its texts share one set of channels.
        Protocol(
            name="africa2026",
            site="projection",
            chosen_on="score",
            selection="massive",
            replacement="zero",
            control="random",
            prompt=0.0,
            description="the massive Query and Key channels of all scored texts together are zeroed, against as many "
            "random ones; chosen on the texts that are scored: leaks",
        ),
        Protocol(
            name="jin2025",
            site="attention",
            chosen_on="prompt",
            selection="top of each head",
            replacement="mean",
            control="smallest of each head",
            prompt=0.5,
            description="the channel with the largest norm of every Query and Key head is replaced by its mean over "
            "the prompt (the first half of a text) while the prompt is read, against the channel with the smallest "
            "norm; the second half is scored, continued from the cache without any replacement; chosen on the prompt "
            "of the same text, of which nothing is scored, so it does not leak",
        ),
    )
}


def marked(name: str) -> str:
    """A protocol's name as a run's settings show it, with a mark if it leaks; "" (published figures) stays ""."""
    leaks = name in PROTOCOLS and PROTOCOLS[name].leaks
    return f"{name} (chosen on the texts that are scored: leaks)" if leaks else name
