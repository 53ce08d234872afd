import pytest
import torch
from transformers.pytorch_utils import Conv1D

from fixtures.models.architectures import build
from fixtures.models.tiny import as_arm, plant, save, tiny_llama
from lib.measuring.norms import measure_norms, row_norms
from lib.measuring.tests.test_norms import IDS, TEXTS
from lib.models import loading
from lib.models.tests.test_drope import tiny_qwen2
from lib.probing.anatomy import survey
from lib.probing.probe import visiting

pytestmark = pytest.mark.cpu


def test_a_row_norm_is_that_of_the_weights_and_the_bias():
    layer = torch.nn.Linear(2, 2)
    layer.weight.data, layer.bias.data = torch.tensor([[3.0, 4.0], [0.0, 2.0]]), torch.tensor([12.0, 0.0])
    assert row_norms(layer).tolist() == [13.0, 2.0]


def test_a_layer_without_bias_has_the_norms_of_its_weights():
    layer = torch.nn.Linear(6, 5, bias=False)
    torch.testing.assert_close(row_norms(layer), layer.weight.detach().norm(dim=1))


def test_the_row_norm_is_the_size_of_a_channel_when_the_input_is_noise():
    torch.manual_seed(0)
    layer = torch.nn.Linear(64, 8)
    torch.nn.init.normal_(layer.bias, std=3)
    found = layer(torch.randn(200_000, 64)).square().mean(0).sqrt()
    torch.testing.assert_close(found, row_norms(layer), rtol=0.01, atol=0)


@pytest.mark.parametrize("options", [{"load_in_4bit": True}, {"load_in_8bit": True}, {"dtype": "bfloat16"}])
def test_quantized_rows_are_read_as_what_they_stand_for(tmp_path, options):
    model = tiny_qwen2()
    folder = str(save(model, tmp_path / "model"))
    layers = [loading.load({"pretrained": folder, **o}, device="cpu").model.model.layers for o in (options, {})]
    quantized, plain = (row_norms(layer[0].self_attn.q_proj) for layer in layers)
    torch.testing.assert_close(quantized, plain, rtol=0.05, atol=0.02)
    assert not torch.equal(quantized, plain)


def test_a_record_holds_the_row_norms_of_query_and_key():
    model = tiny_llama(kv_heads=2)
    plant(model, "key", 1, 1, 5)
    record = measure_norms(as_arm(model), IDS, TEXTS)
    assert record["query_row_norm"].dims == ("layer", "head", "dim")
    assert record["key_row_norm"].shape == (3, 2, 16)
    assert record["key_row_norm"].argmax(...)["dim"] == 5
    assert "value_row_norm" not in record


def test_rows_that_are_not_finite_are_an_error():
    layer = torch.nn.Linear(2, 2)
    layer.weight.data[0, 0] = torch.inf
    with pytest.raises(ValueError, match="a row of a projection is not finite"):
        row_norms(layer)


def test_weights_that_are_stored_in_an_unknown_way_are_an_error():
    layer = torch.nn.Linear(2, 3)
    layer.weight = torch.nn.Parameter(torch.ones(6))
    with pytest.raises(ValueError, match="Linear holds its weights in a way that cannot be read"):
        row_norms(layer)


def test_a_module_that_wraps_its_layer_is_refused():
    with pytest.raises(ValueError, match="Sequential holds its weights in a way that cannot be read"):
        row_norms(torch.nn.Sequential(torch.nn.Linear(2, 3)))


def test_weights_that_lie_the_other_way_round_have_the_norms_of_their_columns():
    layer = Conv1D(4, 3)  # GPT-2's: 3 in, 4 out
    torch.nn.init.normal_(layer.bias)
    expected = torch.cat([layer.weight, layer.bias[None]]).norm(dim=0)
    torch.testing.assert_close(row_norms(layer), expected.detach())


@pytest.mark.parametrize(("name", "shared"), [("gpt2", False), ("phi3", True), ("gpt_neox", False)])
def test_rows_of_a_fused_projection_belong_to_the_channels_that_they_make(name, shared):
    model, seen = build(name, shared=shared), {}
    attention = survey(model).modules[1]
    (name,) = {"c_attn", "qkv_proj", "query_key_value"} & dict(attention.named_children()).keys()
    fused = getattr(attention, name)
    rows = fused.weight.T if isinstance(fused, Conv1D) else fused.weight
    rows.zero_()
    rows[20] = 5.0
    if fused.bias is not None:
        fused.bias.zero_()
    with torch.inference_mode(), visiting(model, lambda name, layer, states: seen.update({(name, layer): states})):
        model(torch.arange(1, 9)[None])
    record = measure_norms(as_arm(model), IDS % 60 + 1, TEXTS)
    for tensor in ("query", "key"):
        made = seen[tensor, 1][0].abs().sum(0) > 0
        assert (record[f"{tensor}_row_norm"][1].values > 0).tolist() == made.tolist()
