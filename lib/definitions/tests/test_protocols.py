import dataclasses

import pytest

from lib.definitions.protocols import DEFAULT, PROTOCOLS, marked

pytestmark = pytest.mark.cpu


def test_protocols_go_by_their_names_and_cannot_be_changed():
    assert list(PROTOCOLS) == [DEFAULT, "africa2026", "jin2025"] == [p.name for p in PROTOCOLS.values()]
    with pytest.raises(dataclasses.FrozenInstanceError):
        PROTOCOLS[DEFAULT].site = "attention"


def test_the_one_that_chooses_on_what_it_scores_is_marked():
    assert [name for name, protocol in PROTOCOLS.items() if protocol.leaks] == ["africa2026"]
    assert [marked(name) for name in ("held-out", "jin2025", "")] == ["held-out", "jin2025", ""]
    assert marked("africa2026") == "africa2026 (chosen on the texts that are scored: leaks)"


def test_a_control_that_is_not_drawn_is_one():
    assert [protocol.controls for protocol in PROTOCOLS.values()] == [None, None, 1]


@pytest.mark.parametrize(("tokens", "prompt"), [(2, 1), (3, 1), (128, 64), (511, 255)])
def test_the_prompt_is_the_first_half_where_there_is_one(tokens, prompt):
    assert [protocol.prompt_tokens(tokens) for protocol in PROTOCOLS.values()] == [0, 0, prompt]
