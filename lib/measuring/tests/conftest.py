import pytest
import torch

from fixtures.models.tiny import plant
from lib.definitions.words import EDITED
from lib.measuring.interventions import condition_masks


@pytest.fixture
def planted(tiny):
    """A tiny model with one massive channel of query and one of key."""
    plant(tiny, "query", layer=0, head=0, dim=5)
    plant(tiny, "key", layer=1, head=0, dim=2)
    return tiny


@pytest.fixture
def chosen(planted):
    """The planted channels, {name: bool [layer, head, dim]}."""
    masks = {name: torch.zeros(3, planted.config.num_key_value_heads, 16, dtype=torch.bool) for name in EDITED}
    masks["query"] = torch.zeros(3, 4, 16, dtype=torch.bool)
    masks["query"][0, 0, 5] = masks["key"][1, 0, 2] = True
    return masks


@pytest.fixture
def tables(chosen):
    """The masks of five conditions: nothing, the planted channels, three controls."""
    return {name: condition_masks(chosen[name], name=name, controls=3, seed=7) for name in EDITED}
