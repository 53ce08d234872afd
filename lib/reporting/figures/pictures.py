"""The figures of a run, drawn from what its claims have read: `{name: (SVG, alternative text)}`."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial

from lib.judging import NoSubject
from lib.reporting.figures import bands, figures, layers, series, sites

Drawing = tuple[str, Callable[[], str], str]
"""The name that claims know a figure by, what draws it, and the text that stands for it."""


def draw(read: Mapping) -> dict[str, tuple[str, str]]:
    """All figures for which there is something to draw.

    One that cannot be drawn must not take the report with it: it is "" and, in the place of the text, the reason.
    """
    drawn = {}
    for name, drawing, words in _drawings(read):
        try:
            drawn[name] = drawing(), words
        except (ValueError, NoSubject) as error:
            reason = error.judgement.reason if isinstance(error, NoSubject) else error
            drawn[name] = "", f"{words}: not drawn, since {reason}"
    return drawn


def _drawings(read: Mapping) -> Iterator[Drawing]:
    if "massive_values" in read:
        yield from _of_values(read["massive_values"])
    if "with_rescaled" in read:
        words = "Massive query and key channels of the RoPE arm and with its rotation rescaled, and their losses"
        yield "rescaled", partial(series.rescaled, read["with_rescaled"]), words
    if "both_sites" in read:
        words = "Massive channels and rotary pairs of the RoPE arm, before its rotation and as attention receives them"
        yield "sites", partial(sites.sites, read["both_sites"]), words
    if "disruption" in read:
        yield from _of_losses(read["disruption"])
    if "bands" in read:
        words = "Rise of the loss with slow and with as many fast channels of the RoPE arm zeroed, text by text"
        yield "bands", partial(bands.bands, read["bands"]), words
    if "trajectory" in read:
        yield from _of_series(read["trajectory"], read.get("with_dropped"), read.get("with_continued"))
    if "reliance" in read:
        words = "Rise of the loss with massive channels zeroed, at every checkpoint"
        yield "reliance_over_steps", partial(series.reliance_over_steps, read["reliance"]), words


def _of_values(values) -> Iterator[Drawing]:
    said_of = "difference between arms shaded" if not values.other_layers() else "arms of different depth side by side"
    pairs = "Massive query and key channels of the RoPE arm by rotary pair, fast to slow, slow half shaded"
    words = {
        figures.counts: "Massive query, key and value channels in both arms, with error bars",
        layers.query_per_layer: f"Massive query channels in every layer, {said_of}",
        layers.value_per_layer: f"Massive value channels in every layer, {said_of}",
        figures.slow_share: pairs,
        layers.change_per_layer: "Change of massive query channels in every layer, layer 1 marked",
        figures.rank_agreement: "Rank correlation of row norms and measured norms in every layer of the RoPE arm",
    }
    for drawing, said in words.items():
        yield drawing.__name__, partial(drawing, values), said
    for name in ("query", "key"):
        kept = f"Share of the massive {name} channels of RoPE that are kept under DroPE, and Jaccard index, per layer"
        spread = f"Lorenz curves of {name} norms in both arms"
        yield f"lorenz_{name}", partial(series.lorenz_curves, values, name), spread
        yield f"overlap_{name}", partial(series.overlap_per_layer, values, name), kept


def _of_losses(disruption) -> Iterator[Drawing]:
    apart = " (the arms have different tokenizers: heights compare within an arm)" if disruption.other_tokens else ""
    words = f"Perplexity undisturbed, under the control and with massive channels replaced, in both arms{apart}"
    yield "perplexity", partial(figures.perplexity, disruption), words
    words = f"Increase of perplexity with the massive channels zeroed, text by text, for every kind of text{apart}"
    yield "damage_by_kind", partial(figures.damage_by_kind, disruption), words


def _of_series(trajectory, dropped, continued) -> Iterator[Drawing]:
    counts, loss = series.counts_over_steps, series.loss_over_steps
    words = "Massive channels at every checkpoint, by tensor"
    yield "counts_over_steps", partial(counts, trajectory, dropped, continued), words
    yield "loss_over_steps", partial(loss, trajectory, dropped, continued), "Loss at every checkpoint"
    words = "Massive query channels of every layer at every checkpoint"
    yield "query_heat_map", partial(series.query_heat_map, trajectory), words
