"""Time two sides in turn, so that any other load of the machine affects both."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Ratio:
    """CPU time of one side over that of the other: median and quartiles over rounds."""

    median: float
    low: float
    high: float
    rounds: int

    def __str__(self) -> str:
        return f"{self.median:.3f} ({self.low:.3f} to {self.high:.3f})"


def alternate(benchmark, ours: Callable[[], object], other: Callable[[], object], *, rounds: int) -> list[Ratio]:
    """Run `other` and `ours` in turn and return the ratios ours / other and other / ours.

    Each round gives one ratio of neighbouring runs. The benchmark's own table shows `ours`. One round warms up.
    """
    times = []

    def run_other() -> None:
        start = time.process_time()
        other()
        times.append(time.process_time() - start)

    benchmark.pedantic(ours, setup=run_other, rounds=rounds, warmup_rounds=1)
    pairs = list(zip(benchmark.stats.stats.data, times[-rounds:], strict=True))
    return [_ratio([a / b for a, b in pairs]), _ratio([b / a for a, b in pairs])]


def _ratio(rounds: list[float]) -> Ratio:
    low, median, high = statistics.quantiles(rounds, n=4, method="inclusive")
    return Ratio(median, low, high, len(rounds))
