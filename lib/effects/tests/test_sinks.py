"""Sink rates, from records whose shares are known."""

from contextlib import nullcontext

import numpy as np
import pytest
import xarray as xr

from fixtures.planted.records import sinks_record
from lib.definitions import INPUTS, SINK_TOKENS, WHERE, refuse_short, uniform_share
from lib.effects.sinks import Sinks
from lib.judging import NoSubject

pytestmark = pytest.mark.cpu


@pytest.fixture
def record():
    """One text, two layers of two heads: 3, 1 and 0 sinks on texts, random tokens and one repeated token."""
    shares = np.array([[[0.3, 0.31], [0.299, 0.9]], [[0.1, 0.2], [0.5, 0.1]], np.zeros((2, 2))])[:, None]
    norms = np.ones((3, 1, 2, 1, 2), dtype=np.float32)
    norms[0, 0, :, 0] = [[1.0, 2.0], [3.0, 4.0]]
    dims = ("input", "text", "layer", "kv_head", "where")
    return xr.Dataset(
        {
            "first_share": (("input", "text", "layer", "head"), shares),
            "key_norm": (dims, norms),
            "value_norm": (dims, 2 * norms),
            "tokens": SINK_TOKENS,
        },
        coords={"input": list(INPUTS), "where": list(WHERE)},
    )


def test_a_head_is_a_sink_from_30_percent_on(record):
    found = Sinks({"rope": record})
    assert found.by_layer("rope", "texts").tolist() == [[100, 50]]
    assert [found.rate("rope", inputs).tolist() for inputs in INPUTS] == [[75], [25], [0]]
    assert found.describe("rope") == "RoPE: 75 % on texts, 25 % on random tokens, 0 % on one repeated token"


def test_ratios_of_norms_are_means_over_heads(record):
    found = Sinks({"rope": record})
    assert found.norm_ratio("rope").tolist() == [(1 / 2 + 3 / 4) / 2]
    assert found.norm_ratio("rope", inputs="random").tolist() == [1]
    record["key_norm"][0, 0, 0, 0, 1] = 0
    assert found.norm_ratio("rope").tolist() == [3 / 4]
    record["key_norm"][0, 0, 1, 0, 1] = 0
    with pytest.raises(NoSubject, match="every head of RoPE has a text in which all key states but the first are zero"):
        found.norm_ratio("rope")


@pytest.mark.parametrize(("rate", "other", "some"), [(9, 9, False), (11, 0, True), (0, 11, True)])
def test_where_hardly_any_head_is_a_sink_there_are_none_to_speak_of(rate, other, some):
    found = Sinks({"rope": sinks_record(rate, spread=0.1), "drope": sinks_record(other, spread=0.1)})
    with nullcontext() if some else pytest.raises(NoSubject, match="of RoPE and 9 % of the heads of DroPE are sinks"):
        found.need("rope", "drope")


def test_chance_is_told(record):
    told = Sinks({"rope": record}).chance("rope")
    assert told == "uniform attention over 64 tokens gives the first one 7.41 %, a sink 30 %"
    assert uniform_share(8) == pytest.approx(0.34, abs=0.005)


@pytest.mark.parametrize(("tokens", "refused"), [(8, True), (9, True), (10, False), (64, False)])
def test_a_length_at_which_chance_alone_passes_is_refused(tokens, refused):
    if refused:
        with pytest.raises(ValueError, match=f"on {tokens} tokens uniform attention gives the first position"):
            refuse_short(tokens)
    else:
        refuse_short(tokens)
        assert uniform_share(tokens) < 0.3
