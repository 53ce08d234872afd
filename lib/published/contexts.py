"""What is found in published shares of right answers at contexts of several lengths.

Two shares are compared by Fisher's exact test, two-sided. It counts trials, so that shares without a number of trials,
and those that no whole number of right answers gives, are left out.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations

from scipy import stats

from lib.judging import proportion
from lib.published.accuracies import fits
from lib.published.figures import Column, Contexts
from lib.published.sentences import LEVEL, STARTS, Finding, finding, joined

FAR = 20.0
"""Percentage points by which two shares differ for the eye."""
SOURCE = {"text": "text", "stored": "store"}


@dataclass(frozen=True)
class Share:
    """Right answers among trials, of one arm at one length, and where they are from."""

    source: str
    table: Contexts
    arm: str
    length: int
    right: int

    @property
    def percent(self) -> float:
        return self.table.right[self.arm, self.length].value

    @property
    def described(self) -> str:
        about = [f"{SOURCE[self.source]}", self.table.name, *([self.table.format] if self.table.format else [])]
        about += [self.table.measured.precision] if self.table.measured.precision else []
        return f"{self.right} of {self.table.n} ({', '.join(about)})"


def of_contexts(columns: Mapping[str, Column]) -> Iterator[Finding]:
    """Everything that is found in the tables by length of the context, those of text and store together."""
    shares = [share for column in columns.values() for table in column.contexts for share in _shares(column, table)]
    free = [share for share in shares if share.table.choices is None]
    pairs = [(a, b) for a, b in combinations(free, 2) if a.table is not b.table and _place(a) == _place(b)]
    yield from _contradicting(pairs)
    yield from _few_trials(pairs)
    for column in columns.values():
        for table in column.contexts:
            yield from _guessing(column, table, [share for share in shares if share.table is table])


def fisher(one: Share, other: Share) -> float:
    """The two-sided p of two shares being the same."""
    counts = [[share.right, share.table.n - share.right] for share in (one, other)]
    return float(stats.fisher_exact(counts)[1])


def _shares(column: Column, table: Contexts) -> Iterator[Share]:
    for (arm, length), figure in table.right.items():
        numbers = fits(figure, table.n) if table.n else []
        if len(numbers) == 1:
            yield Share(column.name, table, arm, length, numbers[0])


def _place(share: Share) -> tuple[str, int]:
    return share.arm, share.length


def _contradicting(pairs: list[tuple[Share, Share]]) -> Iterator[Finding]:
    """Two tables of which one says that an arm answers at a length, and the other that it does not."""
    for one, other in pairs:
        p = fisher(one, other)
        if p < LEVEL:
            sentence = (
                f"Right answers under {one.arm} at {one.length} tokens are {one.described} and {other.described}. "
                f"That both are of one rate has p = {p:.2g} by Fisher's exact test."
            )
            what = f"right answers under {one.arm} at {one.length} tokens ({one.table.name}, {other.table.name})"
            yield finding("two tables", what, sentence, said=one.percent, held=other.percent)


def _few_trials(pairs: list[tuple[Share, Share]]) -> Iterator[Finding]:
    """Shares of one source that are far apart to the eye, and that so few trials cannot tell apart."""
    for source in dict.fromkeys(one.source for one, _ in pairs):
        found = {
            f"{one.arm} at {one.length} tokens, {one.table.name} and {other.table.name}": (one, other)
            for one, other in pairs
            if one.source == other.source == source
            and abs(one.percent - other.percent) >= FAR
            and fisher(one, other) >= LEVEL
        }
        if found:
            parts = (
                f"{a.right} of {a.table.n} and {b.right} of {b.table.n} ({where}; p = {fisher(a, b):.2g})"
                for where, (a, b) in found.items()
            )
            sentence = f"{STARTS[source]} right answers that so few trials cannot tell apart: {'; '.join(parts)}."
            said, held = ({where: pair[i].percent for where, pair in found.items()} for i in (0, 1))
            yield finding("few items", "right answers by length of the context", sentence, said=said, held=held)


def _guessing(column: Column, table: Contexts, shares: list[Share]) -> Iterator[Finding]:
    """Shares of right answers that guessing between the choices reaches as well."""
    if not table.choices:
        return
    chance = 100 / table.choices
    found = {
        f"{share.arm} at {share.length} tokens": share
        for share in shares
        if proportion(share.right, table.n).lower(LEVEL) <= chance
    }
    if found:
        parts = joined(f"{share.right} of {table.n} ({where})" for where, share in found.items())
        sentence = (
            f"{STARTS[column.name]} right answers that are not above guessing, {chance:.3g} % ({table.name}): {parts}."
        )
        said = {where: share.percent for where, share in found.items()}
        yield finding("guessing", f"right answers at chance ({table.name})", sentence, said=said, held=chance)
