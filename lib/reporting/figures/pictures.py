"""The figures of a run: one table of all there are, and what draws them from what claims have read."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

from matplotlib.figure import Figure

from lib.definitions import write_whole
from lib.judging import NoSubject
from lib.reporting.figures import (
    bands,
    figures,
    layers,
    modules,
    series,
    sinks,
    sites,
    specificity,
    stream,
    tasks,
    thresholds,
)


class Picture(NamedTuple):
    """One figure: claims know it by its `name`, and the page shows it under the heading `group`.

    `needs` is the fixture whose data `drawing` takes, `also` are fixtures whose data it takes as well where they are
    read. `words` stand for the figure where it cannot be seen; they may depend on the data. One that `compares` the
    main arms is left out of a run of one arm.
    """

    name: str
    group: str
    needs: str
    drawing: Callable[..., Figure]
    words: str | Callable[..., str]
    also: tuple[str, ...] = ()
    compares: bool = False


def _layers(values) -> str:
    if len(values.arms) < 2:
        return ""
    return ", arms of different depth side by side" if values.other_layers() else ", difference between arms shaded"


def _within(disruption) -> str:
    return " (the arms have different tokenizers: heights compare within an arm)" if disruption.other_tokens else ""


def _of_query_and_key(
    group: str, name: str, drawing: Callable[..., Figure], words: str, *, compares: bool = False
) -> list[Picture]:
    return [
        Picture(f"{name}_{t}", group, "massive_values", partial(drawing, name=t), words.format(t), compares=compares)
        for t in ("query", "key")
    ]


WITH = ("with_dropped", "with_continued")
PICTURES = [
    Picture("counts", "Counts", "massive_values", figures.counts,
            "Massive query, key and value channels in each arm, with error bars"),
    Picture("query_per_layer", "Layers", "massive_values", layers.query_per_layer,
            lambda values: f"Massive query channels in every layer{_layers(values)}"),
    Picture("value_per_layer", "Layers", "massive_values", layers.value_per_layer,
            lambda values: f"Massive value channels in every layer{_layers(values)}"),
    Picture("change_per_layer", "Layers", "massive_values", layers.change_per_layer,
            "Change of massive query channels in every layer, layer 1 marked", compares=True),
    *_of_query_and_key("Layers", "overlap", series.overlap_per_layer,
            "Share of the massive {} channels of RoPE that are kept in the other arm, and Jaccard index, per layer",
            compares=True),
    Picture("slow_share", "Frequency and weights", "massive_values", figures.slow_share,
            "Massive query and key channels of the RoPE arm by rotary pair, fast to slow, slow half shaded"),
    Picture("rank_agreement", "Frequency and weights", "massive_values", figures.rank_agreement,
            "Rank correlation of row norms and measured norms in every layer of the RoPE arm"),
    *_of_query_and_key("Frequency and weights", "lorenz", series.lorenz_curves,
            "Lorenz curves of {} norms in each arm"),
    Picture("perplexity", "Damage", "disruption", figures.perplexity,
            lambda losses: "Perplexity undisturbed, under the control and with massive channels replaced, in each arm"
            f"{_within(losses)}"),
    Picture("damage_by_kind", "Damage", "disruption", figures.damage_by_kind,
            lambda losses: "Increase of perplexity with the massive channels zeroed, text by text, for every kind of "
            f"text{_within(losses)}"),
    Picture("bands", "Damage", "bands", bands.bands,
            "Rise of the loss with slow and with as many fast channels of the RoPE arm zeroed, text by text"),
    Picture("specificity", "Damage", "specificity", specificity.specificity,
            lambda losses: "Rise of the loss with massive, next-largest and random channels of equal energy replaced"
            f"{_within(losses)}"),
    Picture("stream_norms", "Residual stream and modules", "stream", stream.stream_norms,
            "Norm of the residual stream behind every layer, by position, in each arm; the first position apart"),
    Picture("module_shares", "Residual stream and modules", "stream", stream.module_shares,
            "Attention's share of what every layer adds to the residual stream, in each arm, with and without the "
            "first position"),
    Picture("state_norms", "Residual stream and modules", "stream", stream.state_norms,
            "Norm of query, key and value states in every layer, in each arm"),
    Picture("modules", "Residual stream and modules", "modules", modules.modules,
            lambda losses: "Rise of the loss with the output of modules or massive activations replaced, text by text, "
            f"in each arm{_within(losses)}"),
    Picture("sink_rates", "Attention sinks", "sinks", sinks.sink_rates,
            "Attention of every head to the first position of a text, and share of the heads of every layer that are "
            "sinks, on texts, random tokens and one repeated token, in each arm"),
    Picture("counts_over_steps", "Recalibration", "trajectory", series.counts_over_steps,
            "Massive channels at every checkpoint, by tensor", WITH),
    Picture("loss_over_steps", "Recalibration", "trajectory", series.loss_over_steps,
            "Loss at every checkpoint", WITH),
    Picture("query_heat_map", "Recalibration", "trajectory", series.query_heat_map,
            "Massive query channels of every layer at every checkpoint"),
    Picture("reliance_over_steps", "Recalibration", "reliance", series.reliance_over_steps,
            "Rise of the loss with massive channels zeroed, at every checkpoint"),
    Picture("recovery", "Recalibration", "recovery", series.recovery,
            "Share of the loss that recalibration recovers of what dropping the rotation costs, 95 % marked",
            ("trajectory",)),
    Picture("rescaled", "Rescaling and sites", "with_rescaled", series.rescaled,
            "Massive query and key channels of the RoPE arm and with its rotation rescaled, and their losses"),
    Picture("loss_by_position", "Rescaling and sites", "by_position", series.loss_by_position,
            "Loss of a text's tokens by position, in the RoPE arm and with its rotation rescaled, the trained "
            "length marked"),
    Picture("sites", "Rescaling and sites", "both_sites", sites.sites,
            "Massive channels and rotary pairs of the RoPE arm, before its rotation and as attention receives them"),
    Picture("tasks", "Tasks", "rope_answers", tasks.tasks,
            "Accuracy, log-probability of the right choice among the choices, and number of items for which no choice "
            "is written, for every task in each arm, with nothing, massive channels and others replaced", ("answers",)),
    Picture("hidden_facts", "Tasks", "rope_answers", tasks.hidden_facts,
            "Accuracy on facts that are hidden in a text, by its length and their depth, in each arm, with nothing, "
            "massive and a prompt's top channels replaced; unparsed: no choice is written", ("answers",)),
    Picture("threshold_curve", "Threshold", "threshold_curve", lambda found: thresholds.draw(**found),
            "Counts, and verdicts of Q1, K1 and V1, at thresholds from 2 to 10, over the layer and over each head"),
]  # fmt: skip
"""Every figure, in the order of the page. `threshold_curve` is no fixture: its data are that function's arguments."""
GROUPS = {picture.name: picture.group for picture in PICTURES}
"""The heading that the page shows a figure under."""


def draw(read: Mapping) -> dict[str, tuple[str, str]]:
    """The figures whose data are in `read`: `{name: (SVG, alternative text)}`.

    One that cannot be drawn must not take the report with it: it is "" and, in the place of the text, the reason.
    """
    return {name: (found and figures.as_svg(found), words) for name, found, words in _drawn(read)}


def write_all(folder: Path, read: Mapping) -> list[Path]:
    """Write the figures that can be drawn as NAME.svg and NAME.png; the folder is made. Returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, figure, _ in _drawn(read):
        if figure:
            for path, content in (
                (folder / f"{name}.svg", figures.as_svg(figure).encode()),
                (folder / f"{name}.png", figures.as_png(figure)),
            ):
                write_whole(path, content)
                written.append(path)
    return written


def _drawn(read: Mapping) -> Iterator[tuple[str, Figure | str, str]]:
    """Name, figure ("" where it cannot be drawn), and the words that stand for it or say why it cannot."""
    for picture in PICTURES:
        if picture.needs in read:
            data = read[picture.needs]
            if picture.compares and len(data.arms) < 2:
                continue
            words = picture.words if isinstance(picture.words, str) else picture.words(data)
            try:
                yield picture.name, picture.drawing(data, *(read.get(name) for name in picture.also)), words
            except (ValueError, NoSubject) as error:
                reason = error.judgement.reason if isinstance(error, NoSubject) else error
                yield picture.name, "", f"{words}: not drawn, since {reason}"
