"""A model whose layers wait on a disk, or are spread over places, is measured as one that is in memory."""

import numpy as np
import pytest
import torch
from accelerate import disk_offload, dispatch_model

from fixtures.models.tiny import as_arm, plant, tiny_llama
from lib.definitions import EDITED
from lib.measuring import measure_norms
from lib.measuring.disruption import measure_disruption
from lib.measuring.interventions import chosen_mask
from lib.measuring.logits import try_parts
from lib.measuring.modules import measure_modules
from lib.measuring.sinks import measure_sinks
from lib.measuring.stream import measure_stream
from lib.models import fingerprint, input_device
from lib.texts.reading import Text

pytestmark = pytest.mark.cpu

IDS = torch.randint(3, 259, (4, 64), generator=torch.Generator().manual_seed(7))
TEXTS = [Text(f"t{i}", "ab"[i % 2], "count", str(i)) for i in range(4)]


def planted():
    model = tiny_llama(heads=4, kv_heads=2)
    plant(model, "query", 1, 0, 3)
    plant(model, "key", 2, 1, 5)
    return model


@pytest.fixture(params=["all on a disk", "some layers on a disk"])
def elsewhere(request, tmp_path):
    model = planted()
    if request.param.startswith("all"):
        disk_offload(model, str(tmp_path), execution_device=torch.device("cpu"))
    else:
        at = {"model.embed_tokens": "cpu", "model.norm": "cpu", "model.rotary_emb": "cpu", "lm_head": "cpu"}
        layers = {f"model.layers.{i}": "disk" if i else "cpu" for i in range(3)}
        dispatch_model(model, {**at, **layers}, main_device="cpu", offload_dir=str(tmp_path), force_hooks=True)
    assert any(parameter.is_meta for parameter in model.parameters())
    return model


def same(found, expected):
    for name, values in expected.data_vars.items():
        np.testing.assert_array_equal(found[name].values, values.values, err_msg=name)


def test_norms_and_losses_are_the_same_to_the_last_bit(elsewhere):
    here = planted()
    assert try_parts(here)
    assert try_parts(elsewhere)
    expected, found = (measure_norms(as_arm(model), IDS, TEXTS) for model in (here, elsewhere))
    same(found, expected)
    assert expected["query_row_norm"].values.max() > 5 * expected["query_row_norm"].values.mean()


def test_channels_are_replaced_where_the_layer_is(elsewhere):
    norms = measure_norms(as_arm(planted()), IDS, TEXTS)
    chosen = {name: chosen_mask(torch.from_numpy(norms[f"{name}_norm"].values)) for name in EDITED}
    expected, found = (
        measure_disruption(as_arm(model), IDS, TEXTS, chosen, controls=2, seed=0) for model in (planted(), elsewhere)
    )
    same(found, expected)
    assert (expected["nll"].sel(condition="massive") != expected["nll"].sel(condition="baseline")).all()


def test_the_stream_sinks_and_modules_are_the_same(elsewhere):
    for measure in (lambda arm: measure_stream(arm, IDS, TEXTS), lambda arm: measure_sinks(arm, IDS, TEXTS, seed=0)):
        same(measure(as_arm(elsewhere)), measure(as_arm(planted())))
    stream = measure_stream(as_arm(planted()), IDS, TEXTS)
    expected, found = (measure_modules(as_arm(m), IDS, TEXTS, stream, seed=0) for m in (planted(), elsewhere))
    same(found, expected)


def test_measuring_changes_no_weight_that_waits_elsewhere_and_its_fingerprint_is_that_of_the_weights(elsewhere):
    before = fingerprint(elsewhere)
    assert before == fingerprint(planted())
    measure_norms(as_arm(elsewhere), IDS, TEXTS)
    assert fingerprint(elsewhere) == before
    assert fingerprint(tiny_llama(heads=4, kv_heads=2)) != before


def test_tokens_go_to_where_the_embedding_works(elsewhere):
    assert input_device(elsewhere) == torch.device("cpu")
    assert input_device(planted().to("meta")) == torch.device("meta")
