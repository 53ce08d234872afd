"""Options of a run: one row of one table each, from which all else is made.

From the rows come the parser (`fixtures.plugin.options`), the settings of a run, the table in docs/options.md
(`python -m lib.settings`), the settings in a run's document, the key of its records, and which runs compare.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

from lib.checkpoints import ModelArguments
from lib.definitions import DEFAULT, PLACES, PROTOCOLS, RESCALED, SCOPES, SITES, check_threshold, meant
from lib.tasks import Task, load, names, read
from lib.texts import Selection, Source, parse, select

PREFIX = "CLAIMS_"
PAGE = Path(__file__).parents[1] / "docs" / "options.md"
START, END = "<!-- made by python -m lib.settings -->\n", "<!-- end -->\n"
OF_MODEL = ("stream", "sinks", "modules")
"""Experiments that know no massive channels."""
LOSSES, EXPERIMENT_2, EXPERIMENT_3 = ("disruption", "bands", "specificity", "tasks"), ("disruption",), ("tasks",)
DRAWN = ("disruption", "specificity", "tasks", "sinks", "modules")
"""Experiments in which something is drawn at random: channels, values of the stream, tokens."""
EVERY = ("norms", *LOSSES)
"""Experiments that read channels, at a site."""

SIDES = ("control", "treatment")
"""The arms that a worker of a sweep measures: the treatment's checkpoints, or all others."""

FEWEST_TOKENS = 16
"""Counts and losses on fewer tokens say nothing of a text."""
MOST_CONTROLS = 9_999
"""So many give an exact p of 0.0001; each costs a pass over every text."""
MOST_THREADS = 1_024

Group = Literal["arms", "measuring", "running", "records", "choosing", "comparing", "output"]


@dataclass(frozen=True)
class Option:
    """One option. `read(text, flag)` checks the typed text and raises ValueError, one sentence.

    `key` are the experiments whose records are made anew when the option changes; `compared` says that runs do not
    compare that differ in it, and `before` is its value in runs that are older than the option.
    """

    flag: str
    help: str
    group: Group
    metavar: str = "X"
    read: Callable[[str, str], object] = lambda text, flag: text
    default: object = None
    shown: str = ""
    key: tuple[str, ...] = ()
    compared: bool = False
    before: object = None
    switch: bool = False

    @property
    def name(self) -> str:
        """The setting that it gives: `max_tokens` for `--max-tokens`."""
        return self.flag.lstrip("-").replace("-", "_")

    @property
    def variable(self) -> str:
        """The environment variable that stands for it."""
        return PREFIX + self.name.upper()


def number(check: Callable[[float], None]) -> Callable[[str, str], float]:
    """Reads a number."""

    def read(text: str, flag: str) -> float:
        try:
            value = float(text)
        except ValueError:
            raise ValueError(f"{flag} must be a number, not {text!r}") from None
        check(value)
        return value

    return read


def whole(least: int, most: int | None = None) -> Callable[[str, str], int]:
    """Reads a whole number from `least` to `most`."""

    def read(text: str, flag: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise ValueError(f"{flag} must be a whole number, not {text!r}") from None
        if value < least:
            raise ValueError(f"{flag} must be {least} or more, not {value}")
        if most is not None and value > most:
            raise ValueError(f"{flag} must be {most} or less, not {value}")
        return value

    return read


def one_of(*allowed: str) -> Callable[[str, str], str]:
    """Reads one of some names."""

    def read(text: str, flag: str) -> str:
        if text not in allowed:
            raise ValueError(f"{flag} must be {' or '.join(allowed)}, not {text!r}")
        return text

    return read


def truth(text: str, flag: str) -> bool:
    """Reads the environment variable of a switch."""
    if text.lower() not in TRUTHS:
        raise ValueError(f"{flag} must be yes or no, not {text!r}")
    return TRUTHS[text.lower()]


def names_of_tasks(text: str, flag: str) -> tuple[str, ...]:
    """Reads names with commas between them; which are known depends on `--task-data`."""
    names = tuple(name.strip() for name in text.split(","))
    if not all(names) or len(set(names)) < len(names):
        raise ValueError(f"{flag} must be names of tasks with commas between them, each once, not {text!r}")
    return names


def specs_of_tasks(text: str, flag: str) -> tuple[tuple[str, str], ...]:
    """Reads NAME=FILE and NAME=hf:DATASET, with semicolons between them, into names and what is to be read."""
    specs: dict[str, str] = {}
    for part in text.split(";"):
        name, _, spec = (piece.strip() for piece in part.partition("="))
        if not name or not spec:
            raise ValueError(f"{flag} must be NAME=FILE or NAME=hf:DATASET, not {part!r}")
        if name in specs:
            raise ValueError(f"{flag} gives the task {name} twice")
        specs[name] = spec
    return tuple(specs.items())


TRUTHS = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}


OPTIONS: tuple[Option, ...] = (
    Option("--pair", "the pair to test: a name, or FILE.toml", "arms", "NAME", shown="toy; llama2-7b with -m gpu"),
    Option(
        "--rope",
        "the RoPE arm, alone or in a pair's place: ID, folder, or pretrained=ID,revision=..,dtype=..,load_in_4bit=True",
        "arms",
        "ARGS",
    ),
    Option(
        "--drope",
        "the DroPE arm beside --rope, or in a pair's place, written like it; 'DIR/checkpoint-*' or A;B;C is a series",
        "arms",
        "ARGS",
    ),
    Option(
        "--continued",
        "RoPE arm trained on for as many steps with its rotation, written like --rope",
        "arms",
        "ARGS",
    ),
    Option(
        "--device",
        "cpu, cuda or cuda:N; with --replay, the device whose records are judged",
        "measuring",
        "DEVICE",
        shown="the pair's, else a GPU where there is one",
    ),
    Option(
        "--texts",
        "texts to measure: FILE.jsonl with text, kind and role (count or score) on each line, FILE.parquet, or "
        "hf:DATASET[:CONFIG],split=..,text=FIELD,kind=FIELD",
        "measuring",
        "TEXTS",
        lambda text, flag: parse(text),
        shown="the pair's, else the product's",
    ),
    Option(
        "--max-tokens",
        f"tokens of each text that are used, {FEWEST_TOKENS} or more; a shorter text is refused by name",
        "measuring",
        "N",
        whole(FEWEST_TOKENS),
        shown="the pair's, 512 for the product's texts",
        key=(*EVERY, *OF_MODEL),
        compared=True,
    ),
    Option(
        "--chunk",
        "positions of a text that are read at a time, the earlier ones from the KV cache: for long texts; counts and "
        "losses are the same but for rounding",
        "measuring",
        "N",
        whole(1),
        shown="a whole text",
        key=("norms", "disruption", "bands", "specificity"),
    ),
    Option(
        "--threshold",
        "a channel is massive above this many times the mean norm",
        "measuring",
        "X",
        number(check_threshold),
        5.0,
        key=LOSSES,
        compared=True,
    ),
    Option(
        "--scope",
        "mean over the whole layer, or over each head",
        "measuring",
        "SCOPE",
        one_of(*SCOPES),
        "layer",
        key=LOSSES,
        compared=True,
    ),
    Option(
        "--site",
        f"where states are read and edited: {', '.join(SITES)}",
        "measuring",
        "SITE",
        one_of(*SITES),
        "projection",
        key=EVERY,
        compared=True,
    ),
    Option(
        "--protocol",
        f"how experiment 2 is made: {', '.join(PROTOCOLS)}",
        "measuring",
        "NAME",
        one_of(*PROTOCOLS),
        DEFAULT,
        key=EXPERIMENT_2,
        compared=True,
        before=DEFAULT,
    ),
    Option(
        "--controls",
        "number of random controls in experiment 2; 99 for an exact p of 0.01",
        "measuring",
        "N",
        whole(1, MOST_CONTROLS),
        10,
        key=EXPERIMENT_2,
        compared=True,
    ),
    Option(
        "--replaced",
        f"where channels are replaced when tasks are asked: {', '.join(PLACES)}",
        "measuring",
        "PLACE",
        one_of(*PLACES),
        PLACES[0],
        key=EXPERIMENT_3,
        compared=True,
        before=PLACES[0],
    ),
    Option(
        "--apply-chat-template",
        "ask tasks by the tokenizer's chat template, not as plain text",
        "measuring",
        read=truth,
        default=False,
        key=EXPERIMENT_3,
        compared=True,
        before=False,
        switch=True,
    ),
    Option(
        "--tasks",
        "tasks that are asked, by name: passkey,capitals,..",
        "measuring",
        "NAME,..",
        names_of_tasks,
        shown="the pair's, else all that come with the harness and those of --task-data",
    ),
    Option(
        "--task-data",
        "tasks of your own, or other items for one that comes with the harness: NAME=FILE.jsonl or "
        "NAME=hf:DATASET[:CONFIG],split=..,items=N, with a semicolon between two; see docs/tasks.md",
        "measuring",
        "NAME=FILE",
        specs_of_tasks,
        shown="the pair's",
    ),
    Option(
        "--items",
        "items that are asked of each task, fewer if it has fewer",
        "measuring",
        "N",
        whole(1),
        shown="each task's own: 100 pass keys and 100 of each parametric task, 60 of each other one, a file's all",
        compared=True,
    ),
    Option(
        "--limit",
        "smoke run: only N texts of each kind, and N items of each task; nothing can be supported",
        "measuring",
        "N",
        whole(1),
    ),
    Option(
        "--threads",
        "threads of torch on the CPU",
        "running",
        "N",
        whole(1, MOST_THREADS),
        shown="one for each physical core, or OMP_NUM_THREADS; one in each process of -n",
    ),
    Option(
        "--measure",
        "measure only the arms of the control, or only those of the treatment, and judge nothing",
        "running",
        "ARMS",
        one_of(*SIDES),
    ),
    Option(
        "--records",
        "folder of the records, or an address of fsspec such as s3://..",
        "records",
        "DIR",
        default="records",
    ),
    Option(
        "--replay",
        "judge stored records, whatever code made them; never load a model",
        "records",
        read=truth,
        default=False,
        switch=True,
    ),
    Option("--published", "judge published figures, measure nothing: a name, or FILE.toml", "choosing", "NAME"),
    Option("--claims", "only these claims, by id: Q1,F1,D*", "choosing", "ID,ID*"),
    Option("--list-claims", "print the claims and end", "choosing", read=truth, default=False, switch=True),
    Option(
        "--baseline",
        "compare with an earlier run's document: red when a verdict changes or an effect drifts, and only then",
        "comparing",
        "FILE",
    ),
    Option(
        "--tolerance",
        "how far effects may drift beyond both intervals, 'Q1=5,L3=0.2' in each claim's own unit",
        "comparing",
        "ID=X,..",
    ),
    Option("--save-baseline", "write this run's document, to be given to --baseline", "comparing", "FILE"),
    Option("--min-decided", "fail unless N claims are supported or refuted", "comparing", "N", whole(0), 0),
    Option("--table", "also write the table of verdicts as Markdown", "output", "FILE.md"),
    Option("--figures", "also write every figure, as SVG and PNG", "output", "DIR"),
    Option("--csv", "also write every number of the table of claims", "output", "FILE.csv"),
)
BY_NAME: Mapping[str, Option] = {option.name: option for option in OPTIONS}
COMPARED = tuple(option for option in OPTIONS if option.compared)
SEED = 0
"""Seed of all that is drawn at random."""


@dataclass(frozen=True)
class Settings:
    """One run's settings, checked. `own` says that the pair is measured as its file describes, and `device_asked` that
    the user named the device: a replay then takes records of no other.

    `arms` are all that may be measured: `rope`, `drope` (the last checkpoint of a series; absent where there is no
    treatment), `drope@step500` (an earlier one), `dropped`, `continued` if it is given, and `linear`, `dynamic`,
    `yarn`, `ntk` (the RoPE arm, rescaled).
    `steps` are the checkpoints of the series in order, `faults` those that cannot be measured, each with a sentence.
    """

    pair: str
    description: str
    arms: Mapping[str, ModelArguments]
    device: str
    max_tokens: int
    threshold: float
    scope: str
    site: str
    controls: int
    records: Path
    protocol: str = DEFAULT
    replaced: str = PLACES[0]
    apply_chat_template: bool = False
    steps: Mapping[str, int] = field(default_factory=dict)
    faults: Mapping[str, str] = field(default_factory=dict)
    note: str = ""
    own: bool = False
    texts: Source | None = None
    tasks: tuple[str, ...] = ()
    task_data: tuple[tuple[str, str], ...] = ()
    items: int | None = None
    limit: int | None = None
    chunk: int | None = None
    replay: bool = False
    threads: int | None = None
    min_decided: int = 0
    published: bool = False
    seed: int = SEED
    device_asked: bool = False
    measure: str | None = None

    def is_measured(self, arm: str) -> bool:
        """Does this run measure an arm that has no record? With `measure`, other runs measure the other side."""
        of_treatment = arm == "drope" or arm.startswith("drope@")
        return self.measure is None or (self.measure == "treatment") == of_treatment

    @property
    def essential(self) -> tuple[str, ...]:
        """The arms without which nothing can be judged: with a series, or without a treatment, the RoPE arm alone."""
        return ("rope", "drope") if self.treated and not self.steps else ("rope",)

    @property
    def treated(self) -> bool:
        """Is there a treatment to compare the RoPE arm with?"""
        return "drope" in self.arms

    @property
    def checkpoints(self) -> tuple[str, ...]:
        """The arms that are the treatment in their turn: one, those of a series, or none."""
        return tuple(self.steps) or (("drope",) if self.treated else ())

    def site_of(self, arm: str) -> str:
        """Where an arm's states are read unless another site is asked for; rescaling is judged before the rotation."""
        return "projection" if arm in RESCALED else self.site

    def named(self, experiment: str, site: str) -> str:
        """The name of an experiment's record in a run: plain at the run's own site, `norms@attention` at another."""
        return experiment if site == self.site else f"{experiment}@{site}"

    def key(self, experiment: str) -> dict[str, object]:
        """The settings that a record of an experiment must have been made with."""
        chosen = {option.name: getattr(self, option.name) for option in OPTIONS if experiment in option.key}
        return {**chosen, "seed": self.seed} if experiment in DRAWN else chosen

    @cached_property
    def asked(self) -> tuple[Task, ...]:
        """The tasks whose items are asked, read once: they may lie on the hub.

        Raises ValueError, one sentence, for a name that none has, or a bad file.
        """
        given = dict(self.task_data)
        known = (*names(), *(name for name in given if name not in names()))
        for name in self.tasks:
            if name not in known:
                raise ValueError(f"--tasks: there is no task {name!r}, {meant(name, known)}; --task-data brings others")
        asked = [name for name in known if name in self.tasks or not self.tasks]
        return tuple(read(name, given[name]) if name in given else load(name) for name in asked)

    @property
    def most_items(self) -> int | None:
        """The most items of a task that are asked; None for as many as each task says."""
        return min(filter(None, (self.limit, self.items)), default=None)

    def selected(self) -> Selection:
        """The texts of the run. Raises ValueError, one sentence, if they cannot be read."""
        return select(self.texts, self.max_tokens, each=self.limit, keep=self.records)

    def shown(self) -> dict[str, object]:
        """The settings that a run's document and its page show."""
        decisive = {option.name: getattr(self, option.name) for option in COMPARED}
        return {"device": self.device, **decisive, "seed": self.seed, "limit": self.limit}


def table() -> str:
    """All options as Markdown."""
    lines = ["| option | effect | default | environment |", "|---|---|---|---|"]
    for option in OPTIONS:
        flag = option.flag if option.switch else f"{option.flag} {option.metavar}"
        default = option.shown or (
            ""
            if option.default in (None, False)
            else f"{option.default:g}"
            if isinstance(option.default, float)
            else str(option.default)
        )
        lines.append(f"| `{flag}` | {option.help} | {default} | `{option.variable}` |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Bring the table of docs/options.md up to date."""
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(f"{page.split(START)[0]}{START}{table()}{END}{page.split(END)[1]}", encoding="utf-8")


if __name__ == "__main__":
    main()
