"""The rules of `lib.verdicts` for a published figure without a spread: it can contradict a claim, and support none."""

from collections.abc import Callable
from dataclasses import replace

from lib.judging.verdicts import Assessment, Judgement

CONTRADICTS = "the figure itself contradicts it; no spread over texts is published"
MEETS = "the figure meets it as it stands, but no spread over texts is published: one figure supports nothing"


class Stated(Assessment):
    """An estimate that is one published figure, waiting for its rule: refuted by it as stated, or inconclusive."""

    def _judge(
        self, base: Judgement, supported: Callable[[float], bool], refuted: Callable[[float], bool]
    ) -> Judgement:
        found = replace(base, n=1, reason=MEETS)
        # both bounds of a number without spread are that number
        return replace(found, verdict="refuted", reason=CONTRADICTS) if refuted(self.alpha) else found
