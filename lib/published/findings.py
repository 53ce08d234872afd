"""Findings of an audit about the figures themselves, beside the verdicts: a plain sentence of computed numbers each.

A finding is a dict of JSON values: `kind`, `what`, `said` and `held` (a number, numbers by name, or None), `ratio` (a
number or None) and `sentence`.
"""

from collections.abc import Iterator

from lib.definitions import ARMS, NAMES
from lib.published.agreement import TOLERANCE, compared
from lib.published.effects import GIVES, nats
from lib.published.figures import CONDITIONS, Column, Published
from lib.published.implied import increase, layers_with_more

Finding = dict[str, object]
STARTS = {name: gives[0].upper() + gives[1:] for name, gives in GIVES.items()}


def audit_document(published: Published) -> dict:
    """The audit of a study as JSON values: `study`, `findings`, and `compared` as in `lib.published.agreement`."""
    rows = compared(published)
    return {"study": dict(published.study), "findings": findings(published, rows), "compared": rows}


def findings(published: Published, rows: list[dict]) -> list[Finding]:
    """All findings: faults of the figures first, then disagreements between them."""
    columns = published.columns.values()
    faults = [finding for column in columns for finding in _replicates(column)]
    faults += [finding for column in columns for finding in _scale(column)]
    faults += _kinds(published.columns)
    faults += _reliance_by_kind(published.columns)
    faults += [finding for column in columns for finding in _other_tensors(column)]
    return faults + [_disagreement(row) for row in rows if not row["agrees"]]


def _finding(kind: str, what: str, sentence: str, *, said=None, held=None, ratio=None) -> Finding:
    return {"kind": kind, "what": what, "said": said, "held": held, "ratio": ratio, "sentence": sentence}


def _replicates(column: Column) -> Iterator[Finding]:
    """A series of one number repeated, beside one that varies: the trials repeat only the random part."""
    for arm in ARMS:
        series = {c: f for c in CONDITIONS if (f := column.series("perplexity", arm, c))}
        constant = [c for c, f in series.items() if len({figure.value for figure in f}) == 1]
        varying = [c for c in series if c not in constant]
        if not constant or not varying:
            continue
        trials = len(series[constant[0]])
        tests = {"p": column.get("p", arm), "Cohen's d": column.get("d", arm)}
        given = [f"{name} = {figure.value:.6g}" for name, figure in tests.items() if figure]
        sentence = (
            f"{STARTS[column.name]} {trials} trials for the {arm} arm, but {' and '.join(constant)} "
            f"{'is' if len(constant) == 1 else 'are each'} one number repeated while {' and '.join(varying)} "
            f"{'varies' if len(varying) == 1 else 'vary'}: the trials are no replicates"
            + (f", and {' and '.join(given)} from them mean nothing." if given else ".")
        )
        yield _finding("replicates", f"trials under {arm}", sentence, said=trials, held=1)


def _scale(column: Column) -> Iterator[Finding]:
    """The reliance of the arms as a ratio of percents, and of the same figures in nats."""
    percents, rises = [increase(column, arm) for arm in ARMS], [nats(column, arm, "massive") for arm in ARMS]
    if not all(percents) or any(r is None for r in rises):
        return
    rope, drope = (float(rise.mean()) for rise in rises)
    if percents[1].value <= 0 or drope <= 0:
        return
    stated = column.get("reliance")
    percent = stated.value if stated else percents[0].value / percents[1].value
    if _apart(percent, rope / drope):
        sentence = (
            f"{STARTS[column.name]} a reliance of rope on massive values that is {percent:.3g}-fold that of drope in "
            f"percent of perplexity; in nats per token the same figures are {rope:.3g} and {drope:.3g}, "
            f"{rope / drope:.2g}-fold."
        )
        ratio = rope / drope / percent
        yield _finding(
            "scale", "reliance of rope over that of drope", sentence, said=percent, held=rope / drope, ratio=ratio
        )


def _kinds(columns: dict[str, Column]) -> Iterator[Finding]:
    """How much the damage differs between kinds of text, where text and store disagree about it."""
    for arm in ARMS:
        factors = [factor for column in columns.values() if (factor := _factor(column, arm))]
        if len(factors) == 2 and _apart(*factors):
            of_text, of_store = factors
            sentence = (
                f"Between the most and the least damaged kind of text, the damage under {arm} in percent of perplexity "
                f"differs {of_store:.3g}-fold in the stored results; the text's figures differ {of_text:.4g}-fold."
            )
            what = f"damage by kind of text under {arm}"
            yield _finding("kinds", what, sentence, said=of_text, held=of_store, ratio=of_store / of_text)


def _factor(column: Column, arm: str) -> float | None:
    percents = [_of_kind(column, arm, kind) for kind in column.kinds(arm)]
    return max(percents) / min(percents) if len(percents) > 1 and min(percents) > 0 else None


def _reliance_by_kind(columns: dict[str, Column]) -> Iterator[Finding]:
    """The reliance ratio of every kind of text, where kinds differ."""
    ratios = {}
    for name, column in columns.items():
        kinds = [kind for kind in column.kinds("rope") if kind in column.kinds("drope")]
        if len(kinds) > 1 and all(_of_kind(column, arm, kind) > 0 for arm in ARMS for kind in kinds):
            ratios[name] = {kind: _of_kind(column, "rope", kind) / _of_kind(column, "drope", kind) for kind in kinds}
    if not any(_apart(max(r.values()), min(r.values())) for r in ratios.values()):
        return
    parts = [f"{GIVES[name]} {_listed(by_kind)}" for name, by_kind in ratios.items()]
    sentence = f"By kind of text, the reliance of rope over that of drope in percent of perplexity: {'; '.join(parts)}."
    yield _finding(
        "reliance by kind", "reliance by kind of text", sentence, said=ratios.get("text"), held=ratios.get("stored")
    )


def _of_kind(column: Column, arm: str, kind: str) -> float:
    return column.figures["kind", arm, kind, "massive"].value


def _listed(numbers: dict[str, float]) -> str:
    return ", ".join(f"{number:.2g} ({name})" for name, number in numbers.items())


def _other_tensors(column: Column) -> Iterator[Finding]:
    """The claim about Query that no layer but layer 1 has more under DroPE, tried on the other tensors."""
    more = {name: layers for name in NAMES if (layers := layers_with_more(column, name)) is not None}
    for name in NAMES[1:]:
        others = {layer: gain for layer, gain in more.get(name, {}).items() if layer != 1}
        # if it is false of Query, the claim itself is refuted
        if others and "query" in more and not set(more["query"]) - {1}:
            most = max(others, key=others.get)
            sentence = (
                f"{STARTS[column.name]} more massive values under drope in {len(more[name])} layers of {name} "
                f"({', '.join(map(str, more[name]))}; but for layer 1, layer {most} has the largest gain, "
                f"{others[most]:.3g}): that no layer but layer 1 has more is true of query, not of {name}."
            )
            yield _finding("other tensors", f"layers of {name} with more", sentence, said=1, held=len(more[name]))


def _disagreement(row: dict) -> Finding:
    ratio = f" ({row['ratio']:.3g} times as much)" if row["ratio"] is not None else ""
    if row["how"] == "text and store":
        kind, end = "disagreement", f"the text says {row['said']:.6g}, the store holds {row['held']:.6g}{ratio}."
    else:
        source = row["how"].removeprefix("arithmetic of ")
        kind = "arithmetic"
        end = f"{source} gives {row['said']:.6g}, but its other figures make it {row['held']:.6g}{ratio}."
    sentence = f"{row['what'][0].upper()}{row['what'][1:]}: {end}"
    return _finding(kind, row["what"], sentence, said=row["said"], held=row["held"], ratio=row["ratio"])


def _apart(one: float, other: float) -> bool:
    return abs(one - other) > TOLERANCE * max(abs(one), abs(other))
