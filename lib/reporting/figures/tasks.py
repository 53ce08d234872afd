"""The figures of tasks: what is answered with channels replaced, and where in a text a hidden fact is still found."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lib.definitions import ASKED
from lib.effects import Answers
from lib.judging import NoSubject, mean
from lib.reporting.figures.figures import clean, legend
from lib.tasks import KNOWLEDGE

COLOURS = dict(zip(ASKED, ("#222222", "#b23b3b", "#3b6fb6", "#7fb2e5", "#d9822b", "#4d9a5b"), strict=True))
MARKS = dict(zip(ASKED, "oDsv^<", strict=True))
ALPHA = 0.025
"""Level of each bound of an interval: both together leave out 5 %."""
MAPPED = ("baseline", "massive", "top")
"""Conditions of which there is a map."""
ROW, CELL = 0.37, 0.36
"""Heights of a task and of a row of a map in inches."""
BEYOND = "#b23b3b"
LETTERS = 18
"""Letters of a task's name that are shown."""


def tasks(rope: Answers, both: Answers | None = None) -> Figure:
    """For each arm a row of three panels with a line for every task, contextual tasks above parametric ones.

    Left the accuracy in percent, with Wilson's intervals; in the middle the mean log-probability of the right choice
    among the choices in nats, which never saturates, with Student's; on the right the number of items for which greedy
    decoding writes none of the choices. A grey stroke is chance. Arms are those of `both` where there are two.
    """
    answers = both or rope
    arms = list(answers.records)
    lines = len(_lines(answers))
    asked = _asked(answers, ASKED)
    figure = Figure(figsize=(6.4, 0.8 + len(arms) * (ROW * lines + 1.2)), layout="constrained")
    rows = figure.subplots(len(arms), 3, squeeze=False, sharex="col", sharey="row", width_ratios=[2.1, 1.7, 1.8])
    for arm, (accuracy, odds, unparsed) in zip(arms, rows, strict=True):
        _accuracy(clean(accuracy), answers, arm)
        _odds(clean(odds), answers, arm)
        _unparsed(unparsed, answers, arm, asked)
        accuracy.set_title(answers.label(arm), fontsize=10, fontweight="bold", loc="left")
        for axes in (accuracy, odds, unparsed):
            axes.tick_params(labelbottom=True, labelsize=8)
    handles = [Line2D([], [], color=COLOURS[n], marker=MARKS[n], markersize=4, linewidth=1, label=n) for n in asked]
    legend(figure, [*handles, Line2D([], [], color="#999999", linewidth=2, label="chance")])
    return figure


def _asked(answers: Answers, wanted: Sequence[str]) -> list[str]:
    """Those of the conditions in which any arm was asked."""
    return [name for name in wanted if any(name in answers.conditions(arm) for arm in answers.records)]


def _lines(answers: Answers) -> list[str | None]:
    """Tasks from top to bottom; None where the heading of a kind of knowledge stands."""
    kinds = (answers.tasks(knowledge) for knowledge in KNOWLEDGE)
    return [line for kind in kinds if kind for line in (None, *kind)]


def _accuracy(axes: Axes, answers: Answers, arm: str) -> None:
    labels = []
    for place, task in enumerate(_lines(answers)):
        if task is None:
            labels.append("")
            continue
        among = answers.among(arm, task=task)
        labels.append(f"{_short(task)} ({among.sum()})")
        _chance(axes, _mean_chance(answers, arm, task), place)
        for condition, y in _places(answers, arm, place):
            share = answers.accuracy(arm, condition, task=task)
            _mark(axes, condition, y, share.value, share.lower(ALPHA), share.upper(ALPHA))
    axes.set_xlim(-4, 104)
    axes.set_xlabel("accuracy, %", fontsize=8)
    axes.set_yticks(range(len(labels)), labels, parse_math=False)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(labels) - 0.4, -0.5)
    for knowledge in KNOWLEDGE:
        if found := answers.tasks(knowledge):
            place = _lines(answers).index(found[0]) - 1
            axes.text(-0.02, place + 0.2, f"{knowledge} (items)", transform=axes.get_yaxis_transform(), ha="right",
                      va="center", fontsize=8, fontstyle="italic")  # fmt: skip


def _odds(axes: Axes, answers: Answers, arm: str) -> None:
    for place, task in enumerate(_lines(answers)):
        if task is None:
            continue
        among = answers.among(arm, task=task)
        _chance(axes, np.log(answers.chance(arm)[among]).mean(), place)
        for condition, y in _places(answers, arm, place):
            found = mean(answers.odds(arm, condition)[among]).if_normal
            low, high = (found.lower(ALPHA), found.upper(ALPHA)) if found.n > 1 else (found.value,) * 2
            _mark(axes, condition, y, found.value, low, high)
    axes.set_xlabel("log-probability of the\nright choice, nats", fontsize=8)
    axes.tick_params(axis="y", length=0, labelleft=False)


def _unparsed(axes: Axes, answers: Answers, arm: str, asked: Sequence[str]) -> None:
    """A table of counts: a line for every task, a column for every condition."""
    for place, task in enumerate(_lines(answers)):
        if task is None:
            continue
        among = answers.among(arm, task=task)
        for column, condition in enumerate(asked):
            if condition not in answers.conditions(arm):
                continue
            number = int(answers.unparsed(arm, condition)[among].sum())
            axes.text(column, place, str(number), ha="center", va="center", fontsize=7, color=COLOURS[condition])
    axes.set_xlim(-0.6, len(asked) - 0.4)
    axes.set_xticks(range(len(asked)), asked, rotation=90)
    axes.set_xlabel("items without any\nchoice written", fontsize=8)
    axes.tick_params(length=0, labelleft=False)
    axes.spines[:].set_visible(False)


def _places(answers: Answers, arm: str, place: int) -> list[tuple[str, float]]:
    """Where each condition of an arm stands within the line of a task."""
    asked = answers.conditions(arm)
    return list(zip(asked, place + np.linspace(-0.33, 0.33, len(asked)), strict=True))


def _mean_chance(answers: Answers, arm: str, task: str) -> float:
    return 100 * float(answers.chance(arm)[answers.among(arm, task=task)].mean())


def _chance(axes: Axes, value: float, place: int) -> None:
    axes.vlines(value, place - 0.42, place + 0.42, color="#bbbbbb", linewidth=2, zorder=1)


def _mark(axes: Axes, condition: str, y: float, value: float, low: float, high: float) -> None:
    axes.hlines(y, low, high, color=COLOURS[condition], linewidth=1, zorder=2)
    axes.plot(value, y, MARKS[condition], color=COLOURS[condition], markersize=3, zorder=3)


def _short(name: str) -> str:
    return name if len(name) <= LETTERS else f"{name[: LETTERS - 2]} .."


def hidden_facts(rope: Answers, both: Answers | None = None) -> Figure:
    """Maps of the accuracy on facts that are hidden in a text: a row of maps for each arm, a map for each condition.

    Rows of a map are lengths of the text, with their mean number of tokens, columns the depth of the fact, in
    percent of the sentences. Rows that
    are longer than the arm was trained to read are marked, if its record tells. Above a map stands for how many items
    greedy decoding writes none of the choices. Where several tasks hide facts, each has maps of its own. A place
    without items is empty. Raises NoSubject if no task hides facts.
    """
    answers = both or rope
    shown = [(task, arm) for arm in answers.records for task in answers.hiding(arm)]
    if not shown:
        raise NoSubject("no task was given that hides a fact at a known length and depth")
    conditions = _asked(answers, MAPPED)
    heights = [len(_axis(answers, arm, task)[0]) for task, arm in shown]
    figure = Figure(figsize=(6.4, 0.7 + sum(CELL * height + 1.0 for height in heights)), layout="constrained")
    rows = figure.subplots(len(shown), len(conditions), squeeze=False, height_ratios=[CELL * h + 0.3 for h in heights])
    for (task, arm), row in zip(shown, rows, strict=True):
        for condition, axes in zip(conditions, row, strict=True):
            if condition in answers.conditions(arm):
                drawn = _map(axes, answers, arm, task, condition)
            else:
                axes.set_visible(False)
        _name_rows(row[0], answers, arm, task)
    bar = figure.colorbar(drawn, ax=rows, shrink=min(1.0, 2.5 / figure.get_figheight()), pad=0.02)
    for chance in {_mean_chance(answers, arm, task) for task, arm in shown}:
        bar.ax.axhline(chance, color="white", linewidth=1.5)
    bar.set_label("accuracy, % (white stroke: chance)", fontsize=8)
    bar.ax.tick_params(labelsize=8)
    return figure


def _axis(answers: Answers, arm: str, task: str) -> tuple[list[float], list[float]]:
    """The lengths and the depths of a task's items, in rising order."""
    lengths, depths = zip(*answers.places(arm, task), strict=True)
    return sorted(set(lengths)), sorted(set(depths))


def _map(axes: Axes, answers: Answers, arm: str, task: str, condition: str):
    lengths, depths = _axis(answers, arm, task)
    shares = np.full((len(lengths), len(depths)), np.nan)
    for length, depth in answers.places(arm, task):
        place = lengths.index(length), depths.index(depth)
        shares[place] = answers.accuracy(arm, condition, task=task, length=length, depth=depth).value
        colour = "white" if shares[place] < 55 else "black"
        axes.text(*place[::-1], f"{shares[place]:.0f}", ha="center", va="center", fontsize=7.5, color=colour)
    drawn = axes.imshow(shares, cmap="cividis", vmin=0, vmax=100, aspect="auto")
    among = answers.among(arm, task=task)
    unparsed = int(answers.unparsed(arm, condition)[among].sum())
    axes.set_title(f"{condition}\nunparsed: {unparsed} of {among.sum()}", fontsize=8)
    axes.set_xticks(range(len(depths)), [f"{100 * depth:.3g}" for depth in depths])
    axes.set_yticks([])
    axes.set_xlabel("depth, %", fontsize=8)
    axes.tick_params(labelsize=8, length=0)
    axes.spines[:].set_visible(False)
    return drawn


def _name_rows(axes: Axes, answers: Answers, arm: str, task: str) -> None:
    """The rows of the first map of an arm: sentences and mean tokens, and a mark beyond the trained length."""
    lengths, _ = _axis(answers, arm, task)
    numbers = [answers.among(arm, task=task, length=n, depth=d).sum() for n, d in answers.places(arm, task)]
    each = " to ".join(f"{number}" for number in sorted({min(numbers), max(numbers)}))
    tokens = [answers.tokens(arm, task=task, length=length) for length in lengths]
    trained = answers.trained_length(arm) or np.inf
    labels = [f"{length:g} sentences\n{number:.0f} tokens" for length, number in zip(lengths, tokens, strict=True)]
    labels = [f"{label} *" if number > trained else label for label, number in zip(labels, tokens, strict=True)]
    axes.set_yticks(range(len(lengths)), labels)
    for label, number in zip(axes.get_yticklabels(), tokens, strict=True):
        label.set_color(BEYOND if number > trained else "black")
    beyond = f"\n* beyond the trained {trained:g}" if max(tokens) > trained else ""
    what = f"{answers.label(arm)}, {_short(task)}\nitems at each place: {each}{beyond}"
    axes.set_ylabel(what, fontsize=8, parse_math=False)
