"""Published accuracies in the place of answers to items: they answer claims like `lib.effects.Answers`.

Where the number of items and the right answers among them follow from what is published, claims are judged on
*equivalent items*: as many right answers as were published, and as nearly uncorrelated between conditions and arms as
whole items allow, for no study publishes which items were right. All else is one figure, n = 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

import numpy as np

from lib.definitions import ARMS, ASKED
from lib.effects import POINTS, Answers
from lib.judging import Estimate, ItemMean, NoSubject, item_mean, item_ratio, mean, proportion, ratio
from lib.published.accuracies import REPLACED, right
from lib.published.figures import GIVES, Column, Figure, NotPublished, Task, TaskTable, unanswered


@dataclass(frozen=True)
class PublishedAnswers:
    """The first table of accuracies of one column: see `lib.effects.Answers`. Raises NotPublished for what it lacks."""

    column: Column

    def need(self, arm: str, edit: str, *knowledge: str, task: str | None = None) -> None:
        """Raise NoSubject where what is given is not above chance; where chance is not known, nobody can tell."""
        for tasks in [self._of(kind) for kind in knowledge] + ([[task]] if task else []):
            for name in tasks:
                self._accuracy(arm, name, edit)
            if all(self._guessed(name) is not None for name in tasks):
                before, chance = self._mean(arm, tasks, "baseline"), np.mean([self._guessed(name) for name in tasks])
                if before <= chance:
                    raise NoSubject(
                        f"of {' and '.join(tasks)} the {arm} arm answers {before:.3g} % rightly, which is not above "
                        "chance: nothing can be lost"
                    )

    def share_lost(self, arm: str, knowledge: str, edit: str) -> Estimate:
        """What replacing takes of the accuracy above chance, in percent: a ratio of means over tasks."""
        tasks = self._of(knowledge)
        for name in tasks:
            if self._guessed(name) is None:
                raise NotPublished(
                    f"{self._gives} accuracies on {name} in which an answer that is no choice counts as wrong: what "
                    "guessing would reach is not known"
                )
        lost, kinds = self._lost(arm, knowledge, edit), self.kinds(arm, knowledge)
        chance = {name: self._guessed(name) for name in tasks}
        if not self._by_item(knowledge):
            return ratio(lost, [self._mean(arm, tasks, "baseline") - np.mean([*chance.values()])])
        above = np.concatenate([100 * self._items(arm, name, "baseline") - chance[name] for name in tasks])
        possible = {name: [(100 * (b - a), 100 * b - chance[name]) for b in (0, 1) for a in (0, 1)] for name in tasks}
        return item_ratio(lost, above, kinds, possible)

    def points_lost(self, arm: str, knowledge: str, edit: str) -> ItemMean:
        """Percentage points of accuracy that replacing takes, mean over tasks: of equivalent items, or one figure."""
        return item_mean(self._lost(arm, knowledge, edit), self.kinds(arm, knowledge), POINTS)

    def points_lost_more(self, first: str, second: str, knowledge: str, edit: str) -> ItemMean:
        """Percentage points that are lost in one arm, minus those in another arm."""
        lost = self._lost(first, knowledge, edit) - self._lost(second, knowledge, edit)
        return item_mean(lost, self.kinds(first, knowledge), POINTS)

    def in_nats(self, arm: str, edit: str, *knowledge: str) -> str:
        """Nothing: accuracies alone were published."""
        return ""

    def _lost(self, arm: str, knowledge: str, edit: str) -> np.ndarray:
        """Percentage points of accuracy that replacing takes [item]; or [1]."""
        tasks = self._of(knowledge)
        if not self._by_item(knowledge):
            return np.array([self._mean(arm, tasks, "baseline") - self._mean(arm, tasks, edit)])
        return np.concatenate([100 * (self._items(arm, n, "baseline") - self._items(arm, n, edit)) for n in tasks])

    def exact(self, arm: str, condition: str, task: str) -> Estimate:
        """The share of a task's items that are answered rightly."""
        accuracy = self._accuracy(arm, task, condition)
        found = right(accuracy, self._task(task))
        return mean([accuracy.value]) if found is None else proportion(found, self._task(task).n)

    def kinds(self, arm: str, knowledge: str) -> list[str]:
        """The task of each item; or the knowledge of the one figure."""
        if not self._by_item(knowledge):
            return [knowledge]
        return [name for name in self._of(knowledge) for _ in range(self._task(name).n)]

    def _of(self, knowledge: str) -> list[str]:
        if not (tasks := self._table.of(knowledge)):
            raise NotPublished(f"{self._gives} no accuracy on {knowledge} tasks")
        return tasks

    def _task(self, name: str) -> Task:
        if name not in self._table.tasks:
            raise NotPublished(f"{self._gives} no accuracy on the task {name}")
        return self._table.tasks[name]

    def _accuracy(self, arm: str, task: str, condition: str) -> Figure:
        self._task(task)
        if (accuracy := self._table.figures.get(("accuracy", arm, task, condition))) is None:
            raise NotPublished(f"{self._gives} no accuracy on {task} for the {arm} arm {REPLACED[condition]}")
        return accuracy

    def _mean(self, arm: str, tasks: Sequence[str], condition: str) -> float:
        return float(np.mean([self._accuracy(arm, name, condition).value for name in tasks]))

    def _guessed(self, name: str) -> float | None:
        """What guessing reaches, in percent: nothing where the answer is free; None if an answer may be no choice."""
        task = self._task(name)
        if task.choices is None:
            return 0.0
        return None if task.unparsed == "wrong" else 100 / task.choices

    def _by_item(self, knowledge: str) -> bool:
        """Is the number of right answers known, of every accuracy on such tasks?"""
        return all(right(a, self._task(name)) is not None for name in self._of(knowledge) for a in self._given(name))

    def _given(self, task: str) -> list[Figure]:
        """The accuracies on a task that the table gives, arm by arm."""
        meanings = [("accuracy", arm, task, condition) for arm in ARMS for condition in ASKED]
        return [self._table.figures[meaning] for meaning in meanings if meaning in self._table.figures]

    def _items(self, arm: str, task: str, condition: str) -> np.ndarray:
        """Whether each equivalent item is answered rightly, as 0 or 1 [item]."""
        given = self._given(task)
        answers = uncorrelated([right(accuracy, self._task(task)) for accuracy in given], self._task(task).n)
        wanted = self._accuracy(arm, task, condition)
        return answers[[accuracy is wanted for accuracy in given].index(True)]

    @property
    def _table(self) -> TaskTable:
        if not self.column.tasks:
            raise NotPublished(f"{self._gives} no accuracy on a task")
        return self.column.tasks[0]

    @property
    def _gives(self) -> str:
        return GIVES[self.column.name]

    def __getattr__(self, name: str) -> NoReturn:
        unanswered(self, Answers, name)


def uncorrelated(rights: Sequence[int], n: int) -> np.ndarray:
    """Answers to `n` items as 0 or 1 [series, item], with so many right in each series.

    Items with the same answers in all earlier series get right answers at equal distances, so that two series share as
    many right answers as chance would give them, but for a rounding of two items at most.
    """
    series: list[np.ndarray] = []
    steps = np.arange(n + 1)
    for number in rights:
        order = np.lexsort(series) if series else steps[:n]
        row = np.zeros(n)
        row[order] = np.diff(steps * number // n)
        series.append(row)
    return np.array(series)
