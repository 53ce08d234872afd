import copy
import json
from functools import partial

import pytest
import torch
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    GPTJConfig,
    GPTJForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from fixtures.models.architectures import ROTATING, config_of, model_of
from fixtures.models.tiny import as_arm, save, tiny_llama
from lib.models import loading
from lib.models.drope import NORMED, CannotDrop, NoRotation, attention_layers, drop_rope, mark_as_drope
from lib.models.rescaling import rescale
from lib.probing.rotation import position_response

pytestmark = pytest.mark.cpu


def without_rotation(model, kind="nope", scale=None, norms=None):
    """A copy whose attention is written out by hand: no rotation, whole projections normed, then split into heads.

    `norms` are weights named as in a checkpoint; `kind` says which of them are used.
    """
    model = copy.deepcopy(model)
    for number, layer in enumerate(model.model.layers):
        parts = {name: layer.self_attn.get_submodule(f"{name}_proj") for name in "qkvo"}
        used = {letter: norms[f"model.layers.{number}.self_attn.{letter}_norm.weight"] for letter in NORMED[kind]}
        layer.self_attn.forward = partial(attend, parts, used, scale or layer.self_attn.head_dim**-0.5, model.config)
    return model


def attend(parts, norms, scale, config, hidden_states, **_):
    states = {letter: parts[letter](hidden_states) for letter in "qkv"}
    for letter, weight in norms.items():
        norm = torch.nn.RMSNorm(len(weight), eps=config.rms_norm_eps)
        norm.weight = torch.nn.Parameter(weight)
        states[letter] = norm(states[letter])
    width = states["q"].shape[-1] // config.num_attention_heads
    q, k, v = (states[letter].unflatten(-1, (-1, width)).transpose(1, 2) for letter in "qkv")
    k, v = (x.repeat_interleave(q.shape[1] // x.shape[1], dim=1) for x in (k, v))
    future = torch.ones(q.shape[2], q.shape[2], dtype=torch.bool).triu(1)
    weights = (q @ k.transpose(2, 3) * scale).masked_fill(future, float("-inf")).softmax(-1)
    return parts["o"]((weights @ v).transpose(1, 2).flatten(2)), None


def tiny_qwen2(**config):
    torch.manual_seed(0)
    sizes = {"vocab_size": 260, "hidden_size": 48, "intermediate_size": 64, "num_hidden_layers": 3}
    model = Qwen2ForCausalLM(Qwen2Config(**sizes, num_attention_heads=4, num_key_value_heads=2, **config)).eval()
    for name, weight in model.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(weight)
    return model


def run(model, ids, **options):
    with torch.no_grad():
        return model(ids, **options).logits


def test_the_rotation_is_dropped_exactly(tiny, ids):
    tiny.set_attn_implementation("eager")
    by_hand, rotated = run(without_rotation(tiny), ids), run(tiny, ids)
    assert drop_rope(tiny) is tiny
    assert torch.equal(run(tiny, ids), by_hand)
    assert not torch.allclose(rotated, by_hand, atol=1e-4)


@pytest.mark.parametrize("build", [tiny_llama, tiny_qwen2])
@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_the_rotation_is_dropped_under_any_attention(build, attention, ids):
    model = build(attn_implementation=attention)
    assert model.config._attn_implementation == attention
    by_hand = run(without_rotation(model), ids)
    torch.testing.assert_close(run(drop_rope(model), ids), by_hand, rtol=0, atol=1e-6)


def test_dropping_the_rotation_twice_is_dropping_it_once(tiny, ids):
    once = run(drop_rope(tiny), ids)
    rotary = tiny.model.rotary_emb
    assert drop_rope(tiny).model.rotary_emb is rotary
    assert torch.equal(run(tiny, ids), once)


def test_dropping_the_rotation_changes_no_weight(tiny):
    before = {name: weight.clone() for name, weight in tiny.state_dict().items()}
    after = drop_rope(tiny).state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("kind", [GPT2LMHeadModel, GPTJForCausalLM])
def test_a_model_without_one_rotary_embedding_is_refused(kind):
    config = {GPT2LMHeadModel: GPT2Config, GPTJForCausalLM: GPTJConfig}[kind]
    model = kind(config(vocab_size=260, n_embd=32, n_layer=2, n_head=2, rotary_dim=8))
    with pytest.raises(ValueError, match=f"cannot drop the rotation of {kind.__name__}: .*are supported$"):
        drop_rope(model)


def under(attention, model):
    """The model with this attention, if it has it: soft-capped scores and attention sinks have no SDPA."""
    if attention == "eager" or model._supports_sdpa:
        model.set_attn_implementation(attention)
    return model


@pytest.mark.parametrize("name", ROTATING)
@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_without_rotation_no_architecture_sees_positions(name, attention, ids):
    model = under(attention, model_of(config_of(name, vocab_size=260)))
    before = position_response(model, ids)
    assert before["change"] > max(0.01, before["noise"])
    assert position_response(drop_rope(model), ids) == {"change": 0.0, "noise": 0.0}


@pytest.mark.parametrize("name", ROTATING)
@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_without_rotation_padding_and_a_cache_change_nothing(name, attention, ids):
    model = drop_rope(under(attention, model_of(config_of(name, vocab_size=260))))
    whole, padded = run(model, ids), torch.cat([torch.zeros(2, 5, dtype=torch.long), ids], 1)
    found = run(model, padded, attention_mask=(padded != 0).long())[:, 5:]
    torch.testing.assert_close(found, whole, rtol=1e-4, atol=1e-5)
    cache, steps = None, []
    for one in ids.split(1, dim=1):
        with torch.no_grad():
            out = model(one, past_key_values=cache, use_cache=True)
        cache = out.past_key_values
        steps.append(out.logits)
    torch.testing.assert_close(torch.cat(steps, 1), whole, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["llama", "gemma3_text"])
def test_a_factor_on_the_rotation_goes_with_it(name, ids):
    dropped, of_yarn = (
        drop_rope(model_of(c))
        for c in (config_of(name, vocab_size=260), rescale(config_of(name, vocab_size=260), "yarn:4"))
    )
    assert torch.equal(run(dropped, ids), run(of_yarn, ids))


def test_a_rotary_embedding_that_is_asked_for_something_else_is_refused(tiny):
    tiny.model.rotary_emb.forward = lambda x, seq_len: (x, x)
    with pytest.raises(CannotDrop, match="no single rotary embedding"):
        drop_rope(tiny)


def test_a_second_rotary_embedding_is_refused(tiny):
    tiny.model.layers[0].rotary_emb = copy.deepcopy(tiny.model.rotary_emb)
    with pytest.raises(ValueError, match="no single rotary embedding"):
        drop_rope(tiny)


def test_what_sees_pictures_may_rotate_in_its_own_way(tiny, ids):
    tiny.tower = copy.deepcopy(tiny.model.rotary_emb)
    assert position_response(drop_rope(tiny), ids)["change"] == 0


def test_a_saved_copy_is_loaded_without_rotation(tiny, ids, tmp_path):
    folder = save(drop_rope(tiny), tmp_path / "dropped")
    arm = loading.load({"pretrained": str(folder)}, device="cpu")
    assert isinstance(arm.model.model.rotary_emb, NoRotation)
    assert torch.equal(run(arm.model, ids), run(tiny, ids))


@pytest.mark.parametrize("build", [tiny_llama, tiny_qwen2])
def test_generating_with_and_without_a_cache_gives_the_same_text(build, ids):
    model = drop_rope(build())
    everything = torch.ones_like(ids)
    options = {"attention_mask": everything, "max_new_tokens": 12, "do_sample": False, "pad_token_id": 0}
    texts = [model.generate(ids, use_cache=cached, **options) for cached in (True, False)]
    assert torch.equal(*texts)
    assert texts[0].shape[1] > ids.shape[1]


def test_a_cache_gives_the_logits_of_the_whole_text(tiny, ids):
    drop_rope(tiny)
    with torch.no_grad():
        cache = tiny(ids[:, :20], use_cache=True).past_key_values
        rest = tiny(ids[:, 20:], past_key_values=cache).logits
    torch.testing.assert_close(rest, run(tiny, ids)[:, 20:], rtol=0, atol=1e-6)


def test_a_text_of_one_repeated_token_looks_the_same_everywhere_without_rotation():
    ids = torch.full((1, 24), 7)
    logits = run(drop_rope(tiny_llama()), ids)
    torch.testing.assert_close(logits, logits[:, :1].expand_as(logits), rtol=0, atol=1e-6)


def test_attention_layers_come_in_order(tiny):
    assert [attention.layer_idx for attention in attention_layers(as_arm(tiny).model)] == [0, 1, 2]


def test_a_config_is_marked_once_and_keeps_what_it_said(tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"model_type": "qwen2", "hidden_size": 5, "attention_type": "k_norm_nope"}))
    mark_as_drope(tmp_path)
    once = path.read_text()
    mark_as_drope(tmp_path)
    assert path.read_text() == once
    assert json.loads(once)["hidden_size"] == 5
    assert json.loads(once)["attention_type"] == "k_norm_nope"
    assert [file.name for file in tmp_path.iterdir()] == ["config.json"]
