"""A run as one document: everything that the page shows, as plain JSON values. Layout: docs/report.md."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import xarray as xr

from lib import records
from lib.definitions import ARMS, OUTCOMES, ROLES, letters
from lib.effects import MassiveValues, curve
from lib.published import COLUMNS
from lib.reporting import sentences
from lib.reporting.documents import SCHEMA
from lib.reporting.figures import heat_maps
from lib.reporting.plotted import numbers
from lib.settings import Settings
from lib.texts import chosen

LAST = (None, *COLUMNS)
"""Labels of results that stand for the claim itself; all others are earlier checkpoints."""
ORIGIN = ("pretrained", "identity", "class", "parameters", "dtype", "quantization", "attn_implementation", "device")

Records = Mapping[str, xr.Dataset]


@dataclass(frozen=True)
class Run:
    """A run that is over.

    `claims` are the ids of all claims that might have run, in order, and `results` what became of those that did.
    `recorded(experiment)` gives records by arm. `published_estimate` and `counterexample` answer for an entry, and
    `judged_at` judges massive values at another threshold. `audit` is there instead of records when published figures
    were judged.
    """

    settings: Settings
    claims: Sequence[str]
    results: Mapping[str, dict]
    recorded: Callable[[str], Records] = lambda experiment: {}
    published_estimate: Callable[[dict], float | None] = lambda entry: None
    counterexample: Callable[[dict], dict | None] = lambda entry: None
    judged_at: Callable[[MassiveValues], dict[str, dict]] = lambda values: {}
    stopped: str = ""
    faults: Mapping[str, str] = field(default_factory=dict)
    audit: dict | None = None
    regression: dict | None = None


def assemble(run: Run) -> dict:
    """The document of a run. A part that cannot be made is left out, and its fault is named: the rest is never lost."""
    faults = dict(run.faults)

    def attempt(part: str, make: Callable[[], object], otherwise: object = None) -> object:
        try:
            return make()
        except Exception as error:  # one broken part must not take the report of hours with it
            faults[part] = f"it cannot be made ({type(error).__name__}: {error})"
            return otherwise

    entries = [_complete(entry, run, attempt) for entry in _in_order(run)]
    notes = attempt("notes", lambda: sentences.differences(run.recorded("norms")), [])
    settings = settings_of(run.settings, stopped=bool(run.stopped))
    return {
        "schema": SCHEMA,
        "kind": "published" if run.settings.published else "measured",
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "stopped": run.stopped,
        "settings": {**settings, "note": " ".join(filter(None, [settings["note"], *notes]))},
        "summary": {"registered": len(run.claims), **counted(run.claims, run.results)},
        "registered": list(run.claims),
        "claims": entries,
        **_measured(run, attempt),
        **({"audit": run.audit} if run.audit else {}),
        "regression": run.regression,
        "faults": faults,
    }


def settings_of(settings: Settings, *, stopped: bool = False) -> dict:
    """What was measured, on which texts, and how strictly. Raises ValueError for texts that cannot be read."""
    if settings.published:
        texts, source = [], "texts of the study"
    else:
        source = settings.texts.name if settings.texts else "the product's own"
        try:
            texts = chosen(settings.texts, settings.limit)
        except ValueError:
            if not stopped:
                raise
            texts = []  # they are what stopped the run
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
        **settings.shown(),
        "texts": {"source": source, **named},
    }


def counted(claims: Sequence[str], results: Mapping[str, dict]) -> dict[str, int]:
    """How many claims came out how; those that were not selected or not reached did not run.

    Earlier checkpoints of a series do not count; the columns of an audit count one by one.
    """
    by_claim = {claim: [e for e in results.values() if e["claim"] == claim and e["label"] in LAST] for claim in claims}
    verdicts = [e["verdict"] for entries in by_claim.values() for e in entries or [{"verdict": "not run"}]]
    return {name: verdicts.count(name) for name in OUTCOMES}


def decided(results: Mapping[str, dict]) -> int:
    """Number of claims that are supported or refuted; earlier checkpoints of a series do not count."""
    return sum(e["verdict"] in ("supported", "refuted") for e in results.values() if not e["label"])


def _in_order(run: Run) -> list[dict]:
    """Entries in the order of the claims, every claim's own before those at earlier checkpoints, which come by step.

    Several processes end their tests in any order.
    """
    place = {claim: i for i, claim in enumerate(run.claims)}
    labels = [None, *(arm.partition("@")[2] for arm in run.settings.steps)]
    return sorted(
        run.results.values(),
        key=lambda e: (place.get(e["claim"], len(place)), labels.index(e["label"]) if e["label"] in labels else 0),
    )


def _complete(entry: dict, run: Run, attempt: Callable) -> dict:
    """An entry with the sentences and figures that follow from its judgement."""
    judged, audited = entry["judgement"], entry["label"] in COLUMNS
    distance = sentences.distance(judged) if judged else None
    half_widths = distance.half_widths if distance else None
    published = judged and not audited
    return {
        **entry,
        "published_estimate": attempt(f"published figure of {entry['claim']}", lambda: run.published_estimate(entry))
        if published
        else None,
        "refutation": sentences.refutation(judged) if judged else "",
        "by_how_much": sentences.by_how_much(judged) if judged else "",
        "half_widths": half_widths if half_widths is not None and math.isfinite(half_widths) else None,
        "counterexample": None
        if audited
        else attempt(f"counterexample of {entry['claim']}", lambda: run.counterexample(entry)),
    }


def _measured(run: Run, attempt: Callable) -> dict:
    """The part that comes from records: which weights, the numbers behind the figures, thresholds, norms of channels."""
    settings = run.settings
    names = ("norms", "disruption", "bands", settings.named("norms", "projection"))
    norms, losses, bands, projected = (_arms_in_order(run.recorded(name), settings) for name in names)
    found = {"arms": {}, "measured": None, "threshold_curve": None, "heat_maps": None}
    if not norms:
        return found
    how = {"threshold": settings.threshold, "scope": settings.scope}
    arms = _arms_in_order({**projected, **norms}, settings)
    found["arms"] = attempt("provenance", lambda: {arm: _origin(record) for arm, record in arms.items()}, {})
    found["measured"] = attempt("measured numbers", lambda: numbers(norms, losses, bands, **how))
    if all(arm in norms for arm in ARMS):
        both = {arm: norms[arm] for arm in ARMS}
        found["heat_maps"] = attempt("heat maps", lambda: heat_maps(MassiveValues(both, *how.values())))
        found["threshold_curve"] = attempt("threshold curve", lambda: curve(both, run.judged_at))
    return found


def _arms_in_order(found: Records, settings: Settings) -> dict[str, xr.Dataset]:
    return {arm: found[arm] for arm in settings.arms if arm in found}


def _origin(record: xr.Dataset) -> dict:
    """Which weights an arm is, loaded how, by which libraries."""
    origin = records.provenance_of(record)
    return {
        **{name: origin[name] for name in ORIGIN},
        "revision": origin["arguments"]["revision"],
        "position_change": float(record["position_change"]),
        "rotation": letters(record["frequency"].values),
        "versions": origin["versions"],
    }
