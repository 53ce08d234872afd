"""Experiment 1: an arm and texts in, a record of norms out. Memory does not grow with the length of a text."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from lib.definitions.massive import channel_norms
from lib.measuring.row_norms import row_norms
from lib.measuring.scoring import in_batches, nll_per_text
from lib.models import drope
from lib.models.loading import Arm
from lib.probing.anatomy import survey
from lib.probing.probe import NAMES, Geometry, Name, Site, geometry, visiting
from lib.probing.rotation import frequencies
from lib.probing.taps import Tap
from lib.texts.reading import Text

Progress = Callable[[int], None]
EDITED: tuple[Name, ...] = ("query", "key")
"""The states whose channels are replaced. Source: Africa 2026 and Jin et al. 2025, which disrupt Query and Key."""


def measure_norms(
    arm: Arm,
    ids: Tensor,
    texts: Sequence[Text],
    *,
    site: Site = "projection",
    rows: int | None = None,
    progress: Progress = lambda n: None,
) -> xr.Dataset:
    """Experiment 1: the norm of every channel of Q, K and V in every layer and text, and the loss of every text.

    `ids` is [text, pos]. One forward pass gives both; hooks reduce the states to norms on the device.
    Beside them, which need no text: the norms of the projections' rows where the model has projections, and by how many
    radians per position each dim of query and key turns (`frequency`, 0 where it does not; see lib/rotation.py).
    Also asks whether the model sees positions at all (`position_change`, `position_noise`).
    Raises ValueError for a model that has no such site.
    """
    sizes = geometry(arm.model)
    ids = ids.to(arm.model.device)
    norms = {name: torch.empty(len(texts), sizes.layers, *sizes.shape(name)) for name in NAMES}

    def run(start: int, stop: int) -> Tensor:
        loss, found = norms_and_loss(arm.model, ids[start:stop], sizes, site)
        for name in NAMES:
            norms[name][start:stop] = found[name]
        progress(stop - start)
        return loss

    nll, _ = in_batches(run, len(texts), rows or rows_that_fit(arm, ids.shape[1]))
    response = drope.position_response(arm.model, ids[:1])
    return xr.Dataset(
        {
            **{f"{name}_norm": (("text", "layer", *_dims(name, sizes)), norms[name].numpy()) for name in NAMES},
            **{f"{name}_row_norm": (("layer", *_dims(name, sizes)), rows) for name, rows in _rows(arm).items()},
            "frequency": (("layer", "dim"), frequencies(arm.model).numpy(), {"units": "radians per position"}),
            "nll": ("text", nll.numpy(), {"units": "nats per token"}),
            "position_change": response["change"],
            "position_noise": response["noise"],
        },
        coords=text_coordinates(texts),
        attrs={"sites": " ".join(survey(arm.model).sites)},
    )


def _rows(arm: Arm) -> dict[Name, np.ndarray]:
    """Norms of the rows of query and key projections [layer, head, dim]; none where there are no such projections."""
    layers = survey(arm.model).taps.get("projection", ())
    return {name: np.stack([_row_norms(taps[name]) for taps in layers]) for name in EDITED if layers}


def _row_norms(tap: Tap) -> np.ndarray:
    """[head, dim]: the rows lie in the weight like the states in the output."""
    return tap.read(row_norms(tap.module)[None, None])[0, 0].numpy()


@torch.inference_mode()
def norms_and_loss(
    model: torch.nn.Module, ids: Tensor, sizes: Geometry, site: Site = "projection"
) -> tuple[Tensor, dict[Name, Tensor]]:
    """One plain forward pass over `ids` [text, pos]: the loss [text] and norms {name: [text, layer, head, dim]}."""
    found: dict[Name, list[Tensor]] = {name: [] for name in NAMES}

    def visit(name: Name, layer: int, states: Tensor) -> None:
        found[name].append(channel_norms(states))

    with visiting(model, visit, site):
        logits = model(input_ids=ids, use_cache=False).logits
    return nll_per_text(logits, ids), {name: torch.stack(layers, 1).cpu() for name, layers in found.items()}


def rows_that_fit(arm: Arm, tokens: int) -> int:
    """How many rows of `tokens` tokens to try at once: half of the free memory over an estimate of a row's need.

    An estimate only; a batch that does not fit is halved, and no result depends on the number.
    """
    config = arm.model.config.get_text_config()
    width = config.vocab_size + 4 * getattr(config, "intermediate_size", 4 * config.hidden_size)
    need = tokens * width * arm.model.dtype.itemsize
    free = torch.cuda.mem_get_info(arm.model.device)[0] if arm.model.device.type == "cuda" else 4 * 1024**3
    return max(1, int(free / 2 / need))


def _dims(name: Name, sizes: Geometry) -> tuple[str, str]:
    """Names of the channels' dimensions; value's dims have one of their own where there are others (DeepSeek)."""
    dim = "value_dim" if name == "value" and sizes.value_dim != sizes.dim else "dim"
    return ("head" if name == "query" else "kv_head", dim)


def text_coordinates(texts: Sequence[Text]) -> dict:
    return {"text": [text.name for text in texts], "kind": ("text", [text.kind for text in texts])}
