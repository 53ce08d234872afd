"""The texts behind a subject: their kinds, and how many different measurements it rests on.

Equal numbers are several findings, or one that is repeated: only what was measured can tell.
"""

from collections.abc import Iterator

import xarray as xr

from lib.definitions import NAMES
from lib.effects.answers import Answers
from lib.effects.counts import MassiveValues
from lib.effects.losses import Losses
from lib.effects.recovery import Recovery
from lib.effects.sinks import Sinks
from lib.effects.stream import Stream
from lib.effects.trajectory import Trajectory

MEASURED = (*(f"{name}_norm" for name in NAMES), "nll", "token_nll", "first_share")
"""What is measured of every text: channel norms, losses, and attention to the first position."""


def distinct_measurements(*subjects: object) -> int:
    """The number of different measurements of texts behind subjects: of the record that has the fewest.

    Two texts count as one where all their channel norms or all their losses are equal to the last bit: another text
    never gives that, and the same text measured again does. 1 for subjects without records, of which nothing is known.
    """
    return min((_different(record) for subject in subjects for record in _records(subject)), default=1)


def observed(*subjects: object) -> str:
    """What the numbers of a claim about these subjects are of: "items" of tasks, or "texts"."""
    return "items" if any(isinstance(subject, Answers) for subject in subjects) else "texts"


def kinds_of_texts(*subjects: object) -> tuple[str, ...]:
    """The kind of each text behind subjects, in order; () if no record tells."""
    record = next((record for subject in subjects for record in _records(subject) if "kind" in record), None)
    return () if record is None else tuple(record["kind"].values.tolist())


def _records(subject: object) -> Iterator[xr.Dataset]:
    if isinstance(subject, Trajectory):
        for part in filter(None, (subject.start, *subject.values, *subject.disruptions)):
            yield from part.records.values()
    elif isinstance(subject, (Answers, MassiveValues, Losses, Recovery, Sinks, Stream)):
        yield from subject.records.values()


def _different(record: xr.Dataset) -> int:
    """The number of different texts in the measured quantity that has the fewest; see `_different_items` for items."""
    if "item" in record.dims:
        return _different_items(record)
    measured = [record[name].transpose("text", ...).values for name in MEASURED if name in record]
    return min((len({of_text.tobytes() for of_text in values}) for values in measured), default=1)


def _different_items(record: xr.Dataset) -> int:
    """The number of different items in the task that has the fewest, of those tasks that repeat some.

    A small task without repeated ones says nothing of a large one: then it is the number of items of the largest.
    """
    sizes = [(len({item.tobytes() for item in of.values}), len(of)) for _, of in record["likelihood"].groupby("task")]
    repeating = [different for different, size in sizes if different < size]
    return min(repeating, default=max(size for _, size in sizes))
