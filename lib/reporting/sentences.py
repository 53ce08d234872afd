"""Plain sentences on a claim's refutation, on its distance from its threshold, and on how the arms differ.

Judgements have the form of `Judgement.as_dict()`, so that a document that was read back can be described as well.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, inf

import xarray as xr

from lib import records
from lib.checkpoints import different_size
from lib.definitions import ARMS
from lib.judging import HELD, one

SAME_TEXTS = (
    "The arms have different tokenizers: counts are of the same texts, cut after as many tokens each, and losses per "
    "token are not compared."
)
SIDES = {"<=": "upper", "<": "upper", ">=": "lower", ">": "lower", "in": "both", "outside": "either"}
"""The bound that decides each rule."""
CARRIES, ENOUGH = 25, 8
"""Percent of the sum of all texts from which on the largest one is named, if there are so many texts."""
MANY = 100_000
"""A larger number of texts is not worth naming."""


@dataclass(frozen=True)
class Distance:
    """Signed distance of an estimate from the nearest limit of its rule, positive on the side that the rule needs.

    `bound` is the interval's end on the side of that limit, and `reach` its distance from the estimate; both are None
    if the interval has no such end.
    """

    limit: float
    away: float
    reach: float | None
    bound: float | None

    @property
    def half_widths(self) -> float | None:
        """The distance in units of the interval's reach, decisive beyond +1 or -1; None without an interval."""
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
    """The distance of the estimate from the nearest limit; None without an estimate."""
    value = judgement["estimate"]
    if value is None or not judgement["limits"]:
        return None
    # inside a range an estimate must be clear of both ends, outside of one
    nearest = max if _side(judgement) == "either" else min
    return nearest((_from(judgement, limit, below) for limit, below in _sides(judgement)), key=lambda d: d.away)


def _side(judgement: dict) -> str:
    return SIDES[judgement["rule"].split()[0]]


def _sides(judgement: dict) -> list[tuple[float, bool]]:
    """The rule's limits, and for each whether the estimate must lie below it."""
    limits = judgement["limits"]
    side = _side(judgement)
    if len(limits) == 2:
        return [(limits[0], side == "either"), (limits[1], side == "both")]
    return [(limits[0], side == "upper")]


def _from(judgement: dict, limit: float, below: bool) -> Distance:
    value = judgement["estimate"]
    away = limit - value if below else value - limit
    # the interval's end that lies between the estimate and the limit, or beyond the limit
    bound = judgement["high"] if (limit > value) or (limit == value and below) else judgement["low"]
    return Distance(limit, away, None if bound is None else abs(bound - value), bound)


def refutation(judgement: dict) -> str:
    """A sentence on what would refute the claim."""
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
    if kind == "outside":
        return f"the whole interval lies between {limits[0]} and {limits[1]}"
    beyond = {"<=": "above", "<": "at or above", ">=": "below", ">": "at or below"}[kind]
    return f"the whole interval lies {beyond} {limits[0]}"


def over_kinds(judgement: dict) -> str:
    """A sentence on the same claim with the kinds of text as the unit, and other kinds in mind; "" without any."""
    found = judgement["over_kinds"]
    if found is None:
        return ""
    if found["low"] is None and found["high"] is None:
        return _sentence(f"beyond these kinds of text: {why_open(found)}")
    return f"With {found['n']} kinds of text as the unit: {measured(found)} {judgement['unit']}, {found['verdict']}."


def largest(judgement: dict) -> str:
    """A sentence on the text that holds much of the sum of all; "" if none does."""
    share = judgement["largest"]
    if share is None or share < CARRIES or judgement["n"] < ENOUGH:
        return ""
    of = one(judgement["observations"])
    return f"The largest {of} holds {share:.0f} % of the sum of all: where so few carry an effect, others may lack it."


def why_open(judgement: dict) -> str:
    """Why a judgement is open; an interval that ends nowhere decides nothing, for it holds every threshold."""
    endless = judgement["estimate"] is not None and judgement["low"] is None and judgement["high"] is None
    if endless and judgement["reason"] == HELD:
        return f"{judgement['n']} {judgement['observations']} are too few, or too unlike, for an interval at this level"
    return judgement["reason"]


def by_how_much(judgement: dict) -> str:
    """A sentence on the claim's distance from its threshold; without an estimate, the reason."""
    to_limit = distance(judgement)
    if to_limit is None:
        return _sentence(judgement["reason"])
    unit = f" ({judgement['unit']})" if judgement["unit"] else ""
    of = f"{judgement['label']}: " if judgement["label"] else ""
    start = f"{of}{judgement['estimate']:.4g}{unit}, needed {judgement['rule']}"
    if judgement["low"] is None and judgement["high"] is None:
        short = "meets it" if to_limit.away >= 0 else f"misses it by {-to_limit.away:.3g}"
        return f"{start}: the estimate {short}, but has no interval ({why_open(judgement)})."
    if judgement["verdict"] in ("supported", "refuted") and judgement["low"] == judgement["high"]:
        short = "clear of the threshold" if judgement["verdict"] == "supported" else "misses it"
        each = f"in every {one(judgement['observations'])} ({judgement['reason']})"
        return f"{start}: {short} by {abs(to_limit.away):.3g} {each}."
    if judgement["verdict"] == "supported":
        spare = "" if to_limit.bound is None else f", and the interval ends {_gap(to_limit):.3g} short of it"
        return f"{start}: clear of the threshold by {to_limit.away:.3g}{spare}."
    if judgement["verdict"] == "refuted":
        bounded = to_limit.bound is not None
        nearest = f", and the end of the interval nearest to it by {_gap(to_limit):.3g}" if bounded else ""
        return f"{start}: the estimate misses it by {-to_limit.away:.3g}{nearest}."
    return f"{start}: {_open(judgement, to_limit)}"


def _open(judgement: dict, to_limit: Distance) -> str:
    """Why an estimate with an interval decides nothing, and how many texts would decide."""
    where = f"meets it by {to_limit.away:.3g}" if to_limit.away >= 0 else f"misses it by {-to_limit.away:.3g}"
    if judgement["reason"] != HELD:
        return f"the estimate {where}, but {judgement['reason']}."
    sentence = f"the estimate {where}, and the interval holds the threshold"
    needed = texts_to_decide(judgement)
    if needed is None:
        return f"{sentence}; an estimate so near to it is not decided by more {judgement['observations']}."
    of = judgement["observations"]
    ordered = not judgement["values"] and of == "texts"
    more = "points in the same order" if ordered else f"{of} of the same spread"
    return f"{sentence}; about {needed} {more} would decide it (n = {judgement['n']} now)."


def texts_to_decide(judgement: dict) -> int | None:
    """About how many texts would decide, with the same estimate and spread: intervals shrink with the root of n.

    Of an order it is the number of points.
    None if no number worth naming would.
    """
    to_limit = distance(judgement)
    if to_limit is None or not to_limit.reach or not to_limit.away:
        return None
    needed = ceil(judgement["n"] * (to_limit.reach / to_limit.away) ** 2) + 1
    return needed if needed <= MANY else None


def _gap(to_limit: Distance) -> float:
    """The room between the limit and the interval's end on its side."""
    return abs((to_limit.bound or 0.0) - to_limit.limit)


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}." if text else ""


def differences(norms: Mapping[str, xr.Dataset]) -> list[str]:
    """One sentence for each way in which the two main arms differ in shape or tokenizer; [] if one is missing."""
    if not all(arm in norms for arm in ARMS):
        return []
    rope, drope = (records.profile_of(norms[arm]) for arm in ARMS)
    sentences = []
    if different_size(rope.sizes, drope.sizes):
        sizes = f"RoPE {_sizes(rope)}, DroPE {_sizes(drope)}"
        sentences.append(f"The arms have different shapes ({sizes}): shares of channels are compared, not counts.")
    return [*sentences, SAME_TEXTS] if rope.tokenizer != drope.tokenizer else sentences


def _sizes(look: records.Profile) -> str:
    keys = ("num_hidden_layers", "num_attention_heads", "num_key_value_heads", "head_dim")
    layers, heads, kv_heads, dim = (look.sizes[key] for key in keys)
    return f"{layers} layers of {heads} query and {kv_heads} key heads with {dim} dims"
