"""Logits in parts: the same as those of a plain pass, never many at once, and whole where a model is made otherwise."""

import pytest
import torch
from torch import nn
from transformers import Cohere2Config, Cohere2ForCausalLM, Gemma2Config, Gemma2ForCausalLM, GPT2Config, GPT2LMHeadModel

from fixtures.models.tiny import tiny_llama
from lib.measuring import logits
from lib.measuring.logits import in_parts, try_parts
from lib.measuring.scoring import score, score_after_prompt

pytestmark = pytest.mark.cpu

SIZES = {"vocab_size": 260, "num_hidden_layers": 2, "hidden_size": 32, "num_attention_heads": 4}


def tiny_gemma():
    more = {"num_key_value_heads": 2, "head_dim": 8, "intermediate_size": 64, "final_logit_softcapping": 0.5}
    return Gemma2ForCausalLM(Gemma2Config(**SIZES, **more))


def tiny_cohere():
    return Cohere2ForCausalLM(Cohere2Config(**SIZES, num_key_value_heads=2, intermediate_size=64, logit_scale=0.3))


def tiny_gpt2():
    return GPT2LMHeadModel(GPT2Config(vocab_size=260, n_layer=2, n_embd=32, n_head=4))


MODELS = {"llama": tiny_llama, "gemma": tiny_gemma, "cohere": tiny_cohere, "gpt2": tiny_gpt2}


@pytest.fixture(params=MODELS)
def model(request):
    torch.manual_seed(0)
    return MODELS[request.param]().eval()


@pytest.fixture
def ids():
    return torch.randint(260, (2, 300), generator=torch.Generator().manual_seed(1))


def test_parts_are_the_logits_of_a_plain_pass(model, ids):
    assert try_parts(model)
    with torch.inference_mode():
        plain = model(input_ids=ids, use_cache=False).logits
    found = list(in_parts(model, ids))
    assert [start for start, _ in found] == [0, 128, 256]
    torch.testing.assert_close(torch.cat([part for _, part in found], 1), plain, rtol=1e-5, atol=1e-5)
    with torch.inference_mode():
        assert torch.equal(model(input_ids=ids, use_cache=False).logits, plain)


def test_a_loss_in_parts_is_that_of_whole_logits(model, ids):
    whole, after = score(model, ids), score_after_prompt(model, ids, 100)
    assert try_parts(model)
    torch.testing.assert_close(score(model, ids), whole, rtol=1e-6, atol=0)
    torch.testing.assert_close(score_after_prompt(model, ids, 100), after, rtol=1e-6, atol=0)


def test_the_head_never_makes_more_than_a_part(ids):
    model = tiny_llama().eval()
    try_parts(model)
    made = []
    model.get_output_embeddings().register_forward_hook(lambda module, args, out: made.append(tuple(out.shape)))
    score(model, ids)
    assert [shape[:2] for shape in made if shape[-1] > 1] == [(2, 128), (2, 128), (2, 44)]


def test_a_model_that_was_not_tried_is_read_whole(ids):
    model = tiny_llama().eval()
    made = []
    model.get_output_embeddings().register_forward_hook(lambda module, args, out: made.append(tuple(out.shape)))
    score(model, ids)
    assert made == [(2, 300, 260)]


class Wrapped(nn.Module):
    """Another model's body and head, and a pass of its own."""

    def __init__(self):
        super().__init__()
        self.inner = tiny_llama().eval()
        self.base_model, self.device, self.calls = self.inner.base_model, self.inner.device, 0
        self.get_input_embeddings = self.inner.get_input_embeddings
        self.get_output_embeddings = self.inner.get_output_embeddings


class Counts(Wrapped):
    """Its logits are others at every call."""

    def forward(self, **inputs):
        out, self.calls = self.inner(**inputs), self.calls + 1
        return type(out)(logits=out.logits + self.calls)


class Silent(Wrapped):
    """It has no logits."""

    def forward(self, **inputs):
        return self.base_model(**inputs)


@pytest.mark.parametrize("kind", [Counts, Silent])
def test_a_model_that_cannot_be_split_is_read_whole_and_left_as_it_was(kind):
    model = kind()
    assert not try_parts(model)
    assert not [name for name, module in model.named_modules() if "forward" in vars(module)]
    assert not any(module._forward_hooks for module in model.modules())


def test_an_error_in_a_pass_leaves_the_model_as_it_was(ids, monkeypatch):
    model = tiny_llama().eval()
    assert try_parts(model)
    with pytest.raises(IndexError):
        list(in_parts(model, ids + 10_000))
    assert "forward" not in vars(model.get_output_embeddings())
    assert torch.equal(
        torch.cat([p for _, p in in_parts(model, ids)], 1), torch.cat([p for _, p in in_parts(model, ids)], 1)
    )


def test_a_forward_that_a_library_has_put_there_is_put_back(ids):
    model = tiny_llama().eval()
    head, calls = model.get_output_embeddings(), []
    plain = head.forward
    head.forward = moved = lambda states: calls.append(1) or plain(states)
    assert try_parts(model)
    score(model, ids)
    assert head.forward is moved
    assert len(calls) == 1 + 2 + 3  # plain pass and two parts when it was tried, three parts of the text
    assert logits.TRIED < logits.POSITIONS_AT_ONCE
