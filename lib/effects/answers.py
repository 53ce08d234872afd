"""Answers to the items of tasks with channels replaced: accuracy, and what of it is lost."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr

from lib.definitions import EDITED, OF_PROMPT
from lib.judging import Estimate, ItemMean, NoSubject, Proportion, item_mean, item_ratio, mean, proportion
from lib.records import label_of, trained_length

ABOVE_CHANCE = 0.05
"""A baseline whose accuracy chance would reach with this probability has nothing to lose that could be seen."""

POINTS = (-100.0, 0.0, 100.0)
"""Percentage points that an item can lose."""


@dataclass(frozen=True)
class Answers:
    """Answers of arms to the same items in several conditions. Reads records of `lib.measuring.tasks`.

    An answer is right if its choice is the most likely one; accuracies are shares of all items. `knowledge` is
    "contextual" or "parametric", and `edit` the condition whose channels are replaced.
    """

    records: Mapping[str, xr.Dataset]

    def label(self, arm: str) -> str:
        """The arm's name for readers."""
        return label_of(self.records[arm], arm)

    def tasks(self, knowledge: str | None = None) -> list[str]:
        """The names of the tasks whose answers are known so."""
        record = next(iter(self.records.values()))
        kinds = dict(zip(record["task"].values.tolist(), record["knowledge"].values.tolist(), strict=True))
        return [task for task, kind in kinds.items() if knowledge in (None, kind)]

    def right(self, arm: str, condition: str) -> np.ndarray:
        """Whether each item's right choice is the most likely one, as 0 or 1 [item]; where two are, it is not."""
        record = self.records[arm]
        likelihood = record["likelihood"].sel(condition=condition).values
        of_answer = np.take_along_axis(likelihood, record["answer"].values[:, None], 1)
        # NaN stands beyond the last choice of an item that has fewer than others
        return ((likelihood >= of_answer).sum(1) == 1).astype(float)

    def odds(self, arm: str, condition: str) -> np.ndarray:
        """Log-probability of each item's right choice among its choices [item], in nats: it never saturates."""
        record = self.records[arm]
        likelihood = record["likelihood"].sel(condition=condition).values
        of_answer = np.take_along_axis(likelihood, record["answer"].values[:, None], 1)[:, 0]
        return of_answer - np.logaddexp.reduce(np.where(np.isnan(likelihood), -np.inf, likelihood), axis=1)

    def written(self, arm: str, condition: str) -> np.ndarray:
        """Whether greedy decoding writes each item's right choice, as 0 or 1 [item]."""
        record = self.records[arm]
        found = record["written"].sel(condition=condition).values
        return np.take_along_axis(found, record["answer"].values[:, None], 1)[:, 0].astype(float)

    def unparsed(self, arm: str, condition: str) -> np.ndarray:
        """Whether greedy decoding writes none of an item's choices, as 0 or 1 [item]."""
        return 1.0 - self.records[arm]["written"].sel(condition=condition).values.any(1)

    def chance(self, arm: str) -> np.ndarray:
        """The accuracy of guessing each item [item]."""
        return 1 / self.records[arm]["choices"].values

    def among(
        self,
        arm: str,
        *,
        knowledge: str | None = None,
        task: str | None = None,
        length: float | None = None,
        depth: float | None = None,
    ) -> np.ndarray:
        """Which items ask for such knowledge, belong to this task, or hide a fact in so many sentences there [item]."""
        record = self.records[arm]
        wanted = np.ones(record.sizes["item"], dtype=bool)
        for name, value in (("knowledge", knowledge), ("task", task), ("length", length), ("depth", depth)):
            wanted &= True if value is None else record[name].values == value
        return wanted

    def conditions(self, arm: str) -> list[str]:
        """The conditions in which the arm was asked, in the order of ASKED."""
        return self.records[arm]["condition"].values.tolist()

    def hiding(self, arm: str) -> list[str]:
        """The tasks of which items hide a fact among sentences, at a length and a depth that are known."""
        return [task for task in self.tasks() if self.places(arm, task)]

    def places(self, arm: str, task: str) -> list[tuple[float, float]]:
        """Each length (sentences) and depth (0 to 1) at which items of a task hide a fact, in rising order."""
        record = self.records[arm]
        if "length" not in record or "depth" not in record:
            return []
        found = np.stack([record["length"].values, record["depth"].values], 1)[self.among(arm, task=task)]
        return sorted({(length, depth) for length, depth in found.tolist() if np.isfinite([length, depth]).all()})

    def tokens(self, arm: str, **which) -> float:
        """Tokens that are read before a choice, mean over such items (arguments of `among`)."""
        return float(self.records[arm]["tokens"].values[self.among(arm, **which)].mean())

    def trained_length(self, arm: str) -> int | None:
        """The number of tokens that the arm was trained to read at most; None if its record does not tell."""
        return trained_length(self.records[arm])

    def weights(self, arm: str, among: np.ndarray) -> np.ndarray:
        """Factors [item] of these items that make their mean one over tasks, in which each task counts the same."""
        _, code, sizes = np.unique(self.records[arm]["task"].values[among], return_inverse=True, return_counts=True)
        return len(code) / len(sizes) / sizes[code]

    def share_lost(self, arm: str, knowledge: str, edit: str) -> Estimate:
        """What replacing takes of the accuracy above chance, in percent: a ratio of means over tasks."""
        among = self.among(arm, knowledge=knowledge)
        before, after = self.right(arm, "baseline")[among], self.right(arm, edit)[among]
        tasks, chance = self.kinds(arm, knowledge), self._chance_of_tasks(arm, knowledge)
        possible = {task: [(b - a, b - guessed) for b in (0, 1) for a in (0, 1)] for task, guessed in chance.items()}
        return item_ratio(before - after, before - [chance[task] for task in tasks], tasks, possible)

    def points_lost(self, arm: str, knowledge: str, edit: str) -> ItemMean:
        """Percentage points of accuracy that replacing takes: the mean over tasks, in which each counts the same."""
        return item_mean(self._lost(arm, knowledge, edit), self.kinds(arm, knowledge), POINTS)

    def points_lost_more(self, first: str, second: str, knowledge: str, edit: str) -> ItemMean:
        """Percentage points that items lose in one arm, minus those that the same items lose in another arm."""
        lost = self._lost(first, knowledge, edit) - self._lost(second, knowledge, edit)
        return item_mean(lost, self.kinds(first, knowledge), POINTS)

    def nats_lost(self, arm: str, knowledge: str, edit: str) -> Estimate:
        """What replacing takes of the log-probability of the right choice among the choices, in nats, over tasks."""
        among = self.among(arm, knowledge=knowledge)
        lost = self.weights(arm, among) * (self.odds(arm, "baseline") - self.odds(arm, edit))[among]
        return mean(lost).by_kind(self.kinds(arm, knowledge))

    def in_nats(self, arm: str, edit: str, *knowledge: str) -> str:
        """The same in words, with 95 % intervals: accuracy saturates at both ends, and this does not."""
        lost = {kind: self.nats_lost(arm, kind, edit) for kind in knowledge}
        parts = [
            f"{of.value:.3g} [{of.lower(0.025):.3g}, {of.upper(0.025):.3g}] of {kind} items"
            for kind, of in lost.items()
        ]
        return f"nats that the right choice loses among the choices (95 %): {'; '.join(parts)}"

    def _lost(self, arm: str, knowledge: str, edit: str) -> np.ndarray:
        """Percentage points that an item loses [item]: -100, 0 or 100."""
        lost = 100 * (self.right(arm, "baseline") - self.right(arm, edit))
        return lost[self.among(arm, knowledge=knowledge)]

    def _chance_of_tasks(self, arm: str, knowledge: str) -> dict[str, float]:
        chance = self.chance(arm)
        return {task: float(chance[self.among(arm, task=task)].mean()) for task in self.tasks(knowledge)}

    def accuracy(self, arm: str, condition: str, **which: str | float) -> Proportion:
        """The share of such items (arguments of `among`) that are answered rightly. Raises ValueError for none."""
        right = self.right(arm, condition)[self.among(arm, **which)]
        return proportion(int(right.sum()), len(right))

    def exact(self, arm: str, condition: str, task: str) -> Proportion:
        """The share of a task's items whose answer greedy decoding writes; what it writes else counts as wrong."""
        written = self.written(arm, condition)[self.among(arm, task=task)]
        return proportion(int(written.sum()), len(written))

    def kinds(self, arm: str, knowledge: str) -> list[str]:
        """The task of each of these items [item]."""
        return self.records[arm]["task"].values[self.among(arm, knowledge=knowledge)].tolist()

    def need(self, arm: str, edit: str, *knowledge: str, task: str | None = None) -> None:
        """Raise NoSubject unless the edit was made, and the arm answers such items, or this task's, better than chance.

        In the mean over tasks, that is; a task at chance among others that are not has nothing to lose, and counts.
        """
        if edit not in self.records[arm]["condition"].values:
            if self.records[arm].attrs["where"] != "prompt":
                raise NoSubject("the channels of a prompt are put to their mean over it only while it is read")
            raise NoSubject("the channels of a prompt cannot be replaced in this architecture")
        if edit not in OF_PROMPT and not any(self.records[arm][f"{name}_replaced"].values.any() for name in EDITED):
            raise NoSubject(
                f"no layer of {self.label(arm)} has a massive query or key channel: no channel was replaced"
            )
        for kind in knowledge:
            if not self.tasks(kind):
                raise NoSubject(f"no task that asks for {kind} knowledge was given")
            self._need_above_chance(arm, f"{kind} tasks", self.among(arm, knowledge=kind))
        if task:
            if task not in self.tasks():
                raise NoSubject(f"the task {task} was not given")
            self._need_above_chance(arm, f"the task {task}", self.among(arm, task=task))

    def _need_above_chance(self, arm: str, what: str, among: np.ndarray) -> None:
        above = self.weights(arm, among) * (self.right(arm, "baseline") - self.chance(arm))[among]
        tasks = self.records[arm]["task"].values[among].tolist()
        # where nearly all answers are right, most samples that are drawn again have no spread: Student's bound stands
        if mean(above).by_kind(tasks).if_normal.lower(ABOVE_CHANCE) <= 0:
            accuracy = 100 * (above.mean() + self.weights(arm, among) @ self.chance(arm)[among] / len(above))
            raise NoSubject(
                f"of {len(above)} items of {what} the {arm} arm answers {accuracy:.3g} % rightly, which may be chance: "
                "nothing can be lost"
            )
