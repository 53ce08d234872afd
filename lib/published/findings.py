"""Findings of an audit about the figures themselves, beside the verdicts: a plain sentence of computed numbers each.

A finding is a dict of JSON values: `kind`, `what`, `said` and `held` (a number, numbers or words by name, or None),
`ratio` (a number or None) and `sentence`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from math import log

from lib.definitions import ARMS, NAMES
from lib.judging import Proportion, proportion
from lib.published import accuracies
from lib.published.ablations import of_ablations
from lib.published.accuracies import REPLACED, Twice
from lib.published.agreement import TOLERANCE, compared, tables_agree
from lib.published.contexts import of_contexts
from lib.published.effects import nats, nats_of_kind
from lib.published.figures import (
    COLUMNS,
    CONDITIONS,
    GIVES,
    Column,
    Layers,
    Measurement,
    Published,
    Quantity,
    TaskTable,
)
from lib.published.implied import increase, layers_with_more, quantity
from lib.published.layers import of_layers, twice
from lib.published.sentences import LEVEL, STARTS, Finding, finding, listed, named
from lib.published.shares import of_shares
from lib.published.sinks import of_sinks
from lib.published.storage import of_storage
from lib.published.trials import p_of_arm, p_of_arms, that_gives
from lib.tasks import KNOWLEDGE

UNNATURAL = 2.0
"""Perplexity per token below which there is no natural text that a model has not seen: one bit per token. Shannon
(1951) puts printed English at 0.6 to 1.3 bits per letter, and a token of a language model has several letters."""
TABLES = {"massive_values": "counts of massive values", "disruption": "losses with channels zeroed"}


def audit_document(published: Published) -> dict:
    """The audit of a study as JSON values: `study`, `findings`, and `compared` as in `lib.published.agreement`."""
    rows = compared(published)
    return {"study": dict(published.study), "findings": findings(published, rows), "compared": rows}


def findings(published: Published, rows: list[dict]) -> list[Finding]:
    """All findings: faults of the figures first, then disagreements between them."""
    columns = published.columns.values()
    faults = [found for column in columns for found in _replicates(column)]
    faults += [found for column in columns for found in _tests(column)]
    faults += _measurements(published.columns)
    faults += _baseline(published.columns)
    faults += [found for column in columns for found in _headline(column)]
    faults += [found for column in columns for found in _scale(column)]
    faults += _kinds(published.columns)
    faults += _reliance_by_kind(published.columns)
    faults += [found for column in columns for found in _other_tensors(column)]
    for of_tables in (_left_out, _guessing, _few_items):
        faults += [f for column in columns for table in column.tasks for f in of_tables(column, table)]
    faults += [found for column in columns for found in _two_tables(column)]
    for of_figures in (of_sinks, of_layers, of_shares):
        faults += [found for column in columns for found in of_figures(column)]
    faults += [found for column in columns for found in _two_tables_of_layers(column, published.heads)]
    faults += of_ablations(published.columns)
    faults += of_contexts(published.columns)
    if len(published.columns) == len(COLUMNS):
        faults += of_storage(published.columns["text"], published.columns["stored"])
    return faults + [_disagreement(row) for row in rows if not (row["agrees"] or row["how"].startswith("tables"))]


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
        yield finding("replicates", f"trials under {arm}", sentence, said=trials, held=1)


def _tests(column: Column) -> Iterator[Finding]:
    """Which test of the trials gives a published p, and what the trials let it test."""
    differences = "the trials' massive minus random, in percent of perplexity,"
    candidates = [(("p", arm), f"massive against random under {arm}", "the trials", (arm,)) for arm in ARMS]
    candidates += [(("p of arms",), "rope against drope", differences, ARMS)]
    for meaning, what, tested, arms in candidates:
        by_test = p_of_arm(column, *arms) if len(arms) == 1 else p_of_arms(column)
        if not by_test or not (p := column.get(*meaning)):
            continue
        name = that_gives(p, by_test)
        if name:
            found = by_test[name]
            end = f"{name} on {tested} gives {found.low:.2g} to {found.high:.2g} within their rounding."
        else:
            found = next(iter(by_test.values()))
            tried = "; ".join(f"{test} {p.low:.2g} to {p.high:.2g}" for test, p in by_test.items())
            end = f"no usual test on {tested} gives it within their rounding ({tried})."
        if all(_only_random_varies(column, arm) for arm in arms):
            end += " Nothing varies in these trials but the draw of random channels, so it says nothing of texts."
        ratio = found.value / p.value if p.value else None
        sentence = f"{STARTS[column.name]} p = {p.value:.3g} of {what}: {end}"
        yield finding("test", f"p of {what}", sentence, said=p.value, held=found.value, ratio=ratio)


def _only_random_varies(column: Column, arm: str) -> bool:
    series = [column.series("perplexity", arm, condition) for condition in CONDITIONS[:2]]
    return all(s and len({figure.value for figure in s}) == 1 for s in series)


def _measurements(columns: dict[str, Column]) -> Iterator[Finding]:
    """Texts, lengths and precisions in which text and store differ: their figures are of other measurements."""
    if len(columns) < 2:
        return
    for table, what in TABLES.items():
        said, held = (asdict(columns[name].measured.get(table, Measurement())) for name in ("text", "stored"))
        differ = [
            key for key in said if key != "texts" and None not in (said[key], held[key]) and said[key] != held[key]
        ]
        if differ:
            sentence = (
                f"The text's {what} are of {_described(said)}, the stored ones of {_described(held)}: "
                "they are two measurements."
            )
            said, held = ({key: made[key] for key in differ} for made in (said, held))
            yield finding("measurement", what, sentence, said=said, held=held)
    yield from _precisions(columns)


def _precisions(columns: dict[str, Column]) -> Iterator[Finding]:
    """The tables of accuracies of which text and store say other precisions."""
    said, held = (
        {table.name: table.measured.precision for table in columns[name].tasks} for name in ("text", "stored")
    )
    for name, precision in said.items():
        if None not in (precision, held.get(name)) and precision != held[name]:
            what = f"accuracies on tasks{named(name)}"
            sentence = (
                f"The text's {what} are said to be of weights in {precision}, the stored ones are of weights in "
                f"{held[name]}."
            )
            yield finding("measurement", what, sentence, said={"precision": precision}, held={"precision": held[name]})


def _described(made: Mapping[str, int | str | None]) -> str:
    parts = [f"{made['n_texts']} texts" if made["n_texts"] else "texts"]
    parts += [f"of at most {made['max_tokens']} tokens"] if made["max_tokens"] else []
    parts += [f"in {made['precision']}"] if made["precision"] else []
    return " ".join(parts) + (f" ({made['texts']})" if made["texts"] else "")


def _baseline(columns: dict[str, Column]) -> Iterator[Finding]:
    """Baseline perplexities that are too low for natural text which the model has not seen."""
    losses = {name: _baseline_losses(column) for name, column in columns.items()}
    if not any(loss < log(UNNATURAL) for by_what in losses.values() for loss in by_what.values()):
        return
    parts = [f"{GIVES[name]} {listed(by_what, digits=3)}" for name, by_what in losses.items() if by_what]
    sentence = (
        f"Loss with nothing zeroed, in nats per token: {'; '.join(parts)}. Natural text that a model has not seen "
        f"costs more than {log(UNNATURAL):.2g}: these texts repeat themselves, or were seen before."
    )
    texts = {name: column.measured.get("disruption", Measurement()).texts for name, column in columns.items()}
    if any(texts.values()):
        sentence += f" Said of them: {'; '.join(f'{what} ({name})' for name, what in texts.items() if what)}."
    said, held = (losses.get(name) or None for name in ("text", "stored"))
    yield finding("baseline", "perplexity with nothing zeroed", sentence, said=said, held=held)


def _baseline_losses(column: Column) -> dict[str, float]:
    """The loss with nothing zeroed in nats per token: of each arm, and of every kind of text in it."""
    found = {}
    for arm in ARMS:
        meanings = {arm: ("perplexity", arm)}
        meanings |= {f"{arm}, {kind} texts": ("kind perplexity", arm, kind) for kind in column.kinds(arm)}
        for name, meaning in meanings.items():
            if series := column.series(*meaning, "baseline"):
                found[name] = log(quantity(series).value)
    return found


def _headline(column: Column) -> Iterator[Finding]:
    """Perplexities of all texts that are those of one kind of text alone."""
    for arm in ARMS:
        kinds = {kind: _before_and_after(column, "kind perplexity", arm, kind) for kind in column.kinds(arm)}
        of_all, kinds = _before_and_after(column, "perplexity", arm), {k: both for k, both in kinds.items() if both}
        if not of_all or len(kinds) < 2:
            continue
        same = [kind for kind, both in kinds.items() if all(_same(*pair) for pair in zip(of_all, both, strict=True))]
        if len(same) == 1:
            others = "; ".join(f"{_pair(both)} for {kind} texts" for kind, both in kinds.items() if kind not in same)
            sentence = (
                f"{STARTS[column.name]} as the perplexities of {arm} with nothing and with massive zeroed "
                f"{_pair(of_all)}: those of {same[0]} texts alone ({_pair(kinds[same[0]])}), with {others}."
            )
            held = {kind: both[1].value for kind, both in kinds.items()}
            what = f"kinds of text behind the figures of {arm}"
            yield finding("headline", what, sentence, said=of_all[1].value, held=held)


def _before_and_after(column: Column, *meaning: str) -> tuple[Quantity, ...] | None:
    series = [column.series(*meaning, condition) for condition in CONDITIONS[:2]]
    return tuple(quantity(s) for s in series) if all(series) else None


def _same(one: Quantity, other: Quantity) -> bool:
    return one.low <= other.high and other.low <= one.high


def _pair(both: tuple[Quantity, ...]) -> str:
    return " and ".join(f"{q.value:.6g}" for q in both)


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
        yield finding(
            "scale", "reliance of rope over that of drope", sentence, said=percent, held=rope / drope, ratio=ratio
        )


def _kinds(columns: dict[str, Column]) -> Iterator[Finding]:
    """How much the damage differs between kinds of text, where text and store disagree about it."""
    for arm in ARMS:
        factors = [factor for column in columns.values() if (factor := _factor(column, arm))]
        if len(factors) == 2 and _apart(*factors):
            of_text, of_store = factors
            text_nats, store_nats = (_spread_in_nats(columns[name], arm) for name in ("text", "stored"))
            sentence = (
                f"Between the most and the least damaged kind of text, the damage under {arm} in percent of perplexity "
                f"differs {of_store:.3g}-fold in the stored results, by {store_nats:.3g} nats per token; the text's "
                f"figures differ {of_text:.4g}-fold, by {text_nats:.3g} nats."
            )
            what = f"damage by kind of text under {arm}"
            yield finding("kinds", what, sentence, said=of_text, held=of_store, ratio=of_store / of_text)


def _factor(column: Column, arm: str) -> float | None:
    percents = [_of_kind(column, arm, kind) for kind in column.kinds(arm)]
    return max(percents) / min(percents) if len(percents) > 1 and min(percents) > 0 else None


def _spread_in_nats(column: Column, arm: str) -> float:
    """The most minus the least damage of a kind of text; every kind is damaged where `_factor` gives a number."""
    rises = [nats_of_kind(column, arm, kind) for kind in column.kinds(arm)]
    return max(rises) - min(rises)


def _reliance_by_kind(columns: dict[str, Column]) -> Iterator[Finding]:
    """The reliance ratio of every kind of text, where kinds differ, in percent and in nats."""
    ratios, in_nats = {}, {}
    for name, column in columns.items():
        kinds = [kind for kind in column.kinds("rope") if kind in column.kinds("drope")]
        if len(kinds) > 1 and all(_of_kind(column, arm, kind) > 0 for arm in ARMS for kind in kinds):
            ratios[name], in_nats[name] = (
                {kind: of(column, "rope", kind) / of(column, "drope", kind) for kind in kinds}
                for of in (_of_kind, nats_of_kind)
            )
    if not any(_apart(max(r.values()), min(r.values())) for r in ratios.values()):
        return
    parts = [f"{GIVES[name]} {listed(by_kind)}, in nats {listed(in_nats[name])}" for name, by_kind in ratios.items()]
    sentence = f"By kind of text, the reliance of rope over that of drope in percent of perplexity: {'; '.join(parts)}."
    yield finding(
        "reliance by kind", "reliance by kind of text", sentence, said=ratios.get("text"), held=ratios.get("stored")
    )


def _of_kind(column: Column, arm: str, kind: str) -> float:
    return column.figures["kind", arm, kind, "massive"].value


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
            yield finding("other tensors", f"layers of {name} with more", sentence, said=1, held=len(more[name]))


def _left_out(column: Column, table: TaskTable) -> Iterator[Finding]:
    """Accuracies that no number of right answers among so many items gives."""
    found = {}
    for arm, what, condition, figure, n in table.of_items():
        if not accuracies.fits(figure, n):
            found[f"{what} under {arm} {REPLACED[condition]}"] = (figure, n, accuracies.most_answers(figure, n))
    if found:
        parts = (f"{a.value:.6g} % ({what}) of {n}, {_at_most(most)}" for what, (a, n, most) in found.items())
        sentence = (
            f"{STARTS[column.name]} accuracies that no whole number of right answers gives{named(table.name)}: "
            f"{'; '.join(parts)}. Answers were left out, and accuracies are shares of other items."
        )
        said, held = ({what: values[i] for what, values in found.items()} for i in (1, 2))
        yield finding("items", f"items behind accuracies{named(table.name)}", sentence, said=said, held=held)


def _at_most(answers: int | None) -> str:
    return f"so of {answers} at most" if answers else "and no smaller number of answers gives it"


def _guessing(column: Column, table: TaskTable) -> Iterator[Finding]:
    """Accuracies with nothing replaced that guessing between the choices reaches as well."""
    accuracy, chance = {}, {}
    for arm, what, condition, figure, n in table.of_items():
        choices, numbers = table.tasks[what].choices, accuracies.fits(figure, n)
        if condition != "baseline" or not choices or len(numbers) != 1:
            continue
        if proportion(numbers[0], n).lower(LEVEL) <= 100 / choices:
            name = f"{what} under {arm}"
            accuracy[name], chance[name] = figure.value, 100 / choices
    if accuracy:
        parts = (f"{value:.3g} % ({name}; guessing {chance[name]:.3g} %)" for name, value in accuracy.items())
        sentence = (
            f"{STARTS[column.name]} accuracies with nothing replaced that are not above guessing{named(table.name)}: "
            f"{', '.join(parts)}. What falls from there tells nothing of what was known."
        )
        what = f"accuracies at chance{named(table.name)}"
        yield finding("guessing", what, sentence, said=accuracy, held=chance)


def _few_items(column: Column, table: TaskTable) -> Iterator[Finding]:
    """Changes of accuracy that so few items cannot tell from none: Newcombe's interval of the change holds 0.

    Source: Newcombe 1998, Statistics in Medicine 17(8), method 10. Items before and after are taken for uncorrelated.
    """
    lost, ends = {}, {}
    for arm, what, edit, after, n in table.of_items():
        before = table.figures.get(("accuracy", arm, what, "baseline"))
        if edit == "baseline" or not before:
            continue
        numbers = [accuracies.fits(figure, n) for figure in (before, after)]
        if all(len(found) == 1 for found in numbers):
            low, high = _change_in_points(*(proportion(found[0], n) for found in numbers))
            if low <= 0 <= high:
                name = f"{what} under {arm} {REPLACED[edit]}"
                lost[name], ends[name] = before.value - after.value, [low, high]
    if lost:
        parts = (f"{points:.3g} ({name}; {ends[name][0]:.3g} to {ends[name][1]:.3g})" for name, points in lost.items())
        sentence = (
            f"{STARTS[column.name]} losses of accuracy that so few items cannot tell from none{named(table.name)}, in "
            f"percentage points with {100 * (1 - LEVEL):g} % intervals: {', '.join(parts)}."
        )
        yield finding("few items", f"losses of accuracy{named(table.name)}", sentence, said=lost, held=ends)


def _change_in_points(before: Proportion, after: Proportion) -> tuple[float, float]:
    (low, high), (after_low, after_high) = ((p.lower(LEVEL / 2), p.upper(LEVEL / 2)) for p in (before, after))
    lost = before.value - after.value
    below = ((before.value - low) ** 2 + (after_high - after.value) ** 2) ** 0.5
    above = ((high - before.value) ** 2 + (after.value - after_low) ** 2) ** 0.5
    return lost - below, lost + above


def _two_tables(column: Column) -> Iterator[Finding]:
    """What two tables of accuracies contradict each other about, one finding for each task and arm."""
    found: dict[tuple[str, str, str], list[Twice]] = {}
    for pair in accuracies.twice(column):
        found.setdefault((pair.other.name, pair.meaning[2], pair.meaning[1]), []).append(pair)
    for (_, what, arm), pairs in found.items():
        if not (apart := [pair for pair in pairs if not tables_agree(pair)]):
            continue
        subject = f"{what}{' tasks' * (what in KNOWLEDGE)} under {arm}"
        first, other = pairs[0].first, pairs[0].other
        sentence = (
            f"{STARTS[column.name]} accuracies on {subject} twice: {_told(first, pairs, 'one')}; "
            f"{_told(other, pairs, 'two')}. The two do not agree about {' and '.join(map(_apart_by, apart))}."
        )
        said, held = ({_short(p): getattr(p, side).value for p in pairs} for side in ("one", "two"))
        yield finding("two tables", subject, sentence, said=said, held=held)


def _two_tables_of_layers(column: Column, heads: int | None) -> Iterator[Finding]:
    """What two tables of one quantity contradict each other about, one finding for both."""
    for both in twice(column, heads):
        if not (apart := [pair for pair in both.pairs if not tables_agree(pair)]):
            continue
        parts = (f"{pair.one.value:.3g} and {pair.two.value:.3g} ({pair.what})" for pair in apart)
        sentence = (
            f"{STARTS[column.name]} {both.first.quantity} twice, in {_prompts(both.first)} and {_prompts(both.other)}. "
            f"Of {len(both.pairs)} figures that both have, these do not agree: {', '.join(parts)}."
        )
        said, held = ({pair.what: getattr(pair, side).value for pair in apart} for side in ("one", "two"))
        what = f"{both.first.quantity} ({both.first.name}, {both.other.name})"
        yield finding("two tables", what, sentence, said=said, held=held)


def _prompts(table: Layers) -> str:
    """The name of a table, with its prompts if they are known."""
    if not table.tokens:
        return table.name
    return f"{table.name} ({len(table.tokens)} prompts of {min(table.tokens)} to {max(table.tokens)} tokens)"


def _short(pair: Twice) -> str:
    kind, _, _, condition = pair.meaning
    return condition if kind == "accuracy" else f"lost, {condition}"


def _told(table: TaskTable, pairs: list[Twice], side: str) -> str:
    """What one of the two tables gives, with its precision and its items if they are known."""
    values = {(p.meaning[0], p.meaning[3]): getattr(p, side).value for p in pairs}
    parts = []
    for (kind, condition), value in values.items():
        lost = values.get(("lost", condition))
        if kind == "accuracy":
            loss = "" if lost is None else f" (a loss of {lost:.3g} %)"
            parts.append(f"{value:.3g} % {REPLACED[condition]}{loss}")
        elif ("accuracy", condition) not in values:
            parts.append(f"a loss of {value:.3g} % {REPLACED[condition]}")
    task = table.tasks.get(pairs[0].meaning[2])
    about = [f"in {table.measured.precision}"] if table.measured.precision else []
    about += [f"n = {task.n}"] if task and task.n else []
    about += [task.items] if task and task.items else []
    described = f" ({', '.join(about)})" if about else ""
    return f"{table.name or 'one table'}{described} {', '.join(parts)}"


def _apart_by(pair: Twice) -> str:
    kind, unit = ("the accuracy", "points") if pair.meaning[0] == "accuracy" else ("what is lost", "%")
    error = f", standard error {pair.error:.2g}" if pair.error is not None else ""
    by = f"{abs(pair.one.value - pair.two.value):.3g} {unit} apart"
    return f"{kind} {REPLACED[pair.meaning[3]]} ({by}{error})"


def _disagreement(row: dict) -> Finding:
    ratio = f" ({row['ratio']:.3g} times as much)" if row["ratio"] is not None else ""
    what, _, bound = row["what"].partition(" (said: ")
    bound = bound.removesuffix(")")
    said = f"{bound} {row['said']:.6g}".lstrip()
    if row["how"] == "text and store":
        kind, end = "disagreement", f"the text says {said}, the store holds {row['held']:.6g}{ratio}."
    else:
        source = row["how"].removeprefix("arithmetic of ")
        kind = "arithmetic"
        end = f"{source} gives {said}, but its other figures make it {row['held']:.6g}{ratio}."
    return finding(
        kind, row["what"], f"{what[0].upper()}{what[1:]}: {end}", said=row["said"], held=row["held"], ratio=row["ratio"]
    )


def _apart(one: float, other: float) -> bool:
    return abs(one - other) > TOLERANCE * max(abs(one), abs(other))
