"""The threads of torch on the CPU: one for each physical core that this process may use, unless told otherwise."""

import os
from pathlib import Path

import torch

CPUS = Path("/sys/devices/system/cpu")


def use_threads(number: int | None = None) -> None:
    """Let torch compute in so many threads.

    Without a number it is OMP_NUM_THREADS where that is set, else the number of physical cores: two threads that share
    a core slow each other down. Where the system does not show its cores, the number stays that of torch.
    """
    if number is None and not os.environ.get("OMP_NUM_THREADS"):  # which torch has read
        number = physical_cores()
    if number is not None:
        torch.set_num_threads(number)


def physical_cores() -> int | None:
    """The number of physical cores that this process may use; None where the system does not show them.

    Logical cores of one physical core count once.
    """
    try:
        allowed = os.sched_getaffinity(0)
        return len({(CPUS / f"cpu{n}" / "topology" / "thread_siblings_list").read_text() for n in allowed})
    except (AttributeError, OSError):  # not Linux, or a container that hides them
        return None
