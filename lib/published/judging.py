"""Judging published figures: with a spread like measurements; without one a figure can contradict, and support nothing."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from lib.judging import Assessment, Estimate, Judge, Judgement, Mean, Trend, Variation, mean
from lib.published.figures import NotPublished

CONTRADICTS = "the figure itself contradicts it; no spread over texts is published"
MEETS = "the figure meets it as it stands, but no spread over texts is published: one figure supports nothing"


class Stated(Assessment):
    """An estimate that is one published figure, waiting for its rule: refuted by it as stated, or inconclusive."""

    def _decided(
        self, base: Judgement, supported: Callable[[float], bool], refuted: Callable[[float], bool]
    ) -> Judgement:
        found = replace(base, n=1, reason=MEETS)
        # both bounds of a number without spread are that number
        return replace(found, verdict="refuted", reason=CONTRADICTS) if refuted(self.alpha) else found


class FigureJudge(Judge):
    """Judges an equivalent sample like a measured one, and a figure without a spread as it stands."""

    def part(self, values: Sequence[float] | Estimate, *, of: int = 1, **options) -> Assessment:
        if not isinstance(values, (Mean, Variation, Trend)):
            if any(value != value for value in values):  # NaN stands for layers of which nothing is published
                raise NotPublished("counts are published for layer 1 alone")
            values = mean(values)
        if values.fewest > 1:
            return super().part(values, of=of, **options)
        if isinstance(values, Variation):
            raise NotPublished("no spread over texts is published")
        return Stated(values, alpha=self.alpha, parts=of, **options)
