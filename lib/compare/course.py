"""A recalibration checkpoint by checkpoint, as Markdown tables, from the document of a run on its series."""

import numpy as np

from lib.compare.table import markdown
from lib.definitions import NAMES

UNTRAINED, CONTROL = "dropped, not trained", "trained on with the rotation"


def course(document: dict) -> str:
    """The numbers of every checkpoint: tokens, loss, massive values, and what zeroing the massive channels costs.

    The RoPE arm stands first, then the same weights with the rotation dropped, and the control last. A number that was
    not measured is left empty. Raises ValueError for a document without a series.
    """
    steps = _steps(document)
    tokens = document["settings"]["tokens_per_step"]
    rows = [("rope", "RoPE", 0), ("dropped", UNTRAINED, 0), *((arm, f"step {n}", n) for arm, n in steps.items())]
    rows.append(("continued", CONTROL, max(steps.values())))
    head = ["", "tokens", "loss", *(f"massive in {name}" for name in NAMES), "zeroing the massive costs"]
    measured = document["measured"]["arms"]
    return markdown(
        head,
        [
            [name, f"{tokens * step:,}" if tokens else "", *_numbers(measured[arm])]
            for arm, name, step in rows
            if arm in measured
        ],
    )


def _numbers(arm: dict) -> list[str]:
    """Means over texts: the loss in nats per token, the counts over all layers, and the damage in nats per token."""
    counts = [f"{np.sum(arm['counts'][name], axis=1).mean():.4g}" for name in NAMES]
    if "disruption" not in arm:
        return [f"{np.mean(arm['loss']):.3f}", *counts, ""]
    nll = dict(zip(arm["disruption"]["conditions"], np.transpose(arm["disruption"]["nll"]), strict=True))
    return [f"{np.mean(arm['loss']):.3f}", *counts, f"{(nll['massive'] - nll['baseline']).mean():.2f} nats"]


def verdicts(document: dict) -> str:
    """Two tables of verdicts and estimates: claims at every checkpoint, a column each, and claims of the whole run.

    The latter are those on the series as a whole, and those that read the RoPE arm alone.
    """
    steps = _steps(document)
    entries = {entry["id"]: entry for entry in document["claims"]}
    at_steps, of_run = [], []
    for claim in (entry for entry in document["claims"] if entry["label"] is None):
        found = [entries.get(f"{claim['id']}{arm.removeprefix('drope')}") for arm in steps]
        if any(found[:-1]):
            at_steps.append([claim["id"], claim["statement"], *map(_cell, found)])
        else:
            of_run.append([claim["id"], claim["statement"], _cell(claim)])
    tables = (
        (["", "claim", *(f"step {step}" for step in steps.values())], at_steps),
        (["", "claim", "verdict"], of_run),
    )
    return "\n".join(markdown(head, rows) for head, rows in tables)


def _cell(entry: dict | None) -> str:
    """`supported -41`; empty for a claim that was not judged at a checkpoint."""
    if entry is None:
        return ""
    estimate = (entry["judgement"] or {}).get("estimate")
    return entry["verdict"] if estimate is None else f"{entry['verdict']} {estimate:.3g}"


def _steps(document: dict) -> dict[str, int]:
    if steps := document["settings"]["steps"]:
        return steps
    raise ValueError("the run has no series of checkpoints")
