import pytest
import torch

from fixtures.models.tiny import tiny_llama
from lib.models.hashing import fingerprint
from lib.models.loading import load

pytestmark = pytest.mark.cpu


def test_a_fingerprint_is_the_same_for_the_same_weights(tiny):
    assert fingerprint(tiny) == fingerprint(tiny)
    assert fingerprint(tiny_llama(seed=1)) == fingerprint(tiny_llama(seed=1)) != fingerprint(tiny_llama(seed=2))


@pytest.mark.parametrize("name", ["model.layers.2.mlp.down_proj.weight", "model.norm.weight", "lm_head.weight"])
def test_one_changed_weight_changes_the_fingerprint(tiny, name):
    before = fingerprint(tiny)
    tiny.state_dict()[name].view(-1)[-1] += 1
    assert fingerprint(tiny) != before


@pytest.mark.parametrize("bit", [0, 15, 31])
def test_one_changed_bit_changes_the_fingerprint_and_changing_it_back_restores_it(tiny, bit):
    weight = tiny.state_dict()["model.embed_tokens.weight"].view(-1).view(torch.int32)
    before = fingerprint(tiny)
    weight[7] ^= 1 << bit if bit < 31 else -(1 << 31)
    assert fingerprint(tiny) != before
    weight[7] ^= 1 << bit if bit < 31 else -(1 << 31)
    assert fingerprint(tiny) == before


def test_exchanged_weights_change_the_fingerprint(tiny):
    before = fingerprint(tiny)
    first, second = (layer.self_attn for layer in tiny.model.layers[:2])
    first.q_proj, second.q_proj = second.q_proj, first.q_proj
    assert fingerprint(tiny) != before


@pytest.mark.parametrize("options", [{}, {"dtype": "bfloat16"}, {"load_in_4bit": True}, {"load_in_8bit": True}])
def test_every_load_of_a_checkpoint_has_the_same_fingerprint(tiny_folder, options):
    arguments = {"pretrained": str(tiny_folder("model")), **options}
    first, second = (load(arguments, device="cpu").model for _ in range(2))
    assert fingerprint(first) == fingerprint(second)


def test_a_quantized_model_has_a_fingerprint_that_sees_its_weights(tiny_folder):
    model = load({"pretrained": str(tiny_folder("model")), "load_in_4bit": True}, device="cpu").model
    before = fingerprint(model)
    model.model.layers[0].self_attn.q_proj.weight.data[0] ^= 1
    assert fingerprint(model) != before


def test_a_forward_pass_leaves_the_fingerprint(tiny, ids):
    before = fingerprint(tiny)
    tiny(ids)
    assert fingerprint(tiny) == before
