"""Arms that can be compared: what a record that cannot be read says of the others."""

from types import SimpleNamespace

import pytest

from lib.checkpoints import sizes
from lib.measuring.alike import Profiles
from lib.records import Profile

pytestmark = pytest.mark.cpu
SIZES = sizes({"num_hidden_layers": 2, "num_attention_heads": 2, "hidden_size": 32})
SHAPE = Profile(SIZES, "one tokenizer")


def test_a_checkpoint_is_compared_with_the_rope_arm_where_the_last_one_has_no_record_that_can_be_read():
    """The last one's fault is told when it is asked for, and is none of the others'."""
    asked, faults = [], []

    def recorded(arm):
        asked.append(arm)
        raise ValueError("no record of it")

    settings = SimpleNamespace(checkpoints=("drope@step1", "drope"), arms={})
    profiles = Profiles(settings, [], recorded, lambda arm, error: faults.append(arm))
    profiles.check("drope@step1", SHAPE, SHAPE)
    assert (asked, faults) == (["drope"], [])
    with pytest.raises(ValueError, match="another tokenizer than the RoPE arm"):
        profiles.check("drope@step1", Profile(SIZES, "another one"), SHAPE)
