"""The numbers behind the figures of a report as plain JSON values, for programs that read no pictures."""

from collections.abc import Callable, Mapping

import numpy as np
import xarray as xr

from lib.definitions import ARMS, BANDS, EDITED, INPUTS, NAMES, RESCALED, SELECTED, Scope, uniform_share
from lib.effects import (
    Answers,
    Bands,
    Disruption,
    MassiveValues,
    Modules,
    Positions,
    Sinks,
    Specificity,
    Stream,
    lorenz,
)
from lib.judging import NoSubject

POINTS = 101
"""Number of points of a Lorenz curve in a document."""


def numbers(
    records: Mapping[str, Mapping[str, xr.Dataset]],
    *,
    threshold: float,
    scope: Scope,
) -> dict:
    """The numbers of `records[experiment][arm]`; of the experiments but `norms`, those that were made.

    Under "arms" the numbers of every arm with a record of experiment 1; under "between", of both main arms together.

    Of an arm: `counts[tensor]` [text, layer], `channels[tensor]` of one layer, `loss` [text] (nats per token), and if
    experiment 2 was made, its `conditions`, `nll` [text, condition] and the number of channels `zeroed`; under `bands`
    the same of slow and of fast channels; under `specificity` losses in each of its `conditions`, and the number of
    `channels` and percent of the `energy` of each selection; under `tasks` the answers to every task's items in each of
    its `conditions`, see `_answers`; for `stream`, `sinks` and `modules` see functions of these names. If tensors or
    arms have different numbers of channels, also `rates[tensor]` [text, layer], percent of them. Of `rope` and `drope`
    also `gini` [text] and `lorenz` [point] of query and key norms, `rotary_pairs` (massive channels of each rotary
    pair, fastest first, mean over texts; None for an arm that does not rotate) and `rank_agreement` [text, layer] of
    weights and norms. Of `rope` and its rescaled arms `loss_by_position`: the mean `loss` of runs of tokens, the middle
    `position` of each, and the `trained_length`.
    A number that cannot be formed (the Gini coefficient of norms that are all zero) is None, and costs no other.
    """
    norms = records["norms"]
    arms, uneven = {}, MassiveValues(norms, threshold, scope).uneven
    for arm, record in norms.items():
        values = MassiveValues({arm: record}, threshold, scope)
        arms[arm] = {
            "counts": {name: values.counts(arm, name).tolist() for name in NAMES},
            "channels": {name: values.channels(name, arm) for name in NAMES},
            **({"rates": {name: values.layer_rates(arm, name).tolist() for name in NAMES}} if uneven else {}),
            "loss": record["nll"].values.tolist(),
            **(_by_position(record) if arm in ("rope", *RESCALED) and "token_nll" in record else {}),
            **(_concentration(values, arm) if arm in ARMS else {}),
            **{name: of(records[name][arm], arm) for name, of in BESIDE_NORMS.items() if arm in records.get(name, {})},
        }
    between = {}
    if all(arm in norms for arm in ARMS):
        both = MassiveValues({arm: norms[arm] for arm in ARMS}, threshold, scope)
        between = {name: _overlap(both, name) for name in EDITED}
    return {"arms": arms, "between": between}


def _by_position(record: xr.Dataset) -> dict:
    found = Positions({"rope": record})
    middles, losses = found.course("rope")
    told = {"position": middles.tolist(), "loss": rounded(losses), "trained_length": found.length}
    return {"loss_by_position": told}


def _concentration(values: MassiveValues, arm: str) -> dict:
    """The spread of query and key norms over channels and rotary pairs, and their agreement with the weights."""
    points = np.linspace(0, 1, POINTS)
    spread: dict[str, dict] = {"gini": {}, "lorenz": {}, "rotary_pairs": {}, "rank_agreement": {}}
    for name in EDITED:
        try:
            curve = lorenz(values.norms(arm, name)).mean((0, 1))
            spread["gini"][name] = plain(values.gini(arm, name))
            spread["lorenz"][name] = plain(np.interp(points, np.linspace(0, 1, len(curve)), curve))
        except ValueError:
            spread["gini"][name] = spread["lorenz"][name] = None  # norms that are all zero have no spread
        spread["rotary_pairs"][name] = values.per_pair(arm, name).tolist() or None
        try:
            spread["rank_agreement"][name] = plain(values.rank_agreement_per_layer(arm, name))
        except NoSubject:
            spread["rank_agreement"][name] = None  # keys made from a latent vector have no rows of their own
    return spread


def _losses(record: xr.Dataset) -> dict:
    """Names of conditions, and losses [text, condition]."""
    return {"conditions": record["condition"].values.tolist(), "nll": record["nll"].values.tolist()}


def _disruption(record: xr.Dataset, arm: str) -> dict:
    return {**_losses(record), "zeroed": Disruption({arm: record}).zeroed(arm)}


def _bands(record: xr.Dataset, arm: str) -> dict:
    losses = Bands({"rope": record})
    return {**_losses(record), "zeroed": {band: losses.zeroed(band) for band in BANDS}}


def _specificity(record: xr.Dataset, arm: str) -> dict:
    """Losses in each condition, and what each selection is: its channels, and percent of the energy that they hold."""
    losses = Specificity({arm: record})
    chosen = {"channels": losses.replaced, "energy": losses.share}
    return {
        **_losses(record),
        **{name: {selected: of(arm, selected) for selected in SELECTED} for name, of in chosen.items()},
    }


def _stream(record: xr.Dataset, arm: str) -> dict:
    """Means over texts: norms of the stream by run of positions, and of states by layer; attention's share of a layer.

    `norms` [stream, run] begin with the embeddings and with the first position. `share` [layer] is of all positions and
    `share_of_rest` of all but the first one, in percent; both are None where a layer adds nothing.
    """
    found = Stream({arm: record})
    try:
        shares = [found.shares(arm, first=first).mean(0).tolist() for first in (True, False)]
    except NoSubject:
        shares = [None, None]
    return {
        "tokens": int(record["tokens"]),
        "norms": rounded(found.norms(arm).mean(0)),
        "share": shares[0],
        "share_of_rest": shares[1],
        "states": {name: found.lengths(arm, name).mean(0).tolist() for name in NAMES},
    }


def _sinks(record: xr.Dataset, arm: str) -> dict:
    """By input the sink rate of all heads [text] and of each layer's [layer], mean over texts, in percent.

    And the `first_share` [layer, head] that the first position of a text gets, mean over texts, in percent; `uniform`
    is what it gets of uniform attention over as many `tokens`.
    """
    found, tokens = Sinks({arm: record}), int(record["tokens"])
    return {
        "tokens": tokens,
        "uniform": 100 * uniform_share(tokens),
        "rate": {inputs: found.rate(arm, inputs).tolist() for inputs in INPUTS},
        "rate_by_layer": {inputs: found.by_layer(arm, inputs).mean(0).tolist() for inputs in INPUTS},
        "first_share": rounded(found.shares(arm, "texts").mean(0)),
    }


def _modules(record: xr.Dataset, arm: str) -> dict:
    """Losses in each condition, the `layer` and the `spike` layer that are edited.

    And the number of massive activations that are `replaced`, mean over texts.
    """
    found = Modules({arm: record})
    places = {"layer": int(record["layer"]), "spike": found.spike(arm), "replaced": found.replaced(arm)}
    return {**_losses(record), **places}


def _tasks(record: xr.Dataset, arm: str) -> dict:
    return _answers(Answers({arm: record}), arm)


BESIDE_NORMS: Mapping[str, Callable[[xr.Dataset, str], dict]] = {
    "disruption": _disruption,
    "bands": _bands,
    "specificity": _specificity,
    "tasks": _tasks,
    "stream": _stream,
    "sinks": _sinks,
    "modules": _modules,
}
"""The numbers of an arm's record of every experiment but that on norms."""
EXPERIMENTS = ("norms", *BESIDE_NORMS)
"""The experiments whose records `numbers` reads."""


def _answers(answers: Answers, arm: str) -> dict:
    """Of each task its number of `items` and the accuracy of guessing (`chance`, in percent).

    And by condition the number of items that are answered rightly (`right`), whose right choice greedy decoding writes
    (`written`), of which it writes none of the choices (`unparsed`), and the mean log-probability of the right choice
    among the choices (`odds`, in nats). Of a task that hides facts, also `right` at every length (sentences) and depth.
    """
    names = answers.conditions(arm)

    def of_task(task: str) -> dict:
        among = answers.among(arm, task=task)
        each = {"right": answers.right, "written": answers.written, "unparsed": answers.unparsed}
        return {
            "knowledge": "contextual" if task in answers.tasks("contextual") else "parametric",
            "items": int(among.sum()),
            "chance": 100 * float(answers.chance(arm)[among].mean()),
            **{what: [int(of(arm, name)[among].sum()) for name in names] for what, of in each.items()},
            "odds": plain(np.array([answers.odds(arm, name)[among].mean() for name in names])),
            **({"hidden": hidden} if (hidden := [at(task, *place) for place in answers.places(arm, task)]) else {}),
        }

    def at(task: str, length: float, depth: float) -> dict:
        which = {"task": task, "length": length, "depth": depth}
        found = [answers.accuracy(arm, name, **which) for name in names]
        return {
            **{"length": length, "depth": depth, "tokens": answers.tokens(arm, **which), "items": found[0].n},
            "right": [share.hits for share in found],
        }

    return {
        "conditions": names,
        "trained_length": answers.trained_length(arm),
        "by_task": {task: of_task(task) for task in answers.tasks()},
    }


def _overlap(both: MassiveValues, name) -> dict[str, list | str | None]:
    """Share of RoPE's massive channels that are massive under DroPE too, and Jaccard index, per layer.

    None for a layer without massive channels. If the arms' channels do not correspond, both are None, with a `reason`.
    """
    try:
        kept, jaccard = both.overlap(name)
    except ValueError as reason:
        return {"kept": None, "jaccard": None, "reason": str(reason)}
    return {"kept": plain(kept), "jaccard": plain(jaccard)}


def rounded(array: np.ndarray, digits: int = 4) -> list:
    """An array as lists of numbers of so many digits: there are thousands of them, and a colour tells no more."""
    return [rounded(row, digits) if row.ndim else float(f"{row:.{digits}g}") for row in array]


def plain(array: np.ndarray) -> list:
    """An array as lists, with None for a number that is not finite."""
    return np.where(np.isfinite(array), array, None).tolist()
