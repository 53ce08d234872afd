"""A run as one document: everything that the page shows, as plain JSON values. Layout: docs/report.md."""

import math
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

import xarray as xr

from lib import records
from lib.checkpoints import tokens_per_step
from lib.definitions import ARMS, OUTCOMES, ROLES, letters
from lib.effects import MassiveValues, curve
from lib.published import COLUMNS
from lib.reporting import sentences
from lib.reporting.documents import SCHEMA
from lib.reporting.notes import notes
from lib.reporting.plotted import EXPERIMENTS, numbers
from lib.reporting.scope import scope
from lib.settings import Settings

LAST = (None, *COLUMNS)
"""Labels of entries that count as their claim's own; all other labels are earlier checkpoints."""
ORIGIN = ("pretrained", "identity", "class", "parameters", "dtype", "quantization", "attn_implementation", "device")

Records = Mapping[str, xr.Dataset]


@dataclass(frozen=True)
class Run:
    """A run that is over.

    `claims` are the ids of all registered claims, in order, and `results` the entries of those that ran, by id.
    `recorded(experiment)` gives records by arm. `published_estimate` and `counterexample` are called with an entry,
    `judged_at` with massive values at another threshold, and `multiverse` gives every claim of counts in all cells.
    `not_asked` names claims whose arm the run does not have, each with the option that would give it. An audit of
    published figures has an `audit` and no records.
    """

    settings: Settings
    claims: Sequence[str]
    results: Mapping[str, dict]
    recorded: Callable[[str], Records] = lambda experiment: {}
    published_estimate: Callable[[dict], float | None] = lambda entry: None
    counterexample: Callable[[dict], dict | None] = lambda entry: None
    judged_at: Callable[[MassiveValues], dict[str, dict]] = lambda values: {}
    multiverse: Callable[[], dict | None] = lambda: None
    command: str = ""
    stopped: str = ""
    not_asked: Mapping[str, str] = field(default_factory=dict)
    faults: Mapping[str, str] = field(default_factory=dict)
    audit: dict | None = None
    regression: dict | None = None


def assemble(run: Run) -> dict:
    """The document of a run. A part that raises is left out and named among the faults; it costs no other part."""
    faults = dict(run.faults)

    def attempt(part: str, make: Callable[[], object], otherwise: object = None) -> object:
        try:
            return make()
        except Exception as error:  # one broken part must not cost the report of hours
            faults[part] = f"it cannot be made ({type(error).__name__}: {error})"
            return otherwise

    remarks = attempt("notes", lambda: notes(run.settings, run.recorded), [])
    settings = None if run.stopped else attempt("texts", lambda: settings_of(run.settings))
    settings = settings or settings_of(run.settings, strict=False)
    items = attempt("items of tasks", lambda: _items(run), {})
    entries = [_complete(entry, run, settings, items, attempt) for entry in _in_order(run)]
    return {
        "schema": SCHEMA,
        "kind": "published" if run.settings.published else "measured",
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": run.command,
        "stopped": run.stopped,
        "settings": {**settings, "note": " ".join(filter(None, [settings["note"], *remarks]))},
        "summary": {"registered": len(run.claims), **counted(run.claims, run.results, run.not_asked)},
        "registered": list(run.claims),
        "not_asked": dict(run.not_asked),
        "claims": entries,
        **_measured(run, attempt),
        "multiverse": attempt("multiverse", run.multiverse),
        **({"audit": run.audit} if run.audit else {}),
        "regression": run.regression,
        "faults": faults,
    }


def settings_of(settings: Settings, *, strict: bool = True) -> dict:
    """The settings of a run as a document shows them, with its texts by role.

    Raises ValueError for texts that cannot be read; unless `strict`, these are left out.
    """
    if settings.published:
        texts, source = [], "texts of the study"
    else:
        source = settings.texts.name if settings.texts else "the product's own"
        try:
            texts = settings.selected().texts
        except ValueError:
            if strict:
                raise
            texts = []
    named = {
        role: [{"name": text.name, "kind": text.kind, "hash": text.hash} for text in texts if text.role == role]
        for role in ROLES
    }
    return {
        "pair": settings.pair,
        "description": settings.description,
        "note": settings.note,
        "arms": {arm: str(args) for arm, args in settings.arms.items()},
        "steps": dict(settings.steps),
        "tokens_per_step": tokens_per_step(settings.arms["drope"]) if settings.steps else None,
        **settings.shown(),
        "texts": {"source": source, **named},
        "tasks": _tasks(settings, strict=strict),
    }


def _tasks(settings: Settings, *, strict: bool) -> list[dict]:
    """The tasks whose items a run asks, if it judges a claim of tasks. Raises ValueError for a file that is none."""
    try:
        tasks = () if settings.published else settings.asked
    except ValueError:
        if strict:
            raise
        tasks = ()
    number = settings.most_items
    return [
        {"name": t.name, "knowledge": t.knowledge, "items": len(t.asked_items(number)), "hash": t.hash} for t in tasks
    ]


def counted(claims: Sequence[str], results: Mapping[str, dict], not_asked: Collection[str] = ()) -> dict[str, int]:
    """The number of claims by outcome. A claim that was not selected, or not reached, counts as not run.

    Earlier checkpoints of a series do not count; each column of an audit does.
    """
    by_claim = {claim: [e for e in results.values() if e["claim"] == claim and e["label"] in LAST] for claim in claims}
    absent = {claim: "not asked" if claim in not_asked else "not run" for claim in claims}
    verdicts = [e["verdict"] for claim, found in by_claim.items() for e in found or [{"verdict": absent[claim]}]]
    return {name: verdicts.count(name) for name in OUTCOMES}


def decided(results: Mapping[str, dict]) -> int:
    """Number of claims that are supported or refuted; earlier checkpoints of a series do not count."""
    return sum(e["verdict"] in ("supported", "refuted") for e in results.values() if not e["label"])


def _in_order(run: Run) -> list[dict]:
    """Entries in the order of the claims; a claim's own entry comes first, those at earlier checkpoints by step.

    Tests that run in several processes end in any order.
    """
    place = {claim: i for i, claim in enumerate(run.claims)}
    labels = [None, *(arm.partition("@")[2] for arm in run.settings.steps)]
    return sorted(
        run.results.values(),
        key=lambda e: (place.get(e["claim"], len(place)), labels.index(e["label"]) if e["label"] in labels else 0),
    )


def _items(run: Run) -> dict[str, int]:
    """The number of items of each task that the RoPE arm was asked; {} where none was."""
    record = run.recorded("tasks").get("rope")
    return {} if record is None else dict(Counter(record["task"].values.tolist()))


def _complete(entry: dict, run: Run, settings: dict, items: dict, attempt: Callable) -> dict:
    """An entry with what its verdict speaks of, and the sentences and figures that follow from its judgement."""
    judged, claim, published, counterexample = entry["judgement"], entry["claim"], None, None
    distance = sentences.distance(judged) if judged else None
    half_widths = distance.half_widths if distance else None
    if entry["label"] not in COLUMNS:  # an audit shows neither
        counterexample = attempt(f"counterexample of {claim}", lambda: run.counterexample(entry))
        published = attempt(f"published figure of {claim}", lambda: run.published_estimate(entry)) if judged else None
    return {
        **entry,
        "scope": scope(
            settings, entry["texts"], training=entry["training"], published=run.settings.published, items=items
        ),
        "published_estimate": published,
        "refutation": sentences.refutation(judged) if judged else "",
        "by_how_much": sentences.by_how_much(judged) if judged else "",
        "half_widths": half_widths if half_widths is not None and math.isfinite(half_widths) else None,
        "counterexample": counterexample,
    }


def _measured(run: Run, attempt: Callable) -> dict:
    """The parts made of records: the origin of each arm, the numbers behind the figures, thresholds, and heat maps."""
    settings = run.settings
    elsewhere = settings.named("norms", "projection")
    found = {
        name: attempt(f"records of {name}", partial(_arms_in_order, run.recorded, name, settings), {})
        for name in (*EXPERIMENTS, elsewhere)
    }
    norms, projected = found["norms"], found[elsewhere]
    parts = {"arms": {}, "measured": None, "threshold_curve": None, "heat_maps": None}
    if not norms:
        return parts
    how = {"threshold": settings.threshold, "scope": settings.scope}
    arms = {arm: {**projected, **norms}[arm] for arm in settings.arms if arm in projected or arm in norms}
    parts["arms"] = attempt("provenance", lambda: {arm: _origin(record) for arm, record in arms.items()}, {})
    parts["measured"] = attempt("measured numbers", lambda: numbers(found, **how))
    main = {arm: norms[arm] for arm in ARMS if arm in norms}
    if len(main) == len(ARMS) or not settings.treated:
        judged_at = run.judged_at if settings.treated else lambda values: {}
        parts["heat_maps"] = attempt("heat maps", lambda: _heat_maps(MassiveValues(main, **how)))
        parts["threshold_curve"] = attempt("threshold curve", lambda: curve(main, judged_at))
    return parts


def _arms_in_order(recorded: Callable[[str], Records], experiment: str, settings: Settings) -> Records:
    by_arm = recorded(experiment)
    return {arm: by_arm[arm] for arm in settings.arms if arm in by_arm}


def _heat_maps(values: MassiveValues) -> dict:
    from lib.reporting.figures import heat_maps  # it imports matplotlib, which takes a second that audits do not need

    return heat_maps(values, values.arms)


def _origin(record: xr.Dataset) -> dict:
    """The weights of an arm, and how and by which libraries they were loaded."""
    origin = records.provenance_of(record)
    return {
        **{name: origin[name] for name in ORIGIN},
        "revision": origin["arguments"]["revision"],
        "position_change": float(record["position_change"]),
        "rotation": letters(record["frequency"].values),
        "tokenizer_facts": origin.get("tokenizer_facts"),
        "threads": origin.get("threads"),
        "versions": origin["versions"],
    }
