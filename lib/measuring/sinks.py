"""Attention sinks: an arm and texts in, a record out. How much attention the first position gets, and what lies there.

Sources: Xiao et al. 2024, "Efficient Streaming Language Models with Attention Sinks"; Gu et al. 2025, "When Attention
Sink Emerges in Language Models", for the rate and its inputs: texts, random tokens, and one token repeated.
"""

from collections.abc import Sequence

import torch
import xarray as xr
from torch import Tensor

from lib.definitions import Name
from lib.measuring.norms import Progress, rows_that_fit, text_coordinates
from lib.measuring.scoring import in_batches
from lib.models import Arm, check_ids, embedding_rows
from lib.probing import geometry, visiting, weighing
from lib.texts import Text

TOKENS = 64
"""The length at which rates are compared: as in Gu et al. 2025. What a rate means depends on it."""
THRESHOLD = 0.3
"""A head is a sink if it gives the first position at least this share of its attention, mean over the positions."""
INPUTS = ("texts", "random", "repeated")
KEPT: tuple[Name, ...] = ("key", "value")


def measure_sinks(
    arm: Arm,
    ids: Tensor,
    texts: Sequence[Text],
    *,
    seed: int,
    tokens: int = TOKENS,
    rows: int | None = None,
    progress: Progress = lambda n: None,
) -> xr.Dataset:
    """Attention to the first position of the beginnings of texts, `ids` [text, pos], and of as many other inputs.

    `first_share` [input, text, layer, head] is the attention that the first position gets, mean over all positions, the
    first one included, which can look nowhere else. `random` inputs are tokens drawn by `seed`, all of them anew;
    `repeated` ones are one of these tokens again and again. `key_norm` and `value_norm` [input, text, layer, kv_head,
    where] are L2 norms of the states at the first position, and their mean over the others, as attention gets them.
    Raises ValueError for texts that are shorter, a length at which uniform attention would be a sink, and a model whose
    attention weights cannot be told (see `lib.probing.weights`).
    """
    refuse_short(tokens)
    if ids.shape[1] < tokens:
        raise ValueError(
            f"sinks are measured on {tokens} tokens, and the texts have {ids.shape[1]}: raise --max-tokens"
        )
    rows_of_embedding = embedding_rows(arm.model)
    check_ids(ids, texts, rows_of_embedding)
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randint(rows_of_embedding, (len(texts), tokens), generator=generator)
    given = torch.stack([ids[:, :tokens].cpu(), drawn, drawn[:, :1].expand(-1, tokens)])
    sizes = geometry(arm.model)
    shares = torch.zeros(len(INPUTS) * len(texts), sizes.layers, sizes.heads, dtype=torch.float64)
    norms = {name: torch.empty(len(shares), sizes.layers, sizes.kv_heads, 2) for name in KEPT}
    flat = given.flatten(0, 1).to(arm.model.device)

    def run(start: int, stop: int) -> Tensor:
        shares[start:stop] = 0  # a pass that did not fit may have added something

        def weigh(layer: int, first: int, weights: Tensor) -> None:
            shares[start:stop, layer] += weights[..., 0].double().sum(-1).cpu() / tokens

        def keep(name: Name, layer: int, states: Tensor) -> None:
            if name in norms:
                length = torch.linalg.vector_norm(states, dim=-1, dtype=torch.float32)  # [batch, pos, head]
                norms[name][start:stop, layer] = torch.stack([length[:, 0], length[:, 1:].mean(1)], -1).cpu()

        with torch.inference_mode(), visiting(arm.model, keep, "attention"), weighing(arm.model, weigh):
            arm.model(input_ids=flat[start:stop], use_cache=False)
        progress((stop - start) / len(INPUTS))
        return torch.zeros(stop - start)

    in_batches(run, len(flat), rows or rows_that_fit(arm, tokens))
    if not torch.isfinite(shares).all():
        raise ValueError("attention is not finite: the forward pass overflowed; try dtype=bfloat16 or float32")
    by_input = lambda values: values.unflatten(0, (len(INPUTS), len(texts))).numpy()  # noqa: E731
    return xr.Dataset(
        {
            "first_share": (("input", "text", "layer", "head"), by_input(shares)),
            **{
                f"{name}_norm": (("input", "text", "layer", "kv_head", "where"), by_input(found))
                for name, found in norms.items()
            },
        },
        coords={**text_coordinates(texts), "input": list(INPUTS), "where": ["first", "rest"]},
        attrs={"tokens": tokens},
    )


def uniform_share(tokens: int) -> float:
    """The share of the first position where all attend alike to whatever they see: the mean of 1, 1/2, 1/3, .."""
    return sum(1 / seen for seen in range(1, tokens + 1)) / tokens


def refuse_short(tokens: int, threshold: float = THRESHOLD) -> None:
    """Raise ValueError for a length at which a head that prefers no position would pass for a sink."""
    if (chance := uniform_share(tokens)) >= threshold:
        raise ValueError(
            f"on {tokens} tokens uniform attention gives the first position {100 * chance:.3g} %, and a sink is a head "
            f"that gives it {100 * threshold:.3g} %: measure longer texts"
        )
