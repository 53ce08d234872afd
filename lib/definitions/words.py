"""The vocabulary: names of tensors, sites, arms, conditions and outcomes, each with its meaning."""

from typing import Literal, get_args

Name = Literal["query", "key", "value"]
NAMES: tuple[Name, ...] = get_args(Name)
"""The states of an attention layer."""
EDITED: tuple[Name, ...] = ("query", "key")
"""The states whose channels are replaced. Source: Africa 2026 and Jin et al. 2025, which disrupt Query and Key."""

Site = Literal["projection", "normed", "attention"]
SITES: tuple[Site, ...] = get_args(Site)
"""Where states can be read. `projection`: outputs of the q/k/v projections, before norms and rotation. `normed`: after
the norms of query and key, before the rotation. `attention`: at the input of attention, after norms and rotation."""

Scope = Literal["layer", "head"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
"""The channels whose mean norm a massive channel exceeds: those of its layer, or of its head."""

ARMS = ("rope", "drope")
"""The two main arms: the control, and the treatment."""
OTHERS = ("drope", "dropped", "continued")
"""The arms that the RoPE arm is compared with: the treatment, and what tells its two parts from each other."""
RESCALED = ("linear", "dynamic", "yarn", "ntk")
"""Arms with the RoPE arm's weights and a rescaled rotation, see `lib.models.rescaling`."""
FACTOR = 4
"""The factor by which the rescaled arms stretch the context."""
MADE = ("dropped", *RESCALED)
"""Arms with the RoPE arm's weights and a changed rotation."""
ROTATING = ("rope", "continued", *RESCALED)
"""The arms that must depend on positions; the others must not."""
LABELS = {"rope": "RoPE", "drope": "DroPE"}
"""Names of arms for readers; other arms are shown by their own names."""


def label(arm: str, rope: str | None = None) -> str:
    """The name of an arm for readers.

    A treatment that is made by the model argument `rope` bears that argument: nobody can tell that it is a DroPE.
    """
    return f"rope={rope}" if arm == "drope" and rope else LABELS.get(arm, arm)


ROLES = ("count", "score")
"""`count`: a text that chooses the massive channels and is counted. `score`: a held-out text whose loss is measured."""
BANDS = ("slow", "fast")
"""The halves of a layer's rotary pairs."""

VERDICTS = ("supported", "refuted", "inconclusive")
SMOKE = "smoke"
"""The outcome of a claim that a smoke run (--limit) leaves open: its few texts support nothing, by design."""
OUTCOMES = (*VERDICTS, SMOKE, "not decidable", "error", "skipped", "not asked", "not run")
"""All possible outcomes of a claim, verdicts first. `not asked`: the run has no such arm."""
ABSENT = ("skipped", "not asked", "not run")
"""Outcomes of a claim that was not judged."""


def conditions(controls: int) -> list[str]:
    """The conditions of experiment 2 in the order of their rows: baseline, massive, control 0, .."""
    return ["baseline", "massive", *(f"control {i}" for i in range(controls))]


REPLACED_BY = ("zero", "mean")
"""What is put into a channel: zero, or its mean over the counting texts."""
DRAWS = 5
"""Random selections of equal energy: so few cost little, and tell how much depends on the draw."""
SELECTED = ("massive", "next", *(f"energy {i}" for i in range(DRAWS)))
"""Channels that are compared. `next`: the largest that are not massive, as many. `energy i`: random ones, of as much
energy as the massive ones of their layer."""


def compared_conditions() -> list[str]:
    """The conditions of the experiment on specificity in the order of their rows: baseline, "massive, zero", .."""
    return ["baseline", *(f"{selected}, {value}" for value in REPLACED_BY for selected in SELECTED)]


OF_PROMPT = ("top", "smallest")
"""Channels that are chosen on a prompt itself: those of each head with the largest and the smallest norm."""
ASKED = ("baseline", "massive", "random", "energy", *OF_PROMPT)
"""The conditions in which items are asked, in the order of their rows. `random` are as many channels as are massive,
and `energy` channels of as much energy, layer by layer: both are drawn anew for every item."""

PLACES = ("prompt", "answer", "both")
"""The tokens of an item that are read with channels replaced."""

Part = Literal["attention", "mlp"]
PARTS: tuple[Part, ...] = get_args(Part)
"""What a layer adds to the residual stream, in two parts."""
WHERE = ("first", "rest")
"""The first position, which is unlike all others in many models, and the mean over the others."""
INPUTS = ("texts", "random", "repeated")
"""Inputs on which attention sinks are looked for: beginnings of texts, random tokens, and one token repeated."""
OF_ACTIVATIONS = ("massive zeroed", "massive at mean", "random zeroed")
"""Conditions in which massive activations of the stream, or as many other values, are replaced."""
IN_MODULES = ("baseline", "attention", "mlp", "both", "mlp at first", "value at first", *OF_ACTIVATIONS)
"""The conditions of the experiment on modules, in the order of their rows. What `attention`, the `mlp` or `both` add is
zeroed in layer 1; `mlp at first` is the spike layer's at the first position, `value at first` that of all layers."""
