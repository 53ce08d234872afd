import pytest
import torch

from fixtures.models.tiny import tiny_llama
from lib.recalibrate.trainer import regroup

pytestmark = pytest.mark.cpu


def groups_of(model, groups, lr=1.0):
    optimizer = torch.optim.AdamW([{"params": list(model.parameters()), "weight_decay": 0.1}], lr=lr)
    regroup(optimizer, model, groups)
    names = {weight: name for name, weight in model.named_parameters()}
    return [({names[w] for w in group["params"]}, group) for group in optimizer.param_groups], names


def test_weights_get_the_optimizer_settings_of_the_first_pattern_that_matches():
    found, names = groups_of(tiny_llama(), {"q_proj": {"lr": 3.0}, "[qk]_proj": {"eps": 0.5, "weight_decay": 0.0}})
    settings = {name: (g["lr"], g["eps"], g["weight_decay"]) for chosen, g in found for name in chosen}
    assert len(settings) == len(names)
    assert settings["model.layers.1.self_attn.q_proj.weight"] == (3.0, 1e-8, 0.1)
    assert settings["model.layers.1.self_attn.k_proj.weight"] == (1.0, 0.5, 0.0)
    assert settings["model.layers.1.self_attn.v_proj.weight"] == (1.0, 1e-8, 0.1)


@pytest.mark.parametrize(
    ("groups", "sentence"),
    [
        ({"r_proj": {"lr": 1}}, "no weight has a name that matches 'r_proj'"),
        ({"q_proj": {"rate": 1}}, "no setting 'rate'"),
    ],
)
def test_groups_that_mean_nothing_get_a_sentence(groups, sentence):
    with pytest.raises(ValueError, match=sentence):
        groups_of(tiny_llama(), groups)


def test_all_weights_keep_the_settings_of_their_group_where_no_pattern_matches():
    model = tiny_llama()
    weights = list(model.parameters())
    optimizer = torch.optim.AdamW([{"params": weights[:3]}, {"params": weights[3:], "weight_decay": 0.0}], lr=1.0)
    regroup(optimizer, model, {"norm": {"lr": 0.5}})
    decays = {id(weight): group["weight_decay"] for group in optimizer.param_groups for weight in group["params"]}
    assert [decays[id(weight)] for weight in weights] == [0.01] * 3 + [0.0] * (len(weights) - 3)
