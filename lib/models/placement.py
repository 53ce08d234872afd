"""Where a model's weights are: on several devices, or on a disk until a layer needs them, as accelerate places them."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from accelerate.utils import align_module_device
from torch import nn


def input_device(model: nn.Module) -> torch.device:
    """The device on which a model takes its tokens, wherever its layers are.

    That of a model's first weight is none where the weights wait on a disk.
    """
    embedding = model.get_input_embeddings()
    placed = getattr(getattr(embedding, "_hf_hook", None), "execution_device", None)
    return embedding.weight.device if placed is None else torch.device(placed)


@contextmanager
def weights_of(module: nn.Module) -> Iterator[None]:
    """Within the block, a module's own weights are there, even if they wait elsewhere; what changes them is lost."""
    if not any(parameter.is_meta for parameter in module.parameters(recurse=False)):
        yield
        return
    with align_module_device(module, torch.device("cpu")):
        yield
