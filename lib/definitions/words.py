"""The one vocabulary: names of tensors, sites, arms, conditions and outcomes, each with its meaning."""

from typing import Literal, get_args

Name = Literal["query", "key", "value"]
NAMES: tuple[Name, ...] = get_args(Name)
"""The states of an attention layer."""
EDITED: tuple[Name, ...] = ("query", "key")
"""The states whose channels are replaced. Source: Africa 2026 and Jin et al. 2025, which disrupt Query and Key."""

Site = Literal["projection", "normed", "attention"]
SITES: tuple[Site, ...] = get_args(Site)
"""Where states can be read. `projection`: outputs of the q/k/v projections, before norms and rotation. `normed`: after
the norms of query and key, before the rotation. `attention`: what attention receives, after norms and rotation."""

Scope = Literal["layer", "head"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
"""Over which channels the mean is taken that a massive channel exceeds."""

ARMS = ("rope", "drope")
"""The two main arms: the control, and the treatment."""
RESCALED = ("linear", "dynamic", "yarn", "ntk")
"""Arms with the RoPE arm's weights and its rotation rescaled, see `lib.models.rescaling`."""
FACTOR = 4
"""By which the rotation of the rescaled arms is rescaled."""
MADE = ("dropped", *RESCALED)
"""Arms that are made from the RoPE arm by changing its rotation, and have its weights."""
ROTATING = ("rope", "continued", *RESCALED)
"""The arms that must see positions; no other may."""
LABELS = {"rope": "RoPE", "drope": "DroPE"}
"""Names of arms as a reader sees them; other arms go by their own."""

ROLES = ("count", "score")
"""`count`: chooses the massive channels and is counted. `score`: held out, its loss is measured."""
BANDS = ("slow", "fast")
"""The halves of a layer's rotary pairs."""

VERDICTS = ("supported", "refuted", "inconclusive")
OUTCOMES = (*VERDICTS, "not decidable", "error", "skipped", "not run")
"""Everything that can become of a claim, verdicts first."""
ABSENT = ("skipped", "not run")
"""Outcomes of a claim that was not judged."""


def conditions(controls: int) -> list[str]:
    """Names of the conditions of experiment 2, in the order of their rows: baseline, massive, control 0, .."""
    return ["baseline", "massive", *(f"control {i}" for i in range(controls))]
