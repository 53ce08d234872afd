"""Judging published figures: like measurements with a spread over texts; without one, a figure can only refute."""

from collections.abc import Sequence
from dataclasses import replace

from lib.judging import Assessment, Estimate, Judge, Judgement, Rule, TypicalVariation, mean
from lib.published.figures import NotPublished

CONTRADICTS = "the figure itself contradicts it; no spread over texts is published"
MEETS = "the figure meets it as it stands, but no spread over texts is published: one figure supports nothing"


class Stated(Assessment):
    """One published figure, waiting for its rule: refuted by the figure as stated, or inconclusive."""

    def _decided(self, base: Judgement, rule: Rule) -> Judgement:
        value = self.estimate.value
        if rule.refuted(value, value):
            return replace(base, verdict="refuted", n=1, reason=CONTRADICTS)
        return replace(base, n=1, reason=MEETS)


class FigureJudge(Judge):
    """Judges an equivalent sample like a measured one, and a figure without a spread (or one of 0) as it stands.

    Of an equivalent sample the mean and the deviation alone are known, so that its texts are taken to be normal.
    """

    def part(self, values: Sequence[float] | Estimate, *, of: int = 1, **options) -> Assessment:
        if not isinstance(values, Estimate):
            if any(value != value for value in values):  # NaN stands for layers without a figure
                raise NotPublished("counts are published for layer 1 alone")
            values = mean(values)
        if values.fewest > 1 and not values.constant:
            return super().part(values.if_normal, of=of, **options)
        if isinstance(values, TypicalVariation) and values.fewest == 1:
            raise NotPublished("no spread over texts is published")
        return Stated(values, alpha=self.alpha, parts=of, **options)
