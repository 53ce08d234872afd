"""A forest plot as inline SVG: intervals on one axis, with the threshold and the published figure; and its key.

Colours are the page's own (`lib/page.css`), so that a plot follows the reader's theme.
"""

from collections.abc import Sequence
from html import escape

from lib.reporting import measured

WIDTH, ROW, AXIS = 240, 16, 15
EDGE = 10
"""Pixels left and right of the axis' ends, for arrows."""
REACH = 3
"""A published figure further away than so many spans of all the rest is an arrow at the edge."""
LEAST = 1e-300
"""Numbers that differ by less are drawn in one place: a part of the difference is no number any more."""
LETTER, LONGEST = 6.2, 34
"""Pixels that a letter of a row's label takes, and letters of the longest label; a longer one is cut."""
KEY = {
    "threshold (dashed), and the side of it that is needed (shaded)": (
        '<rect class="needed" x="22" y="0" width="22" height="16"/>'
        '<line class="threshold" x1="22" x2="22" y1="0" y2="16"/>'
    ),
    "estimate and interval, supported": "supported",
    "refuted": "refuted",
    "inconclusive, or open in a smoke run": "inconclusive",
    "an interval without an end": (
        '<g class="inconclusive"><line x1="1" x2="40" y1="8" y2="8"/>'
        '<line x1="40" x2="40" y1="4" y2="12"/><path d="M 6 4 L 1 8 L 6 12"/><circle cx="22" cy="8" r="4"/></g>'
    ),
    "published figure": '<path class="published" d="M 17.5 8 l 4.5 -4.5 l 4.5 4.5 l -4.5 4.5 z"/>',
    "published figure, too far away to be drawn": '<path class="published" d="M 43 8 l -8 -4.5 l 0 9 z"/>',
}
"""What the marks of a plot mean, and how each is drawn; a word alone is an interval with that verdict."""


def forest(
    judgements: Sequence[dict], *, published: float | None = None, label: str = "", rows: Sequence[str] = ()
) -> str:
    """Estimates and one-sided bounds of one claim, one row for each of `judgements` (`Judgement.as_dict()`).

    All must be of the same rule and unit. An interval without an end, and a figure out of range, end in an arrow.
    Returns "" when nothing was estimated. `label` comes first in the text that stands for the picture. With `rows`, a
    name for each judgement, names stand left of the plot and figures with their verdicts right of it.
    """
    names = rows or [""] * len(judgements)
    drawn = [(j, name) for j, name in zip(judgements, names, strict=True) if j["estimate"] is not None]
    if not drawn:
        return ""
    first, limits = drawn[0][0], drawn[0][0]["limits"]
    scale = _Scale([*limits, *(x for j, _ in drawn for x in (j["estimate"], j["low"], j["high"]) if x is not None)])
    scale.widen_for(published)
    height = ROW * len(drawn) + AXIS
    parts = [_needed(scale, first, height), *(_threshold(scale, limit, height) for limit in limits)]
    parts += [_interval(scale, judgement, _middle(row)) for row, (judgement, _) in enumerate(drawn)]
    if published is not None:
        parts.append(_published(scale, published, height - AXIS - 5))
    alt = escape(
        "; ".join(filter(None, (label, *(_words(j, n) for j, n in drawn), _published_in_words(published)))), quote=True
    )
    content, width = _named("".join(parts), drawn) if rows else ("".join(parts), WIDTH)
    return (
        f'<svg class="forest" role="img" aria-label="{alt}" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}"><title>{alt}</title>{content}</svg>'
    )


def key() -> str:
    """What the marks of a plot mean, as a list of drawn marks with their words."""
    return f'<ul class="key">{"".join(_mark(*item) for item in KEY.items())}</ul>'


def _mark(words: str, mark: str) -> str:
    ends = "".join(_cap(x, 8) for x in (6, 38))
    interval = f'<g class="{mark}"><line x1="6" x2="38" y1="8" y2="8"/>{ends}<circle cx="22" cy="8" r="4"/></g>'
    drawing = mark if mark.startswith("<") else interval
    return f'<li><svg class="forest" viewBox="0 0 44 16" width="44" height="16">{drawing}</svg> {words}</li>'


def _named(plot: str, drawn: Sequence[tuple[dict, str]]) -> tuple[str, int]:
    """The plot between the names of its rows and their figures, and how wide all that is."""
    names = [name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}\u2026" for _, name in drawn]
    figures = [f"{measured(judgement)} {judgement['verdict']}" for judgement, _ in drawn]
    left, right = (round(max(map(len, words)) * LETTER) + 8 for words in (names, figures))
    texts = "".join(
        f'<text x="0" y="{_middle(row) + 4}">{escape(name)}</text>'
        f'<text x="{left + WIDTH + 8}" y="{_middle(row) + 4}">{escape(figure)}</text>'
        for row, (name, figure) in enumerate(zip(names, figures, strict=True))
    )
    return f'{texts}<g class="plot" transform="translate({left} 0)">{plot}</g>', left + WIDTH + right


def _middle(row: int) -> float:
    return ROW * row + ROW / 2


class _Scale:
    """Where a number lies on the axis, in pixels."""

    def __init__(self, numbers: Sequence[float]):
        self.low, self.high = min(numbers), max(numbers)
        span = next((of for of in (self.high - self.low, abs(self.low)) if of > LEAST), 1.0)
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
    limits, kind = judgement["limits"], judgement["rule"].partition(" ")[0]
    if not limits:
        return ""
    below, above = (0, scale(limits[0])), (scale(limits[-1]), WIDTH)
    if kind == "outside":
        shaded = [below, above]
    elif kind == "in":
        shaded = [(below[1], above[0])]
    else:
        shaded = [below if kind in ("<=", "<") else above]
    return "".join(
        f'<rect class="needed" x="{left}" y="0" width="{right - left:.1f}" height="{height - AXIS}"/>'
        for left, right in shaded
    )


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


def _words(judgement: dict, name: str) -> str:
    ends = ["no end" if end is None else f"{end:.4g}" for end in (judgement["low"], judgement["high"])]
    interval = "" if ends == ["no end", "no end"] else f", interval {ends[0]} to {ends[1]}"
    start = f"{name}: " if name else ""
    return f"{start}{judgement['estimate']:.4g}{interval}, needed {judgement['rule']}: {judgement['verdict']}"


def _published_in_words(published: float | None) -> str:
    return "" if published is None else f"published {published:.4g}"
