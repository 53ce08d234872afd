"""What a verdict speaks of: which weights, texts of which kinds, and how many training runs."""

from collections import Counter
from collections.abc import Mapping, Sequence

from lib.definitions import MADE

RUNS = 1
"""Every arm comes from one training run. Another run would give other weights, and how far it would is not known."""
ONLY_TEXTS = "texts replicate the measurement, not the training"
ONE_RUN = f"one run: {ONLY_TEXTS}"


def scope(
    document_settings: Mapping,
    role: str,
    *,
    training: bool,
    published: bool = False,
    items: Mapping[str, int] | None = None,
) -> dict:
    """The scope of a claim's verdict as JSON values, from the settings of a document and the role of its texts.

    The role "items" stands for the items of tasks, and `items` has their number by task. `weights` are the model
    arguments of the arms that were given, `kinds` the number of texts of each kind or of items of each task, `runs`
    that of training runs for a claim about training (None for others), and `sentence` says all of it.
    """
    arms = {arm: args for arm, args in document_settings["arms"].items() if arm not in MADE and "@" not in arm}
    asked = role == "items"
    kinds = dict(items or {}) if asked else dict(Counter(text["kind"] for text in document_settings["texts"][role]))
    own = f"these weights and {'items of these tasks' if asked else 'texts of these kinds'}: {of_kinds(kinds)}"
    what = f"the study's weights and {'tasks' if asked else 'texts'}" if published else own
    run = f"; {ONE_RUN}" if training else ""
    return {"weights": arms, "kinds": kinds, "runs": RUNS if training else None, "sentence": f"Of {what}{run}."}


def of_kinds(kinds: Mapping[str, int]) -> str:
    """`6 literary, 4 factual`."""
    return ", ".join(f"{number} {kind}" for kind, number in kinds.items())


def scope_lines(
    document_settings: Mapping, training: Sequence[str], items: Mapping[str, int] | None = None
) -> list[str]:
    """The scope of a run's verdicts for the terminal.

    `training` are the claims about training that were judged, and `items` the number of items by task.
    """
    texts = document_settings["texts"]
    kinds = {role: of_kinds(Counter(text["kind"] for text in texts[role])) for role in ("count", "score")}
    found = [
        f"verdicts are of these weights and of texts of these kinds: {kinds['count']} that are counted, "
        f"{kinds['score']} that are scored"
    ]
    if items:
        found.append(f"verdicts on tasks are of these weights and of items of these tasks: {of_kinds(items)}")
    return [*found, f"{', '.join(training)}: {ONE_RUN}"] if training else found
