"""A forest plot of one claim as inline SVG: intervals on one axis, with the threshold and the published figure.

Colours are the page's own (`lib/page.css`), so that a plot follows the reader's theme.
"""

from collections.abc import Sequence
from html import escape

WIDTH, ROW, AXIS = 240, 16, 15
EDGE = 10
"""Pixels left and right of the axis' ends, for arrows."""
REACH = 3
"""A published figure further away than so many spans of all the rest is an arrow at the edge."""


def forest(judgements: Sequence[dict], *, published: float | None = None, label: str = "") -> str:
    """Estimates and one-sided bounds of one claim, one row for each of `judgements` (`Judgement.as_dict()`).

    All must be of the same rule and unit. An interval without an end, and a figure out of range, end in an arrow.
    Returns "" when nothing was estimated. `label` comes first in the text that stands for the picture.
    """
    drawn = [j for j in judgements if j["estimate"] is not None]
    if not drawn:
        return ""
    limits = drawn[0]["limits"]
    scale = _Scale([*limits, *(x for j in drawn for x in (j["estimate"], j["low"], j["high"]) if x is not None)])
    scale.widen_for(published)
    height = ROW * len(drawn) + AXIS
    parts = [_needed(scale, drawn[0], height), *(_threshold(scale, limit, height) for limit in limits)]
    parts += [_interval(scale, judgement, ROW * row + ROW / 2) for row, judgement in enumerate(drawn)]
    if published is not None:
        parts.append(_published(scale, published, height - AXIS - 5))
    alt = escape("; ".join(filter(None, (label, *(_words(j) for j in drawn), _said(published)))), quote=True)
    return (
        f'<svg class="forest" role="img" aria-label="{alt}" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" '
        f'height="{height}"><title>{alt}</title>{"".join(parts)}</svg>'
    )


class _Scale:
    """Where a number lies on the axis, in pixels."""

    def __init__(self, numbers: Sequence[float]):
        self.low, self.high = min(numbers), max(numbers)
        span = self.high - self.low or abs(self.low) or 1.0
        self.low, self.high = self.low - 0.08 * span, self.high + 0.08 * span

    def widen_for(self, number: float | None) -> None:
        span = self.high - self.low
        if number is not None and self.low - REACH * span <= number <= self.high + REACH * span:
            self.low, self.high = min(self.low, number - 0.05 * span), max(self.high, number + 0.05 * span)

    def __call__(self, number: float | None, otherwise: float = 0.0) -> float:
        if number is None:
            return otherwise
        share = (number - self.low) / (self.high - self.low)
        return round(EDGE + min(1.0, max(0.0, share)) * (WIDTH - 2 * EDGE), 1)

    def holds(self, number: float) -> bool:
        return self.low <= number <= self.high


def _needed(scale: _Scale, judgement: dict, height: float) -> str:
    """The side of the threshold that is needed, shaded."""
    limits, kind = judgement["limits"], judgement["rule"].split()[0]
    if not limits:
        return ""
    left = 0 if kind in ("<=", "<") else scale(limits[0])
    right = WIDTH if kind in (">=", ">") else scale(limits[-1])
    return f'<rect class="needed" x="{left}" y="0" width="{right - left:.1f}" height="{height - AXIS}"/>'


def _threshold(scale: _Scale, limit: float, height: float) -> str:
    x = scale(limit)
    at = min(max(x, 12), WIDTH - 12)
    return (
        f'<line class="threshold" x1="{x}" x2="{x}" y1="0" y2="{height - AXIS}"/>'
        f'<text x="{at}" y="{height - 3}" text-anchor="middle">{limit:g}</text>'
    )


def _interval(scale: _Scale, judgement: dict, y: float) -> str:
    low, high = scale(judgement["low"], 1), scale(judgement["high"], WIDTH - 1)
    verdict = escape(judgement["verdict"].replace(" ", "-"), quote=True)
    parts = []
    if judgement["low"] is not None or judgement["high"] is not None:
        parts = [f'<line x1="{low}" x2="{high}" y1="{y}" y2="{y}"/>']
        parts.append(_end(low, y, 1) if judgement["low"] is None else _cap(low, y))
        parts.append(_end(high, y, -1) if judgement["high"] is None else _cap(high, y))
    parts.append(f'<circle cx="{scale(judgement["estimate"])}" cy="{y}" r="4"/>')
    return f'<g class="{verdict}">{"".join(parts)}</g>'


def _cap(x: float, y: float) -> str:
    return f'<line x1="{x}" x2="{x}" y1="{y - 4}" y2="{y + 4}"/>'


def _end(x: float, y: float, turn: int) -> str:
    """An arrowhead: there is no end."""
    return f'<path d="M {x + 5 * turn} {y - 4} L {x} {y} L {x + 5 * turn} {y + 4}"/>'


def _published(scale: _Scale, number: float, y: float) -> str:
    x = scale(number)
    if scale.holds(number):
        return f'<path class="published" d="M {x - 4.5} {y} l 4.5 -4.5 l 4.5 4.5 l -4.5 4.5 z"/>'
    turn = 1 if number > scale.high else -1
    x = WIDTH - 1 if turn > 0 else 1
    return f'<path class="published" d="M {x} {y} l {-8 * turn} -4.5 l 0 9 z"/>'


def _words(judgement: dict) -> str:
    ends = ["no end" if end is None else f"{end:.4g}" for end in (judgement["low"], judgement["high"])]
    interval = "" if ends == ["no end", "no end"] else f", interval {ends[0]} to {ends[1]}"
    return f"{judgement['estimate']:.4g}{interval}, needed {judgement['rule']}: {judgement['verdict']}"


def _said(published: float | None) -> str:
    return "" if published is None else f"published {published:.4g}"
