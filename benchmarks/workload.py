"""The workload: a random Llama with planted massive channels, and random texts."""

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from lib.models.loading import Arm
from lib.texts.reading import Text

LAYERS, HEADS, DIM, VOCABULARY = 8, 8, 64, 8192
PLANTED = 6
"""Massive channels planted in every layer of query and of key."""
TOKENS, CONTROLS, SEED = 256, 10, 0


def random_arm() -> Arm:
    """A Llama of 34 million parameters in float32, without a tokenizer: the benchmarks do not need one."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=HEADS * DIM,
        intermediate_size=1376,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        head_dim=DIM,
        initializer_range=0.05,
    )
    model = LlamaForCausalLM(config).eval().requires_grad_(False)
    for layer in model.model.layers:
        for projection in (layer.self_attn.q_proj, layer.self_attn.k_proj):
            projection.weight[torch.randperm(HEADS * DIM)[:PLANTED]] *= 12
    return Arm(model, None, {"pretrained": "random"})


def random_ids(texts: int, tokens: int) -> torch.Tensor:
    """Token ids [text, pos]."""
    return torch.randint(VOCABULARY, (texts, tokens), generator=torch.Generator().manual_seed(1))


def names(texts: int) -> list[Text]:
    """Texts with names and no content: their token ids are random."""
    return [Text(f"text {i}", "random", "score", "") for i in range(texts)]


COUNTED = random_ids(5, TOKENS)
SCORED = random_ids(7, TOKENS)[5:]
"""Texts that choose the massive channels, and others whose losses are measured."""
