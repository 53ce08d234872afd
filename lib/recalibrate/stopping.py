"""Signals that ask a process to end, as an exception: what is half-written is removed, and one sentence is said."""

import signal
from contextlib import AbstractContextManager

from lib.definitions import heard


class Stopped(KeyboardInterrupt):
    """The process was asked to end by the signal `number`. Libraries let it pass, as they do KeyboardInterrupt."""

    def __init__(self, number: int):
        super().__init__(signal.Signals(number).name)
        self.number = number


def stoppable() -> AbstractContextManager[None]:
    """Within the block, the first such signal raises Stopped."""
    return heard(("SIGINT", "SIGTERM", "SIGHUP"), _stop)


def _stop(number: int) -> None:
    raise Stopped(number)
