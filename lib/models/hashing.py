"""Fingerprints of loaded models, which show that a measurement changed no weight."""

import hashlib

from torch import nn, uint8


def fingerprint(model: nn.Module) -> str:
    """SHA-256 of all parameters and buffers that a model would save, as they are in memory (quantized or not).

    Equal fingerprints before and after a measurement show that it changed no weight.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        if hasattr(tensor, "numel"):  # a quantized layer also saves names
            digest.update(tensor.detach().contiguous().cpu().reshape(-1).view(uint8).numpy())
    return digest.hexdigest()
