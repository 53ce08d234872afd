import json
from types import SimpleNamespace

import numpy as np
import pytest

from fixtures.planted import records
from fixtures.plugin import document
from lib.effects.subjects import read_again

pytestmark = pytest.mark.cpu

SETTINGS = SimpleNamespace(threshold=4.0, scope="layer", steps={}, named=lambda e, site: f"{e}@{site}")
PLAIN = ("pretrained", "identity", "class", "parameters", "dtype", "quantization", "attn_implementation", "device")
PROVENANCE = json.dumps({**dict.fromkeys(PLAIN, "x"), "arguments": {"revision": None}, "versions": {}})


def record(count):
    counts = dict.fromkeys(("query", "key", "value"), np.full((3, 2), count))
    return records.norms_record(counts).assign_attrs(provenance=PROVENANCE, sites="projection normed attention")


def again(norms, **at):
    """What is read again of norms at the run's site and at others."""
    taken = {"norms": norms, **{f"norms@{site}": found for site, found in at.items()}}
    return read_again(lambda name: taken.get(name, {}), SETTINGS)


def test_rescaled_arms_are_read_again_from_the_projection_site_alone():
    projected = {"rope": record(5), "yarn": record(7)}
    (values,) = again({"rope": record(1), "linear": record(2)}, projection=projected).values()
    assert list(values.records) == ["rope", "yarn"]
    assert [values.totals(arm, "query").tolist() for arm in ("rope", "yarn")] == [[10] * 3, [14] * 3]
    assert values.threshold == 4.0
    assert again({"rope": record(1)}, projection={"rope": record(5)}) == {}


def test_both_sites_are_the_last_one_before_the_rotation_and_attention():
    sites = {"projection": {"rope": record(5)}, "normed": {"rope": record(6)}, "attention": {"rope": record(7)}}
    (values,) = again({}, **sites).values()
    assert [values.totals(site, "key").tolist() for site in ("rope", "attention")] == [[12] * 3, [14] * 3]
    del sites["normed"]
    assert again({}, **sites) == {}


def test_a_document_names_every_arm_and_keeps_the_numbers_of_the_runs_own_site():
    taken = {"norms": {"rope": record(1)}, "norms@projection": {"rope": record(5), "yarn": record(7)}}
    settings = SimpleNamespace(arms=("rope", "yarn"), named=lambda e, site: f"{e}@{site}", threshold=5.0, scope="layer")
    found = document._measured(SimpleNamespace(records=lambda name: taken.get(name, {})), settings)
    assert list(found["arms"]) == ["rope", "yarn"]
    assert found["arms"]["rope"]["rotation"] == "RR"
    assert {arm: numbers["counts"]["query"] for arm, numbers in found["measured"]["arms"].items()} == {
        "rope": [[1, 1]] * 3
    }
