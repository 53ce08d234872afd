"""The tasks that come with the harness, found by themselves: one file each.

A task is added with one file of this package that defines a function `task() -> Task`; there is no list to extend. The
file has the task's name. It makes at least 100 items in three wordings or more, and draws with `random.Random(NAME)`
and the functions of `lib.tasks.drawing`, so that every Python makes the same items; `tests/hashes.json` holds the hash
of them. docs/tasks.md shows such a file.
"""

import importlib
import pkgutil
from functools import cache
from types import ModuleType

import lib.tasks
from lib.tasks.items import Task


@cache
def names() -> tuple[str, ...]:
    """The names of all tasks, sorted."""
    return tuple(sorted(name for name, module in _modules().items() if _defines_task(module)))


@cache
def load(name: str) -> Task:
    """Make a task. Raises ValueError, one sentence, for a name that no task has, and for a file that is wrong."""
    if name not in names():
        raise ValueError(f"there is no task {name!r}: known are {', '.join(names())}")
    task = _modules()[name].task()
    if task.name != name:
        raise ValueError(f"the file {name}.py makes a task of the name {task.name!r}: call both the same")
    return task


def _modules() -> dict[str, ModuleType]:
    found = [module.name for module in pkgutil.iter_modules(lib.tasks.__path__) if not module.ispkg]
    return {name: importlib.import_module(f"{lib.tasks.__name__}.{name}") for name in found}


def _defines_task(module: ModuleType) -> bool:
    function = getattr(module, "task", None)
    return callable(function) and function.__module__ == module.__name__
