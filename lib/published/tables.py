"""Read tables that have a name each: figures layer by layer, of zeroed modules, and by length of the context."""

import re
from collections.abc import Mapping

from lib.definitions import ARMS
from lib.published.checking import (
    LARGEST,
    MOST_TEXTS,
    check_keys,
    figure,
    plain,
    positive,
    table_of,
    words,
)
from lib.published.figures import (
    MODULES,
    PERCENT,
    POSITIONS,
    QUANTITIES,
    Ablations,
    Contexts,
    Figure,
    Layers,
    Measurement,
    Zeroed,
)

OF_LAYERS = ("quantity", "precision", "n_texts", "tokens", "threshold", "first_query", "rotated")
COMPARED = ("times", "more", "first_above", "largest_sd")
OF_ZEROED = ("modules", "layer", "positions")
NUMBERS = ("perplexity", "times")
CHOICES = 1_000_000


def read(kind: str, value: object, column: str, *, layers: int) -> tuple[Layers | Ablations | Contexts, ...]:
    """All tables of a kind. Raises ValueError, one sentence, for the first mistake.

    Two tables may have the same name if they are of different quantities.
    """
    where = f"[{column}.{kind}]"
    if not isinstance(value, list):
        raise ValueError(f"{where} must be a list of tables, [[{column}.{kind}]], not {plain(value)}")
    found: dict[tuple, Layers | Ablations | Contexts] = {}
    for entry in value:
        if not isinstance(entry, Mapping):
            raise ValueError(f"{where} must be a list of tables, not of {plain(entry)}")
        if "name" not in entry:
            raise ValueError(f"{where} needs a name in every table")
        name = words(entry["name"], f"{where} name")
        table = KINDS[kind](entry, f"{where} {name}", name, layers)
        if (key := (name, getattr(table, "quantity", ""))) in found:
            raise ValueError(f"{where} has two tables of the name {name!r}: give each a name of its own")
        found[key] = table
    return tuple(found.values())


def _layers(table: Mapping, where: str, name: str, layers: int) -> Layers:
    check_keys(table, ("name", *OF_LAYERS, *ARMS, *COMPARED), where)
    if (quantity := table.get("quantity")) not in tuple(QUANTITIES):
        raise ValueError(f"{where} quantity must be {' or '.join(QUANTITIES)}, not {plain(quantity)}")
    most = 100 if quantity in PERCENT else LARGEST
    figures: dict[tuple, Figure] = {}
    for arm in ARMS:
        if arm in table:
            figures |= _profile(table[arm], f"{where} {arm}", arm, layers, most)
    for key, least in (("times", 0), ("more", -LARGEST)):
        for span, number in table_of(table, key, f"{where} {key}").items():
            figures[key, *_span(span, f"{where} {key}", layers)] = figure(number, f"{where} {key} {span}", least=least)
    spreads = table_of(table, "largest_sd", f"{where} largest_sd")
    check_keys(spreads, ARMS, f"{where} largest_sd")
    for arm, spread in spreads.items():
        figures["largest sd", arm] = figure(spread, f"{where} largest_sd {arm}", least=0)
    figures |= _first_above(table_of(table, "first_above", f"{where} first_above"), f"{where} first_above", layers)
    if not figures:
        raise ValueError(f"{where} has no figure")
    precisions = _precisions(table.get("precision"), f"{where} precision")
    one = set(precisions.values())
    measured = Measurement(
        n_texts=_whole(table, "n_texts", where, MOST_TEXTS), precision=one.pop() if len(one) == 1 else None
    )
    return Layers(
        name,
        quantity,
        figures,
        measured,
        precisions,
        _tokens(table.get("tokens", []), f"{where} tokens"),
        figure(table["threshold"], f"{where} threshold", least=0, most=1).value if "threshold" in table else None,
        _yes_or_no(table, "first_query", where),
        _yes_or_no(table, "rotated", where),
    )


def _profile(value: object, where: str, arm: str, layers: int, most: float) -> dict[tuple, Figure]:
    """A list with a number for each layer, or a table by layers: numbers (a layer's, or a mean) and [least, most]."""
    found: dict[tuple, Figure] = {}
    if isinstance(value, list):
        value = {"layers": value}
    if not isinstance(value, Mapping):
        raise ValueError(f"{where} must be a list of numbers or a table by layers, not {plain(value)}")
    for key, entry in value.items():
        here = f"{where} {key}"
        if key == "layers":
            if not isinstance(entry, list) or len(entry) != layers:
                number = len(entry) if isinstance(entry, list) else plain(entry)
                raise ValueError(f"{where} has {number} layers, but [study] says {layers}")
            for layer, number in enumerate(entry):
                found["layer", arm, layer] = figure(number, f"{where}, number {layer + 1}", least=0, most=most)
            continue
        first, last = _span(key, where, layers)
        if isinstance(entry, list):
            if len(entry) != 2:
                raise ValueError(f"{here} must be a number or [least, most], not {len(entry)} numbers")
            for word, number in zip(("least", "most"), entry, strict=True):
                found[word, arm, first, last] = figure(number, f"{here} ({word})", least=0, most=most)
        else:
            meaning = ("layer", arm, first) if first == last else ("mean", arm, first, last)
            found[meaning] = figure(entry, here, least=0, most=most)
    return found


def _span(key: str, where: str, layers: int) -> tuple[int, int]:
    """The first and the last layer of `3` or `2-31`."""
    if not re.fullmatch(r"[0-9]{1,6}(-[0-9]{1,6})?", key):
        raise ValueError(f"{where} has an unknown key {key!r}: give a layer, or a first and a last one as in 2-31")
    first, _, last = key.partition("-")
    span = int(first), int(last or first)
    if not span[0] <= span[1] < layers:
        raise ValueError(f"{where} {key} are no layers from 0 to {layers - 1}, the first one first")
    return span


def _first_above(table: Mapping, where: str, layers: int) -> dict[tuple, Figure]:
    if not table:
        return {}
    check_keys(table, ("bound", *ARMS), where)
    if "bound" not in table:
        raise ValueError(f"{where} needs a bound")
    bound = figure(table["bound"], f"{where} bound", least=0).value
    given = {arm: figure(table[arm], f"{where} {arm}", least=0, most=layers - 1) for arm in ARMS if arm in table}
    return {("first above", arm, bound): Figure(layer.value, 0.0) for arm, layer in given.items()}


def _precisions(value: object, where: str) -> dict[str, str]:
    """The precision of each arm's weights, from one for both or from one for each."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        return dict.fromkeys(ARMS, words(value, where))
    check_keys(value, ARMS, where)
    return {arm: words(said, f"{where} {arm}") for arm, said in value.items()}


def _tokens(value: object, where: str) -> tuple[int, ...]:
    if not isinstance(value, list):
        raise ValueError(f"{where} must be a list of the prompts' numbers of tokens, not {plain(value)}")
    return tuple(int(positive(n, f"{where}, number {i + 1}", most=10**6, whole=True)) for i, n in enumerate(value))


def _yes_or_no(table: Mapping, key: str, where: str) -> bool | None:
    if key in table and not isinstance(table[key], bool):
        raise ValueError(f"{where} {key} must be true or false, not {plain(table[key])}")
    return table.get(key)


def _whole(table: Mapping, key: str, where: str, most: float) -> int | None:
    return int(positive(table[key], f"{where} {key}", most=most, whole=True)) if key in table else None


def _about(table: Mapping, where: str) -> Measurement:
    precision = words(table["precision"], f"{where} precision") if "precision" in table else None
    texts = words(table["texts"], f"{where} texts") if "texts" in table else None
    return Measurement(_whole(table, "n_texts", where, MOST_TEXTS), precision=precision, texts=texts)


def _ablations(table: Mapping, where: str, name: str, layers: int) -> Ablations:
    check_keys(table, ("name", "precision", "n_texts", "texts", "baseline", "mlp_over_attention", "zeroed"), where)
    of_arms = {}
    for key, least in (("baseline", 1), ("mlp_over_attention", 0)):
        given = table_of(table, key, f"{where} {key}")
        check_keys(given, ARMS, f"{where} {key}")
        of_arms[key] = {arm: figure(number, f"{where} {key} {arm}", least=least) for arm, number in given.items()}
    entries = table.get("zeroed", [])
    if not isinstance(entries, list) or not entries:
        raise ValueError(f"{where} needs a list of what was zeroed")
    zeroed = tuple(_zeroed(entry, f"{where} zeroed, number {i + 1}", layers) for i, entry in enumerate(entries))
    return Ablations(name, of_arms["baseline"], zeroed, of_arms["mlp_over_attention"], _about(table, where))


def _zeroed(entry: object, where: str, layers: int) -> Zeroed:
    """Perplexities may be 0: such a one was never measured, and is a finding, not a mistake of the file."""
    if not isinstance(entry, Mapping):
        raise ValueError(f"{where} must be a table, not {plain(entry)}")
    check_keys(entry, (*OF_ZEROED, *ARMS), where)
    modules = entry.get("modules")
    if not isinstance(modules, list) or not modules or any(module not in MODULES for module in modules):
        raise ValueError(f"{where} modules must be a list of {' or '.join(MODULES)}, not {plain(modules)}")
    if (positions := entry.get("positions", "all")) not in POSITIONS:
        raise ValueError(f"{where} positions must be {' or '.join(POSITIONS)}, not {plain(positions)}")
    numbers: dict[str, dict[str, Figure]] = {key: {} for key in NUMBERS}
    accuracies = {}
    for arm in ARMS:
        of_arm, here = table_of(entry, arm, f"{where} {arm}"), f"{where} {arm}"
        check_keys(of_arm, (*NUMBERS, "accuracies"), here)
        for key in NUMBERS:
            if key in of_arm:
                numbers[key][arm] = figure(of_arm[key], f"{here} {key}", least=0)
        shares = table_of(of_arm, "accuracies", f"{here} accuracies")
        accuracies[arm] = {
            words(task, f"{here} accuracies"): figure(share, f"{here} accuracies {task}", least=0, most=100)
            for task, share in shares.items()
        }
    of_layers = _layer(entry.get("layer"), f"{where} layer", layers)
    return Zeroed(tuple(sorted(set(modules))), positions, of_layers, **numbers, accuracies=accuracies)


def _layer(value: object, where: str, layers: int) -> dict[str, int | None]:
    """The layer of each arm: one for both, one for each, or None for all layers."""
    if value is None:
        return dict.fromkeys(ARMS)
    given = value if isinstance(value, Mapping) else dict.fromkeys(ARMS, value)
    check_keys(given, ARMS, where)
    if missing := [arm for arm in ARMS if arm not in given]:
        raise ValueError(f"{where} needs {missing[0]} as well")
    found = {arm: figure(layer, f"{where} ({arm})", least=0, most=layers - 1).value for arm, layer in given.items()}
    if any(layer != int(layer) for layer in found.values()):
        raise ValueError(f"{where} must be a whole number")
    return {arm: int(layer) for arm, layer in found.items()}


def _contexts(table: Mapping, where: str, name: str, layers: int) -> Contexts:
    check_keys(table, ("name", "precision", "texts", "n", "choices", "format", *ARMS), where)
    right = {}
    for arm in ARMS:
        for length, share in table_of(table, arm, f"{where} {arm}").items():
            if not re.fullmatch(r"[1-9][0-9]{0,9}", length):
                raise ValueError(f"{where} {arm} has an unknown key {length!r}: give a length in tokens, as in 2048")
            right[arm, int(length)] = figure(share, f"{where} {arm} {length}", least=0, most=100)
    if not right:
        raise ValueError(f"{where} has no figure")
    choices = _whole(table, "choices", where, CHOICES)
    if choices == 1:
        raise ValueError(f"{where} choices must be 2 or more, not 1")
    asked = words(table["format"], f"{where} format") if "format" in table else None
    return Contexts(name, right, _whole(table, "n", where, MOST_TEXTS), choices, asked, _about(table, where))


KINDS = {"layers": _layers, "ablations": _ablations, "contexts": _contexts}
