"""Norms of the rows of projections: how large a channel is in the weights, before any text is read."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers.integrations.bitsandbytes import dequantize_bnb_weight
from transformers.pytorch_utils import Conv1D


def row_norms(projection: nn.Linear | Conv1D) -> Float[Tensor, " out"]:
    """L2 norm of every row of a linear layer's weight with its bias as one more column, in float32.

    What the layer makes of an input whose entries are independent with variance 1 has this standard deviation (bias
    and all, taken around 0), and the input of a projection is RMS-normalized: so this is the norm a channel would
    have if its input had no structure. Quantized weights (bitsandbytes, 4 and 8 bit) are dequantized.
    Raises ValueError when a norm is not finite.
    """
    weight = dequantize_bnb_weight(projection.weight, getattr(projection, "state", None))
    if isinstance(projection, Conv1D):  # GPT-2 keeps its weights the other way round
        weight = weight.T
    elif weight.shape != (projection.out_features, projection.in_features):
        raise ValueError(f"{type(projection).__name__} holds its weights in a way that cannot be read")
    squares = weight.detach().float().square().sum(1)
    if projection.bias is not None:
        squares = squares + projection.bias.detach().float().square()
    norms = squares.sqrt().cpu()
    if not torch.isfinite(norms).all():
        raise ValueError("a row of a projection is not finite: the checkpoint is broken")
    return norms
