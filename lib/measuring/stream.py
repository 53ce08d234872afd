"""The residual stream: an arm and texts in, a record out. Norms, the largest values, and what each layer adds.

Sources: Sun et al. 2024, "Massive Activations in Large Language Models", for the largest values and their median; the
shares of attention and MLP are those of Africa 2026, experiments 8 and 9.
"""

from collections.abc import Sequence

import torch
import xarray as xr
from jaxtyping import Float, Int
from torch import Tensor

from lib.definitions import NAMES, PARTS, WHERE, Name
from lib.measuring.norms import Progress, rows_that_fit, text_coordinates
from lib.measuring.scoring import in_batches, score
from lib.models import Arm, check_ids, embedding_rows, input_device
from lib.probing import Place, find_places, looking, visiting
from lib.texts import Text

RANKS = 8
"""So many of the largest values of a stream are noted: twice as many as a model is said to have."""
RUNS = 32
"""Positions behind the first one are put together to so many runs."""
DELIMITERS = frozenset(".,;:!?-–—()[]\"'\n\t ")
"""A token of nothing but these is a delimiter."""


def measure_stream(
    arm: Arm, ids: Tensor, texts: Sequence[Text], *, rows: int | None = None, progress: Progress = lambda n: None
) -> xr.Dataset:
    """What the stream of an arm holds over texts, `ids` [text, pos], in one plain pass over each.

    `stream_norm` [text, stream, where] is the L2 norm of the stream at the first position, and its mean over the
    others; `added_norm` [text, layer, part, where] the same of what attention and the MLP add to it, and `state_norm`
    [text, layer, state, where] that of Query, Key and Value, all heads together, as projections give them. `median`
    [text, stream] is that of all magnitudes, `largest` [text, stream, rank] the values of the largest ones with their
    signs, which lie at `position`, `channel`, and at a delimiter or not (`at_delimiter`). The stream has an index for
    the embeddings and one behind each layer. `run_norm` [text, stream, run] is its mean norm over runs of positions,
    see `runs`.
    Raises CannotRead for a model whose stream cannot be read (see `lib.probing.places`), ValueError for a token that it
    does not know, and for states that are not finite.
    """
    check_ids(ids, texts, embedding_rows(arm.model))
    layers, ids = len(find_places(arm.model)), ids.to(input_device(arm.model))
    run_of, number = runs(ids.shape[1])
    found = {
        "stream_norm": torch.empty(len(texts), layers + 1, len(WHERE)),
        "added_norm": torch.empty(len(texts), layers, len(PARTS), len(WHERE)),
        "state_norm": torch.empty(len(texts), layers, len(NAMES), len(WHERE)),
        "run_norm": torch.empty(len(texts), layers + 1, number),
        "median": torch.empty(len(texts), layers + 1),
        "largest": torch.empty(len(texts), layers + 1, RANKS),
        **{name: torch.empty(len(texts), layers + 1, RANKS, dtype=torch.int64) for name in ("position", "channel")},
    }

    def run(start: int, stop: int) -> Tensor:
        def look(place: Place, index: int, states: Tensor) -> None:
            norm = first_and_rest(states)
            if place != "stream":
                found["added_norm"][start:stop, index, PARTS.index(place)] = norm
                return
            found["stream_norm"][start:stop, index] = norm
            found["run_norm"][start:stop, index] = over_runs(states, run_of, number)
            magnitudes = states.float().abs()
            found["median"][start:stop, index] = magnitudes.flatten(1).median(1).values.cpu()
            at = magnitudes.flatten(1).topk(RANKS).indices
            found["largest"][start:stop, index] = states.flatten(1).gather(1, at).float().cpu()
            found["position"][start:stop, index] = (at // states.shape[-1]).cpu()
            found["channel"][start:stop, index] = (at % states.shape[-1]).cpu()

        def visit(name: Name, layer: int, states: Tensor) -> None:
            found["state_norm"][start:stop, layer, NAMES.index(name)] = first_and_rest(states.flatten(2))

        with torch.inference_mode(), looking(arm.model, look), visiting(arm.model, visit):
            loss = score(arm.model, ids[start:stop])
        progress(stop - start)
        return loss

    nll, _ = in_batches(run, len(texts), rows or rows_that_fit(arm, ids.shape[1]))
    delimits = torch.tensor([[is_delimiter(arm.tokenizer.decode([token])) for token in of] for of in ids.tolist()])
    at_delimiter = delimits[torch.arange(len(texts))[:, None, None], found["position"]]
    dims = {
        "stream_norm": ("text", "stream", "where"),
        "added_norm": ("text", "layer", "part", "where"),
        "state_norm": ("text", "layer", "state", "where"),
        "run_norm": ("text", "stream", "run"),
        "median": ("text", "stream"),
        **dict.fromkeys(("largest", "position", "channel"), ("text", "stream", "rank")),
    }
    return xr.Dataset(
        {
            **{name: (dims[name], values.numpy()) for name, values in found.items()},
            "at_delimiter": (("text", "stream", "rank"), at_delimiter.numpy()),
            "nll": ("text", nll.numpy(), {"units": "nats per token"}),
            "width": int(arm.model.get_input_embeddings().weight.shape[1]),
            "tokens": int(ids.shape[1]),
        },
        coords={**text_coordinates(texts), "part": list(PARTS), "state": list(NAMES), "where": list(WHERE)},
    )


def first_and_rest(states: Float[Tensor, "batch pos width"]) -> Float[Tensor, "batch where"]:
    """L2 norm of the states at the first position, and its mean over the others, in float32.

    Raises ValueError for states of one position, or that are not finite.
    """
    if states.shape[1] < 2:
        raise ValueError("a text needs at least two tokens: its first position is told apart from the others")
    norms = torch.linalg.vector_norm(states, dim=-1, dtype=torch.float32)
    if not torch.isfinite(norms).all():
        raise ValueError("the stream is not finite: the forward pass overflowed; try dtype=bfloat16 or float32")
    return torch.stack([norms[:, 0], norms[:, 1:].mean(1)], 1).cpu()


def runs(tokens: int) -> tuple[Int[Tensor, " pos"], int]:
    """The run of each position, and their number: the first position alone, and RUNS of others that are as long.

    Fewer where there are fewer positions. So the record of a long text is as small as that of a short one.
    """
    number = min(RUNS, tokens - 1)
    others = torch.arange(tokens - 1) * number // max(1, tokens - 1)
    return torch.cat([torch.zeros(1, dtype=torch.int64), others + 1]), number + 1


def over_runs(states: Float[Tensor, "batch pos width"], run_of: Tensor, number: int) -> Float[Tensor, "batch run"]:
    """L2 norm of the states, mean over the positions of each run, in float32."""
    norms = torch.linalg.vector_norm(states, dim=-1, dtype=torch.float32).cpu()
    sums = torch.zeros(len(norms), number).index_add_(1, run_of, norms)
    return sums / torch.bincount(run_of, minlength=number)


def is_delimiter(token: str) -> bool:
    """Is a token, as text, nothing but punctuation and blanks? An empty one, such as a special token, is none."""
    return bool(token) and set(token) <= DELIMITERS
