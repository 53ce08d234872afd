"""Read the published figures of a study from a TOML file and check them. Layout: docs/published.md.

A number keeps how exactly it was written: a figure is known to half a unit of its last digit.
"""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

from lib.definitions import ARMS, ASKED, NAMES, from_toml
from lib.published import tables
from lib.published.checking import (
    LARGEST,
    MOST_LAYERS,
    MOST_TEXTS,
    MOST_TOKENS,
    check_keys,
    figure,
    plain,
    positive,
    table_of,
    words,
)
from lib.published.figures import COLUMNS, CONDITIONS, Column, Figure, Measurement, Published, Task, TaskTable
from lib.tasks import KNOWLEDGE

FOLDER = Path(__file__).parent
NEEDED = {"title": str, "rope": str, "drope": str, "layers": int}
OPTIONAL = {
    **dict.fromkeys(("author", "quantization", "hardware", "site", "url"), str),
    **dict.fromkeys(("year", "max_tokens", "heads", "kv_heads", "head_dim"), int),
    "threshold": float,
}
FEWEST_WITH_SPREAD = 7
"""Six series (three tensors in two arms) can be uncorrelated over so many texts, and over no fewer."""


def read(name: str) -> Published:
    """Read the figures of a study by file or by the name of a bundled one.

    Raises ValueError, one sentence, for the first mistake in the file.
    """
    path = FOLDER / f"{name}.toml" if name in bundled() else Path(name)
    if not path.is_file():
        raise ValueError(f"there are no published figures {name!r}: give a .toml file or one of {', '.join(bundled())}")
    try:
        content = from_toml(path.read_text(encoding="utf-8"), parse_float=Decimal)
        return published(content)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def bundled() -> list[str]:
    """Names of the studies that come with the product."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def published(content: Mapping) -> Published:
    """Check the content of a file of figures. Raises ValueError for a missing key, an unknown one, or a wrong value."""
    check_keys(content, ("study", "disagreements", *COLUMNS), "the file")
    if "study" not in content:
        raise ValueError("[study] is missing: it says what the figures are about")
    study = _study(table_of(content, "study", "study"))
    sources = {name: table_of(content, name, name) for name in COLUMNS if name in content}
    columns = {name: column(name, table, layers=study["layers"]) for name, table in sources.items()}
    columns = {name: filled for name, filled in columns.items() if not filled.empty}
    if not columns:
        raise ValueError("there is no figure: give [text.*] (what the write-up says) or [stored.*] tables")
    return Published(study, columns)


def _study(table: Mapping) -> dict[str, str | int | float]:
    check_keys(table, (*NEEDED, *OPTIONAL), "[study]")
    for key in NEEDED:
        if key not in table:
            raise ValueError(f"[study] needs {key!r}")
    study: dict[str, str | int | float] = {}
    for key, value in table.items():
        kind = (NEEDED | OPTIONAL)[key]
        where = f"[study] {key}"
        if kind is str:
            study[key] = words(value, where)
        else:
            most = MOST_LAYERS if key == "layers" else LARGEST
            study[key] = kind(positive(value, where, most=most, whole=kind is int))
    return study


Figures = dict[tuple[str, ...], Figure | tuple[Figure, ...]]
EXTRA = ("query_fewer_per_layer", "layer_1_query", "layer_1_is_only_exception")
WHOLE = {"n_texts": MOST_TEXTS, "max_tokens": MOST_TOKENS}
MEASURED = (*WHOLE, "precision", "texts")
"""The keys that say what a table's figures were measured on."""


def column(name: str, table: Mapping, *, layers: int) -> Column:
    """All figures of one source. Raises ValueError, one sentence, for the first mistake."""
    kinds = ("massive_values", "disruption", "disruption_by_text_type", "tasks", *tables.KINDS)
    check_keys(table, kinds, f"[{name}]")
    counts, losses = (table_of(table, key, f"{name}.{key}") for key in ("massive_values", "disruption"))
    where = f"[{name}.massive_values]"
    measured = {
        "massive_values": _measured(counts, where),
        "disruption": _measured(losses, f"[{name}.disruption]"),
    }
    texts = measured["massive_values"].n_texts
    figures = {
        **_counts(counts, where, layers),
        **_losses(losses, f"[{name}.disruption]"),
        **_kinds(table_of(table, "disruption_by_text_type", f"{name}.disruption_by_text_type"), name),
    }
    tasks = _task_tables(table.get("tasks", []), f"[{name}.tasks]")
    spreads = [f.spread is not None for meaning, f in figures.items() if meaning[0] == "total"]
    if any(spreads) and not all(spreads):
        raise ValueError(f"{where}: give every total a standard deviation or none, they are compared with each other")
    if any(spreads) and texts is None:
        raise ValueError(f"{where} gives standard deviations, so it must say n_texts")
    if any(spreads) and texts < FEWEST_WITH_SPREAD:
        few = f"must be {FEWEST_WITH_SPREAD} or more"
        raise ValueError(f"{where} n_texts {few} where standard deviations are given: leave them out")
    others = {kind: tables.read(kind, table.get(kind, []), name, layers=layers) for kind in tables.KINDS}
    return Column(name, texts if any(spreads) else 1, figures, measured, tasks, **others)


def _measured(table: Mapping, where: str) -> Measurement:
    whole = {k: int(positive(table[k], f"{where} {k}", most=m, whole=True)) for k, m in WHOLE.items() if k in table}
    said = {key: words(table[key], f"{where} {key}") for key in MEASURED if key in table and key not in whole}
    return Measurement(**whole, **said)


def _counts(table: Mapping, where: str, layers: int) -> Figures:
    check_keys(table, (*MEASURED, *ARMS, *NAMES, *EXTRA), where)
    figures: Figures = {}
    for name in NAMES:
        totals = table_of(table, name, f"{where} {name}")
        check_keys(totals, (*ARMS, "change_percent"), f"{where} {name}")
        for arm in ARMS:
            if arm in totals:
                figures["total", arm, name] = _with_spread(totals[arm], f"{where} {name} {arm}", least=0)
        if "change_percent" in totals:
            figures["change", name] = figure(totals["change_percent"], f"{where} {name} change_percent", least=-100)
    for arm in ARMS:
        per_layer = table_of(table, arm, f"{where} {arm}")
        check_keys(per_layer, NAMES, f"{where} {arm}")
        for name, counts in per_layer.items():
            figures["layers", arm, name] = _series(counts, f"{where} {arm} {name}", least=0)
            if len(figures["layers", arm, name]) != layers:
                number = len(figures["layers", arm, name])
                raise ValueError(f"{where} {arm} {name} has {number} layers, but [study] says {layers}")
    first = table_of(table, "layer_1_query", f"{where} layer_1_query")
    check_keys(first, ARMS, f"{where} layer_1_query")
    for arm, count in first.items():
        figures["layer 1", arm] = figure(count, f"{where} layer_1_query {arm}", least=0)
    if "query_fewer_per_layer" in table:
        # who gives layer 1 says it of the others
        given = [{("layer 1", arm), ("layers", arm, "query")} & set(figures) for arm in ARMS]
        meaning = "fewer but for layer 1" if all(given) else "fewer per layer"
        figures[meaning,] = figure(table["query_fewer_per_layer"], f"{where} query_fewer_per_layer")
    if "layer_1_is_only_exception" in table:
        if not isinstance(table["layer_1_is_only_exception"], bool):
            raise ValueError(f"{where} layer_1_is_only_exception must be true or false")
        if table["layer_1_is_only_exception"]:
            figures["other layers with more",] = Figure(0.0, 0.0)
    return figures


def _losses(table: Mapping, where: str) -> Figures:
    single = {"control_seeds": "control seeds", "reliance_ratio": "reliance", "cohens_d_above": "d above"}
    levels = {"p_rope_vs_drope": "p of arms", "p_rope_vs_drope_below": "p of arms below"}
    by_arm = {"p_massive_vs_random": "p", "p_massive_vs_random_below": "p below"}
    check_keys(table, (*MEASURED, *ARMS, *single, *levels, *by_arm), where)
    figures: Figures = {}
    for key, meaning in (single | levels).items():
        if key in table:
            most = 1 if key in levels else LARGEST
            figures[meaning,] = figure(table[key], f"{where} {key}", least=0, most=most)
    for key, meaning in by_arm.items():
        of_arms = table_of(table, key, f"{where} {key}")
        check_keys(of_arms, ARMS, f"{where} {key}")
        for arm, p in of_arms.items():
            figures[meaning, arm] = figure(p, f"{where} {key} {arm}", least=0, most=1)
    for arm in ARMS:
        figures |= _arm(table_of(table, arm, f"{where} {arm}"), f"{where} {arm}", arm)
    return figures


def _arm(table: Mapping, where: str, arm: str) -> Figures:
    increases = {f"{condition}_increase_percent": condition for condition in CONDITIONS[1:]}
    single = {"massive_dims": "dims", "cohens_d": "d", "p_massive_vs_random": "p"}
    check_keys(table, (*CONDITIONS, *increases, *single), where)
    figures: Figures = {}
    for condition in CONDITIONS:
        if condition in table:
            figures["perplexity", arm, condition] = _series(table[condition], f"{where} {condition}", least=1)
    trials = {condition: len(series) for (_, _, condition), series in figures.items()}
    if len(set(trials.values())) > 1:
        counted = ", ".join(f"{condition} {number}" for condition, number in trials.items())
        raise ValueError(f"{where} has different numbers of trials: {counted}")
    for key, condition in increases.items():
        if key in table:
            figures["increase", arm, condition] = _with_spread(table[key], f"{where} {key}", least=-100)
    for key, meaning in single.items():
        if key in table:
            most = 1 if meaning == "p" else LARGEST
            figures[meaning, arm] = figure(table[key], f"{where} {key}", least=0, most=most)
    return figures


def _kinds(table: Mapping, name: str) -> Figures:
    """Both orders are read: kinds of text with arms in them, or arms with kinds of text in them."""
    place = f"{name}.disruption_by_text_type"
    figures: Figures = {}
    for outer in table:
        inside = table_of(table, outer, f"{place}.{outer}")
        if outer not in ARMS:
            check_keys(inside, ARMS, f"[{place}] {outer}")
        for inner, entry in inside.items():
            arm, kind = (outer, inner) if outer in ARMS else (inner, outer)
            figures |= _kind(entry, f"[{place}] {outer} {inner}", arm, kind)
    return figures


def _kind(entry: object, where: str, arm: str, kind: str) -> Figures:
    if not isinstance(entry, Mapping):
        return {("kind", arm, kind, "massive"): figure(entry, where, least=-100)}
    losses = _arm(entry, where, arm)
    if ("increase", arm, "massive") not in losses:
        raise ValueError(f"{where} needs massive_increase_percent")
    renamed = {"increase": "kind", "perplexity": "kind perplexity"}
    return {(new, arm, kind, key[2]): f for old, new in renamed.items() for key, f in losses.items() if key[0] == old}


def _with_spread(value: object, where: str, *, least: float) -> Figure:
    """A mean, or [mean, standard deviation]."""
    if not isinstance(value, list):
        return figure(value, where, least=least)
    if len(value) != 2:
        raise ValueError(f"{where} must be a mean or [mean, standard deviation], not {len(value)} numbers")
    mean, spread = figure(value[0], where, least=least), figure(value[1], f"{where} (standard deviation)", least=0)
    return Figure(mean.value, mean.half, spread.value)


def _series(value: object, where: str, *, least: float) -> tuple[Figure, ...]:
    numbers = value if isinstance(value, list) else [value]
    if not numbers:
        raise ValueError(f"{where} is an empty list")
    return tuple(figure(number, f"{where}, number {i + 1}", least=least) for i, number in enumerate(numbers))


UNPARSED = ("wrong", "left out")
MOST_CHOICES = 1_000_000
OF_TASK = ("knowledge", "n", "choices", "unparsed", "items")


def _task_tables(value: object, where: str) -> tuple[TaskTable, ...]:
    """One table of accuracies, or a list of them with a name each."""
    read = tuple(_task_table(table, where) for table in (value if isinstance(value, list) else [value]))
    names = [table.name for table in read]
    if len(set(names)) < len(names):
        raise ValueError(f"{where} has tables of the same name: give each a name of its own")
    return read


def _task_table(table: object, where: str) -> TaskTable:
    if not isinstance(table, Mapping):
        raise ValueError(f"{where} must be a table or a list of tables, not {plain(table)}")
    edits = ASKED[1:]
    ratios = {f"{edit}_contextual_over_parametric": edit for edit in edits}
    less = {f"{edit}_contextual_less_percent": edit for edit in edits}
    about = ("name", "precision", *ratios, *less)
    tasks: dict[str, Task] = {}
    figures: dict[tuple[str, ...], Figure] = {}
    for name in table:
        if name not in about:
            entry, of_entry = table_of(table, name, f"{where} {name}"), f"{where} {name}"
            check_keys(entry, ARMS if name in KNOWLEDGE else (*OF_TASK, *ARMS), of_entry)
            if name not in KNOWLEDGE:
                tasks[name] = _task(entry, of_entry)
            for arm in ARMS:
                figures |= _accuracies(table_of(entry, arm, f"{of_entry} {arm}"), f"{of_entry} {arm}", arm, name)
    if not tasks:
        raise ValueError(f"{where} has no task")
    for key, edit in ratios.items():
        of_arms = table_of(table, key, f"{where} {key}")
        check_keys(of_arms, ARMS, f"{where} {key}")
        for arm, ratio in of_arms.items():
            figures["contextual over parametric", arm, edit] = figure(ratio, f"{where} {key} {arm}")
    for key, edit in less.items():
        if key in table:
            figures["contextual less", edit] = figure(table[key], f"{where} {key}")
    name = words(table["name"], f"{where} name") if "name" in table else ""
    precision = words(table["precision"], f"{where} precision") if "precision" in table else None
    return TaskTable(name, tasks, figures, Measurement(precision=precision))


def _task(entry: Mapping, where: str) -> Task:
    if (knowledge := entry.get("knowledge")) not in KNOWLEDGE:
        raise ValueError(f"{where} knowledge must be {' or '.join(KNOWLEDGE)}, not {plain(knowledge)}")
    if (unparsed := entry.get("unparsed")) not in (None, *UNPARSED):
        raise ValueError(f"{where} unparsed must be {' or '.join(UNPARSED)}, not {plain(unparsed)}")
    most = {"n": MOST_TEXTS, "choices": MOST_CHOICES}
    numbers = {k: int(positive(entry[k], f"{where} {k}", most=m, whole=True)) for k, m in most.items() if k in entry}
    if numbers.get("choices") == 1:
        raise ValueError(f"{where} choices must be 2 or more, not 1")
    items = words(entry["items"], f"{where} items") if "items" in entry else None
    return Task(knowledge, **numbers, unparsed=unparsed, items=items)


def _accuracies(table: Mapping, where: str, arm: str, what: str) -> dict[tuple[str, ...], Figure]:
    lost = {f"{edit}_lost_percent": edit for edit in ASKED[1:]}
    check_keys(table, (*ASKED, *lost), where)
    figures: dict[tuple[str, ...], Figure] = {}
    for key in table:
        if key in ASKED:
            figures["accuracy", arm, what, key] = figure(table[key], f"{where} {key}", least=0, most=100)
        else:
            figures["lost", arm, what, lost[key]] = figure(table[key], f"{where} {key}", most=100)
    return figures
