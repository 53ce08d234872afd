"""Signals that ask a process to end: the first one is heard, and later ones do not disturb what it starts."""

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager


@contextmanager
def heard(names: Sequence[str], stop: Callable[[int], object]) -> Iterator[None]:
    """Within the block, the first of these signals calls `stop` with its number, which raises.

    Later ones are passed over, but for a second Ctrl-C. A signal that was passed over before, as nohup has it of
    SIGHUP, stays so, and one that the system does not have is left out.
    """
    before = {number: signal.getsignal(number) for name in names if (number := getattr(signal, name, None))}
    numbers = [number for number, handler in before.items() if handler not in (signal.SIG_IGN, None)]

    def first(number: int, _frame: object) -> None:
        for other in numbers:
            signal.signal(other, signal.SIG_DFL if other == signal.SIGINT else signal.SIG_IGN)
        stop(number)

    for number in numbers:
        signal.signal(number, first)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, before[number])
