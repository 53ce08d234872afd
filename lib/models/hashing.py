"""Fingerprints of loaded models, which show that a measurement changed no weight."""

import hashlib

from torch import Tensor, nn, uint8

from lib.models.placement import weights_of


def fingerprint(model: nn.Module) -> str:
    """SHA-256 of all parameters and buffers that a model would save, as they are in memory (quantized or not).

    Equal fingerprints before and after a measurement show that it changed no weight.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        if hasattr(tensor, "numel"):  # a quantized layer also saves names
            digest.update(_read(model, name, tensor).detach().contiguous().cpu().reshape(-1).view(uint8).numpy())
    return digest.hexdigest()


def _read(model: nn.Module, name: str, tensor: Tensor) -> Tensor:
    """A tensor of the model, read from where it waits if it is not in memory."""
    if not tensor.is_meta:
        return tensor
    owner, _, own = name.rpartition(".")
    module = model.get_submodule(owner)
    with weights_of(module):
        return getattr(module, own).detach().clone()
