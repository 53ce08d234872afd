"""Plain sentences about judgements: what would refute a claim, how far it is from its threshold; and how arms differ.

Judgements are those of `Judgement.as_dict()`, so that a report that was read back can be described as well.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, inf

import xarray as xr

from lib import records
from lib.checkpoints import different_size
from lib.definitions import ARMS

SAME_TEXTS = (
    "The arms have different tokenizers: counts are of the same texts, cut after as many tokens each, and losses per "
    "token are not compared."
)
SIDES = {"<=": "upper", "<": "upper", ">=": "lower", ">": "lower", "in": "both"}
"""Which bound a rule is judged by."""
MANY = 100_000
"""More texts than this are not worth naming."""


@dataclass(frozen=True)
class Distance:
    """Signed distance of an estimate from the nearest limit of its rule, positive on the side that is needed.

    `reach` is how far the interval extends towards that limit, None where it has no end there; `bound` is its end.
    """

    limit: float
    away: float
    reach: float | None
    bound: float | None

    @property
    def half_widths(self) -> float | None:
        """The distance in units of the interval's reach: decided beyond +1 or -1. None where there is no interval."""
        if self.reach is None:
            return None
        return self.away / self.reach if self.reach else (inf if self.away >= 0 else -inf)


def measured(judgement: dict | None, digits: int = 4) -> str:
    """`-38.9 [-40.1, -37.6]`: the estimate and its one-sided bounds."""
    if judgement is None or judgement["estimate"] is None:
        return ""
    value, low, high = (
        "none" if number is None else f"{number:.{digits}g}"
        for number in (judgement["estimate"], judgement["low"], judgement["high"])
    )
    return value if low == high == "none" else f"{value} [{low}, {high}]"


def distance(judgement: dict) -> Distance | None:
    """How far the estimate is from the limit that it is nearest to; None where nothing was estimated."""
    value = judgement["estimate"]
    if value is None or not judgement["limits"]:
        return None
    return min((_from(judgement, limit, below) for limit, below in _sides(judgement)), key=lambda d: d.away)


def _sides(judgement: dict) -> list[tuple[float, bool]]:
    """The rule's limits, and for each whether the estimate must lie below it."""
    limits = judgement["limits"]
    side = SIDES[judgement["rule"].split()[0]]
    return [(limits[0], False), (limits[1], True)] if side == "both" else [(limits[0], side == "upper")]


def _from(judgement: dict, limit: float, below: bool) -> Distance:
    value = judgement["estimate"]
    away = limit - value if below else value - limit
    # the interval's end that lies between the estimate and the limit, or beyond the limit
    bound = judgement["high"] if (limit > value) or (limit == value and below) else judgement["low"]
    return Distance(limit, away, None if bound is None else abs(bound - value), bound)


def refutation(judgement: dict) -> str:
    """What would refute the claim, as a sentence."""
    if judgement["parts"]:
        parts = "; ".join(f"{part['label']} ({_refuted_when(part)})" for part in judgement["parts"][:4])
        more = len(judgement["parts"]) - 4
        rest = f"; and {more} more" if more > 0 else ""
        return f"Refuted as soon as one of its {len(judgement['parts'])} parts is: {parts}{rest}."
    return f"Refuted when {_refuted_when(judgement)}." if judgement["limits"] else ""


def _refuted_when(judgement: dict) -> str:
    kind, limits = judgement["rule"].split()[0], [f"{limit:g}" for limit in judgement["limits"]]
    if kind == "in":
        return f"the whole interval lies below {limits[0]} or above {limits[1]}"
    beyond = {"<=": "above", "<": "at or above", ">=": "below", ">": "at or below"}[kind]
    return f"the whole interval lies {beyond} {limits[0]}"


def by_how_much(judgement: dict) -> str:
    """How far the claim is from its threshold, as a sentence; the reason where nothing was estimated."""
    found = distance(judgement)
    if found is None:
        return _sentence(judgement["reason"])
    unit = f" ({judgement['unit']})" if judgement["unit"] else ""
    of = f"{judgement['label']}: " if judgement["label"] else ""
    start = f"{of}{judgement['estimate']:.4g}{unit}, needed {judgement['rule']}"
    if judgement["low"] is None and judgement["high"] is None:
        short = "meets it" if found.away >= 0 else f"misses it by {-found.away:.3g}"
        return f"{start}: the estimate {short}, but has no interval ({judgement['reason']})."
    if judgement["verdict"] == "supported":
        spare = "" if found.bound is None else f", and the interval ends {_gap(found):.3g} short of it"
        return f"{start}: clear of the threshold by {found.away:.3g}{spare}."
    if judgement["verdict"] == "refuted":
        nearest = "" if found.bound is None else f", and the end of the interval nearest to it by {_gap(found):.3g}"
        return f"{start}: the estimate misses it by {-found.away:.3g}{nearest}."
    return f"{start}: {_open(judgement, found)}"


def _open(judgement: dict, found: Distance) -> str:
    """Why an estimate with an interval decides nothing, and what would."""
    where = f"meets it by {found.away:.3g}" if found.away >= 0 else f"misses it by {-found.away:.3g}"
    if judgement["reason"] != "the interval holds the threshold":
        return f"the estimate {where}, but {judgement['reason']}."
    sentence = f"the estimate {where}, and the interval holds the threshold"
    needed = texts_to_decide(judgement)
    if needed is None:
        return f"{sentence}; an estimate so near to it is not decided by more texts."
    return f"{sentence}; about {needed} texts of the same spread would decide it (n = {judgement['n']} now)."


def texts_to_decide(judgement: dict) -> int | None:
    """About how many texts would decide, if estimate and spread stayed: intervals shrink with the root of n.

    None where no number worth naming would.
    """
    found = distance(judgement)
    if found is None or not found.reach or not found.away:
        return None
    needed = ceil(judgement["n"] * (found.reach / found.away) ** 2) + 1
    return needed if needed <= MANY else None


def _gap(found: Distance) -> float:
    """How much room is left between the interval's nearest end and the limit."""
    return abs((found.bound or 0.0) - found.limit)


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}." if text else ""


def differences(norms: Mapping[str, xr.Dataset]) -> list[str]:
    """One sentence for each way in which the two main arms differ in shape or tokenizer; none before both are there."""
    if not all(arm in norms for arm in ARMS):
        return []
    rope, drope = (records.look_at(norms[arm]) for arm in ARMS)
    found = []
    if different_size(rope.sizes, drope.sizes):
        sizes = f"RoPE {_sizes(rope)}, DroPE {_sizes(drope)}"
        found.append(f"The arms have different shapes ({sizes}): shares of channels are compared, not counts.")
    return [*found, SAME_TEXTS] if rope.tokenizer != drope.tokenizer else found


def _sizes(look: records.Look) -> str:
    keys = ("num_hidden_layers", "num_attention_heads", "num_key_value_heads", "head_dim")
    layers, heads, kv_heads, dim = (look.sizes[key] for key in keys)
    return f"{layers} layers of {heads} query and {kv_heads} key heads with {dim} dims"
