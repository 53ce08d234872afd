"""Attention sinks: an arm and texts in, a record out. How much attention the first position gets, and what lies there.

Sources: Xiao et al. 2024, "Efficient Streaming Language Models with Attention Sinks"; Gu et al. 2025, "When Attention
Sink Emerges in Language Models", for the rate and its inputs: texts, random tokens, and one token repeated.
"""

from collections.abc import Sequence

import torch
import xarray as xr
from torch import Tensor

from lib.definitions import INPUTS, SINK_TOKENS, WHERE, Name, refuse_short
from lib.measuring.norms import Progress, rows_that_fit, text_coordinates
from lib.measuring.scoring import in_batches
from lib.models import Arm, check_ids, embedding_rows, input_device
from lib.probing import CannotRead, geometry, visiting, weighing
from lib.texts import Text

KEPT: tuple[Name, ...] = ("key", "value")


def measure_sinks(
    arm: Arm,
    ids: Tensor,
    texts: Sequence[Text],
    *,
    seed: int,
    tokens: int = SINK_TOKENS,
    rows: int | None = None,
    progress: Progress = lambda n: None,
) -> xr.Dataset:
    """Attention to the first position of the beginnings of texts, `ids` [text, pos], and of as many other inputs.

    `first_share` [input, text, layer, head] is the attention that the first position gets, mean over all positions, the
    first one included, which can look nowhere else. `random` inputs are tokens drawn by `seed`, all of them anew;
    `repeated` ones are one of these tokens again and again. `key_norm` and `value_norm` [input, text, layer, kv_head,
    where] are L2 norms of the states at the first position, and their mean over the others, as attention gets them.
    Raises CannotRead for texts that are shorter and a model whose attention weights cannot be told (see
    `lib.probing.weights`), ValueError for a length at which uniform attention would be a sink.
    """
    refuse_short(tokens)
    if ids.shape[1] < tokens:
        raise CannotRead(
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
    flat = given.flatten(0, 1).to(input_device(arm.model))

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
            "tokens": tokens,
        },
        coords={**text_coordinates(texts), "input": list(INPUTS), "where": list(WHERE)},
    )
