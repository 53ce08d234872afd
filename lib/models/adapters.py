"""Adapters: merged into the weights of a model before anything is measured, and refused unless all of them fits."""

import warnings
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import nn

from lib.checkpoints import ADAPTER_WEIGHTS, first_sentence, read_adapter
from lib.models.hashing import fingerprint


def merge(model: nn.Module, folder: Path) -> nn.Module:
    """Merge a PEFT adapter into a model, in place, and return the model without any trace of PEFT.

    Raises ValueError, one sentence, if the adapter does not fit (other modules, other shapes, missing or left-over
    weights), if its kind cannot be merged, or if it changes no weight.
    """
    kind = read_adapter(folder)["peft_type"]
    stored = _stored(folder)
    before = fingerprint(model)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # peft only warns of weights that are missing, which are named below
            adapted, held = _adapted(model, folder)
            _refuse_unmatched(folder, stored, held)
            if not hasattr(type(adapted.base_model), "merge_and_unload"):
                raise ValueError(f"{kind} cannot be merged into weights")
            merged = adapted.merge_and_unload(safe_merge=True)
    except Exception as error:  # peft raises nearly any exception for an adapter that does not fit
        raise ValueError(f"the adapter {folder} does not fit the model: {first_sentence(error)}") from error
    if fingerprint(merged) == before:
        raise ValueError(f"the adapter {folder} changes no weight of the model: it was never trained")
    return merged


def check(folder: Path) -> None:
    """Raise ValueError, one sentence, if the folder holds no usable adapter, or if the package peft is missing."""
    read_adapter(folder)
    try:
        import peft  # noqa: F401  an optional extra, and only arms with an adapter need it
    except ImportError as error:
        raise ValueError("peft=FOLDER needs the package peft: pip install -c constraints.txt peft") from error


def _stored(folder: Path) -> set[str]:
    """Names of the adapter's weights."""
    path = folder / ADAPTER_WEIGHTS
    try:
        with safe_open(path, framework="pt") as file:
            return set(file.keys())
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path} is cut short or damaged: get the adapter again") from error


def _adapted(model: nn.Module, folder: Path) -> tuple[nn.Module, set[str]]:
    """The model with the adapter around it, and the names of the weights that the adapter should have."""
    import peft  # as above

    adapted = peft.PeftModel.from_pretrained(model, str(folder))
    return adapted, set(peft.get_peft_model_state_dict(adapted, save_embedding_layers=False))


def _refuse_unmatched(folder: Path, stored: set[str], held: set[str]) -> None:
    for fault, names in (("it lacks", held - stored), ("the model has no place for its", stored - held)):
        if names:
            first, *more = sorted(names)
            raise ValueError(f"{fault} {first}{f' and {len(more)} more' if more else ''}")
