"""One dot for every text or item, as inline SVG in the page's own colours."""

from collections.abc import Sequence
from html import escape

WIDTH, HEIGHT, EDGE = 480, 44, 12


def strip_plot(values: Sequence[float], limits: Sequence[float] = (), observations: str = "texts") -> str:
    """The values on one axis from the smallest to the largest, limits as lines, dots spread so that none hides."""
    numbers = [*values, *limits]
    low, high = min(numbers), max(numbers)
    span = high - low or 1.0

    def x(number: float) -> float:
        return round(EDGE + (number - low) / span * (WIDTH - 2 * EDGE), 1)

    dots = "".join(f'<circle cx="{x(v)}" cy="{8 + 5 * (i % 4)}" r="3"/>' for i, v in enumerate(values))
    lines = "".join(f'<line class="threshold" x1="{x(v)}" x2="{x(v)}" y1="0" y2="30"/>' for v in limits)
    alt = escape(f"{len(values)} {observations} from {min(values):.4g} to {max(values):.4g}")
    ends = (
        f'<text x="{EDGE}" y="{HEIGHT - 2}">{low:.4g}</text>'
        f'<text x="{WIDTH - EDGE}" y="{HEIGHT - 2}" text-anchor="end">{high:.4g}</text>'
    )
    return (
        f'<svg class="dots" role="img" aria-label="{alt}" viewBox="0 0 {WIDTH} {HEIGHT}"><title>{alt}</title>'
        f"{lines}{dots}{ends}</svg>"
    )
