"""What can be shown of a model beside its sites, each by its proof: its stream, and its attention weights."""

from torch import nn

from lib.probing.anatomy import CannotRead
from lib.probing.places import find_places
from lib.probing.weights import prove_weights

PROOFS = {"stream": find_places, "weights": prove_weights}
"""What proves that the residual stream and what is added to it, and attention weights, can be read."""


def unreadable(model: nn.Module) -> dict[str, str]:
    """The sentence that says why, of all of PROOFS that do not hold; {} for a model of which all can be read."""
    reasons = {}
    for name, prove in PROOFS.items():
        try:
            prove(model)
        except CannotRead as reason:
            reasons[name] = str(reason)
    return reasons
