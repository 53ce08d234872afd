"""The records of a session: read from disk, or measured while each model is loaded once."""

import hashlib
import json
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Protocol

import numpy as np
import torch
import xarray as xr
from filelock import FileLock, Timeout

from lib import records
from lib.checkpoints import identity, tokenizer_identity
from lib.definitions import RESCALED, ROTATING, is_here
from lib.measuring.alike import Profiles
from lib.measuring.arms import Arms
from lib.measuring.experiments import EXPERIMENTS, Given
from lib.measuring.keeping import Measure
from lib.measuring.numerics import numerics
from lib.measuring.scoring import gain_of_bos
from lib.models import (
    Arm,
    CannotChange,
    bos_id,
    check_rescaling,
    default_dtype,
    embedding_rows,
    signature,
    tokenize,
    tokenizer_facts,
)
from lib.probing import CannotRead
from lib.records import Unusable, profile_of, sites_of, unreadable_of
from lib.settings import Settings
from lib.tasks import Item, Task
from lib.texts import Text

RESPONSE = 0.01
"""A rotating arm's logits must change by at least 1 % of their standard deviation when positions are stretched."""
BOS = {None: "as it is", True: "added", False: "left out"}
UNMEASURABLE = (ValueError, torch.OutOfMemoryError, MemoryError)


class NotKept(ValueError):
    """A record was measured and cannot be written."""


class Elsewhere(Unusable):
    """An arm that this run does not measure: others do."""


class Progress(Protocol):
    """Shows the progress of a run."""

    def say(self, line: str) -> None: ...

    def loading(self, arm: str, name: str, load: Callable[[], Arm]) -> Arm: ...

    def measuring(self, arm: str, experiment: str, texts: int) -> AbstractContextManager[Callable[[float], None]]: ...


class Recorder:
    """Provides the record of an experiment on an arm: from memory, from disk, or by measuring it.

    `experiments` are run on the arms that are compared, as far as their rows say (`lib.measuring.experiments`), and
    experiment 1 at the `sites` as well.
    `faults` holds an error for every arm that cannot be measured although others can.
    """

    def __init__(
        self,
        settings: Settings,
        arms: Arms,
        experiments: tuple[str, ...],
        progress: Progress,
        sites: Sequence[str] = (),
    ):
        self.settings, self.arms, self.experiments, self.progress = settings, arms, experiments, progress
        self.at_sites = tuple(settings.named("norms", site) for site in sites)
        self.texts = settings.selected().texts
        self.tasks: tuple[Task, ...] = settings.asked if "tasks" in experiments else ()
        self.taken: dict[tuple[str, str], xr.Dataset] = {}
        self.faults: dict[str, Exception] = {arm: Unusable(fault) for arm, fault in settings.faults.items()}
        self.profiles = Profiles(settings, self.texts, self._on_disk, self._fault)

    def record(self, arm: str, experiment: str, site: str | None = None) -> xr.Dataset:
        """The record, at the arm's site in this run unless another site is asked for.

        Raises ValueError, one sentence, if it cannot be read or measured; Unusable if the run can go on without it.
        """
        experiment = self.settings.named(experiment, site or self.settings.site_of(arm))
        if arm in self.faults:
            raise Unusable(str(self.faults[arm])) from self.faults[arm]
        if not self.settings.is_measured(arm) and not self._is_on_disk(arm, experiment):
            raise Elsewhere(f"the {arm} arm is measured by another run")
        try:
            if (arm, experiment) not in self.taken and not self._refused(arm, experiment):
                self._take_all(arm, experiment)
            if reason := self._refused(arm, experiment):
                raise Unusable(reason) from CannotRead(reason)
            return self.taken[arm, experiment]
        except UNMEASURABLE as error:
            self._fault(arm, error)
            raise Unusable(str(self.faults[arm])) from error

    def _is_on_disk(self, arm: str, experiment: str) -> bool:
        """Is there a record that another run has measured? It is kept, and so are those before it."""
        for e in dict.fromkeys(("norms", *_after(experiment), experiment)):
            if (arm, e) in self.taken:
                continue
            try:
                self._keep(arm, e, records.find(self.settings.records, self._wanted(arm, e, exact=True)))
            except (records.NoRecord, records.BrokenRecord):
                return False
        return True

    def paths(self) -> dict[str, dict[str, str]]:
        """The files of the records of this run, {arm: {experiment: file}}."""
        files: dict[str, dict[str, str]] = {}
        for (arm, experiment), record in self.taken.items():
            files.setdefault(arm, {})[experiment] = str(record.encoding["source"])
        return files

    def failures(self) -> dict[str, str]:
        """The errors of arms that failed, without architectures whose rotation cannot be changed: they did not fail."""
        return {arm: str(error) for arm, error in self.faults.items() if not cannot_be_made(error)}

    def _fault(self, arm: str, error: Exception) -> None:
        """Free the arm and keep its error; raise the error if nothing can be judged without this arm."""
        self.arms.free()
        if not isinstance(error, ValueError):
            error = ValueError("memory is too small even for one row: try load_in_4bit=True or fewer --max-tokens")
        if arm in self.settings.essential or isinstance(error, NotKept):
            raise error
        self.faults[arm] = error

    def _take_all(self, arm: str, experiment: str) -> None:
        if self.settings.replay:
            # the norms tell whether the others can have been made
            for e in dict.fromkeys((*_after(experiment), experiment)):
                if (arm, e) not in self.taken and self._can_be_made(arm, e):
                    self._keep(arm, e, self._replay(arm, e))
            self._replay_along(arm)
            return
        # a library's warning about a GPU or a checkpoint must not end hours of measuring
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            elsewhere = arm not in self._compared() and "@" in experiment  # not needed at the run's own site
            wanted = [*([] if elsewhere else ["norms"]), *self._asked_of(arm), experiment]
            self._measure_missing(arm, tuple(dict.fromkeys(e for each in wanted for e in (*_after(each), each))))

    def _compared(self) -> tuple[str, ...]:
        return ("rope", *self.settings.checkpoints)

    def _asked_of(self, arm: str) -> list[str]:
        """The experiments to run on an arm under one load."""
        # an arm that is none of those compared is asked what its row names it for, under the same load
        asked = [e for e in self.experiments if arm in self._compared() or arm in EXPERIMENTS[e].only_on]
        return [*(e for e in asked if arm in (EXPERIMENTS[e].only_on or (arm,))), *self._along(arm)]

    def _along(self, arm: str) -> tuple[str, ...]:
        """Experiment 1 at other sites, for the counts of arms that are compared; a rescaled arm is read at one."""
        return () if arm in RESCALED else self.at_sites

    def _replay_along(self, arm: str) -> None:
        """Take what a run measures along with an arm, as far as there are records of it."""
        for experiment in self._along(arm):
            if (arm, experiment) not in self.taken:
                try:
                    self._keep(arm, experiment, self._replay(arm, experiment))
                except ValueError as error:
                    if not isinstance(error.__cause__, records.NoRecord):
                        raise

    def _replay(self, arm: str, experiment: str) -> xr.Dataset:
        args, device = self.settings.arms[arm], self.settings.device
        absent = device != "cpu" and not torch.cuda.is_available()  # records of a GPU are judged without one, too
        here = {"numerics": None if absent else numerics(args, device), "code": records.code_version()}
        try:
            return records.search(self.settings.records, self._wanted(arm, experiment, exact=False), here)
        except (records.NoRecord, records.BrokenRecord) as error:
            if arm in RESCALED and isinstance(error, records.NoRecord):
                self._check_rescaling(args.rope)  # if it cannot be rescaled, no record is missing
            raise ValueError(f"--replay, {arm} arm ({args.name}): {error}") from error

    def _check_rescaling(self, rope: str) -> None:
        try:
            check_rescaling(records.provenance_of(self.record("rope", "norms"))["config"], rope)
        except CannotChange:
            raise
        except Exception:  # a config in a record of somebody else's may hold anything: then nothing is known
            return

    def _measure_missing(self, arm: str, experiments: tuple[str, ...]) -> None:
        """Read or measure every experiment on the arm while its model is loaded once, then free the model."""
        every = {e: self._wanted(arm, e, exact=True) for e in experiments}
        try:
            for experiment, wanted in every.items():
                if self._can_be_made(arm, experiment):
                    self._keep(arm, experiment, records.find(self.settings.records, wanted))
        except (records.NoRecord, records.BrokenRecord):
            with self._alone(self._lock_of(every)):
                self._find_or_take(arm, every)
            self.arms.free()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Within the block, a record that cannot be written ends the run: the next one could not be, either."""
        try:
            yield
        except OSError as error:
            reason = error.strerror or error
            raise NotKept(f"records cannot be written to {self.settings.records}: {reason}") from error

    def _can_be_made(self, arm: str, experiment: str) -> bool:
        """Does the arm's model show what this experiment reads? True if unknown, before its first record."""
        _, _, site = experiment.partition("@")
        has_site = not site or (arm, "norms") not in self.taken or site in sites_of(self.taken[arm, "norms"])
        return has_site and not self._refused(arm, experiment)

    def _refused(self, arm: str, experiment: str) -> str:
        """Why the arm's model or its texts do not allow an experiment, as far as is known without the model."""
        norms, name = self.taken.get((arm, "norms")), _plain(experiment)
        unreadable = {} if norms is None else unreadable_of(norms)
        return EXPERIMENTS[name].refused(name, unreadable, self.settings.max_tokens)

    def _lock_of(self, every: dict[str, dict]) -> str:
        """One lock for all, so that two runs do not share a memory; workers of a sweep have what they need."""
        if self.settings.measure is None:
            return ".lock"
        first = min(every.values(), key=lambda wanted: wanted["experiment"] != "norms")
        return f".{first['identity'].rpartition(':')[2][:16]}.lock".replace("/", "-")

    @contextmanager
    def _alone(self, name: str = ".lock") -> Iterator[None]:
        """Only one process measures under a lock in a folder of records; others wait, and then read what it wrote."""
        with self._writing():
            self.settings.records.mkdir(parents=True, exist_ok=True)
        if not is_here(self.settings.records):
            yield  # at an address there are no locks: the later of two equal records stays
            return
        lock = FileLock(self.settings.records / name)
        with self._writing():
            try:
                lock.acquire(blocking=False)
            except Timeout:
                self.progress.say(f"waiting for another run that measures into {self.settings.records}")
                lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def _find_or_take(self, arm: str, every: dict[str, dict]) -> None:
        for experiment, wanted in every.items():
            if not self._can_be_made(arm, experiment):
                continue
            try:
                self._keep(arm, experiment, records.find(self.settings.records, wanted))
            except records.NoRecord:
                self._take(arm, experiment, wanted)
            except records.BrokenRecord as error:
                self.progress.say(f"{error}: this run does so now")
                self._take(arm, experiment, wanted)

    def _take(self, arm: str, experiment: str, wanted: dict) -> None:
        self.profiles.check_all()
        if arm in self.faults:
            raise self.faults[arm]
        loaded = self.arms.held.get(arm)
        if loaded is None:
            loaded = self.progress.loading(arm, self.settings.arms[arm].name, lambda: self.arms.get(arm))
        row = EXPERIMENTS[_plain(experiment)]
        rows, most = embedding_rows(loaded.model), self.settings.max_tokens

        def ids(role: str) -> torch.Tensor:
            return tokenize(self._of_role(role), loaded.tokenizer, most, rows)

        read = ids("score" if row.role == "items" else row.role)
        number = self._items if row.role == "items" else len(self._of_role(row.role))
        parts = records.Parts(self.settings.records, wanted)
        with self.progress.measuring(arm, experiment, number) as advance:
            record = row.make(
                Given(
                    loaded,
                    self.settings,
                    wanted.get("site", ""),
                    ids,
                    self._of_role,
                    lambda earlier: self.taken[arm, earlier],
                    self.tasks,
                    advance,
                    partial(self._keep_part, parts),
                )
            )
        self.arms.verify()
        origin = {
            **loaded.provenance,
            "tokenizer": signature(read),
            "tokenizer_facts": self._facts(arm, loaded, read),
            "threads": torch.get_num_threads(),
        }
        with self._writing():
            records.save(self.settings.records, wanted, origin, record)
            parts.clear()
        self._keep(arm, experiment, records.find(self.settings.records, wanted))

    def _keep_part(self, parts: records.Parts, name: str, measure: Measure) -> Sequence[np.ndarray]:
        """What a run that was broken off has measured of a text; else what is measured now, which is kept."""
        found = parts.find(name)
        if found is None:
            found = measure()
            with self._writing():
                parts.keep(name, found)
        return found

    def _facts(self, arm: str, loaded: Arm, ids: torch.Tensor) -> dict:
        """What the arm's tokenizer does, and the loss that a BOS token before a text would save if it adds none."""
        config = loaded.model.config.get_text_config()
        facts = tokenizer_facts(loaded.tokenizer, embedding_rows(loaded.model), config)
        bos = bos_id(loaded.tokenizer, config)
        if facts["adds_bos"] or bos is None or not bos < facts["embedding"]:
            return facts
        asked = self.settings.arms[arm].add_bos_token is not None
        return facts if asked else {**facts, "gain_of_bos": gain_of_bos(loaded.model, ids, bos)}

    def _keep(self, arm: str, experiment: str, record: xr.Dataset) -> None:
        """Keep a record for the claims. An arm that fails the manipulation check is not measured any further.

        Raises BrokenRecord for a record whose texts or items are not those of its settings.
        """
        what, told = self._told(experiment)
        for name, of_each in told.items():
            if record[name].values.tolist() != of_each:
                path = record.encoding["source"]
                raise records.BrokenRecord(
                    f"the record {path} is of other {what} than its settings say; delete it and measure again"
                )
        if experiment.startswith("norms"):
            check_manipulation(arm, record)
            if ("rope", experiment) in self.taken:
                self.profiles.check(arm, profile_of(record), profile_of(self.taken["rope", experiment]))
        self.taken[arm, experiment] = record

    def _told(self, experiment: str) -> tuple[str, dict[str, list[str]]]:
        """What an experiment is about, and what its record must tell of each text or item, by coordinate."""
        role = EXPERIMENTS[_plain(experiment)].role
        if role == "items":
            items = [(task, f"{task.name}/{item.name}") for task in self.tasks for item in self._asked(task)]
            return "items", {"item": [name for _, name in items], "knowledge": [task.knowledge for task, _ in items]}
        texts = self._of_role(role)
        return "texts", {"text": [text.name for text in texts], "kind": [text.kind for text in texts]}

    def _asked(self, task: Task) -> tuple[Item, ...]:
        return task.asked_items(self.settings.most_items)

    @property
    def _items(self) -> int:
        return sum(len(self._asked(task)) for task in self.tasks)

    def _wanted(self, arm: str, experiment: str, *, exact: bool) -> dict:
        """The settings that a record must have. In a replay, unknown settings are None, which fits any record."""
        args, settings = self.settings.arms[arm], self.settings
        site = experiment.partition("@")[2]
        experiment = _plain(experiment)
        device = settings.device.split(":")[0]
        try:
            weights = identity(args)
        except ValueError:
            if exact:
                raise
            weights = None
        try:
            tokenizer = tokenizer_identity(args.tokenizer) if args.tokenizer else "its own"
        except ValueError:
            if exact:
                raise
            tokenizer = None
        wanted = {
            "experiment": experiment,
            "pretrained": args.portable.source if exact or weights is None else None,
            "identity": weights,
            "rope": args.rope or "as it is",
            "tokenizer": tokenizer,
            "bos": BOS[args.add_bos_token],
            "dtype": args.dtype or (default_dtype(device) if exact else None),
            "quantization": args.quantization,
            "attn_implementation": args.attn_implementation,
            "device": device if exact or settings.device_asked else None,
            "numerics": numerics(args, settings.device) if exact else None,
            "count_texts": _hash(self._of_role("count")),
            "code": records.code_version() if exact else None,
            **settings.key(experiment),
        }
        if site:
            wanted["site"] = site
        role = EXPERIMENTS[experiment].role
        if role == "items":
            wanted["items"] = [[task.name, task.knowledge, task.hash, len(self._asked(task))] for task in self.tasks]
        elif role == "score":
            wanted["score_texts"] = _hash(self._of_role("score"))
        return wanted

    def _of_role(self, role: str) -> list[Text]:
        return [text for text in self.texts if text.role == role]

    def _on_disk(self, arm: str) -> xr.Dataset:
        """The arm's record of norms. Raises NoRecord or BrokenRecord (in a replay ValueError) if it cannot be read."""
        if self.settings.replay:
            return self._replay(arm, "norms")
        return records.find(self.settings.records, self._wanted(arm, "norms", exact=True))


def check_manipulation(arm: str, norms: xr.Dataset) -> None:
    """Raise ValueError if a rotating arm does not see positions, or another arm does: the premise of every claim."""
    change, noise = float(norms["position_change"]), float(norms["position_noise"])
    moved = f"manipulation check: stretching positions moves the {arm} arm's logits by {change:.2g} standard deviations"
    if arm in ROTATING and not change > max(RESPONSE, 10 * noise):
        raise ValueError(f"{moved}, so it does not see positions and no claim is judged")
    if arm not in ROTATING and change > noise:
        raise ValueError(f"{moved}, so it still rotates and no claim is judged")


def _plain(experiment: str) -> str:
    """The experiment of `norms@attention` and the like."""
    return experiment.partition("@")[0]


def _after(experiment: str) -> tuple[str, ...]:
    return EXPERIMENTS[_plain(experiment)].after


def _hash(texts: list[Text]) -> str:
    content = json.dumps([[text.name, text.kind, text.hash] for text in texts])
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def cannot_be_made(error: Exception) -> bool:
    """Did an arm or an experiment fail because the architecture does not allow it? Then nothing is broken."""
    return any(isinstance(of, CannotChange | CannotRead) for of in (error, error.__cause__))
