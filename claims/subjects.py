"""What claims are tried on: planted records of every kind that a claim reads, with the answer known beforehand."""

import tomllib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np

import lib.planted as planted
from lib.effects import ARMS, MassiveValues
from lib.losses import Bands, Disruption
from lib.sites import AFTER, BEFORE
from lib.trajectory import Trajectory

STUDY = tomllib.loads(Path(planted.__file__).with_name("published").joinpath("africa2026.toml").read_text())
NAMES = ("query", "key", "value")
LAYERS = {  # mean counts per layer in the RoPE and the DroPE arm of a pair on which every claim about counts holds
    "query": ([100, 3, 100, 100], [45, 50, 50, 45]),
    "key": ([100, 100, 100, 100], [89, 89, 89, 89]),
    "value": ([40, 40, 5, 5], [40, 40, 5, 5]),
}
Subject = MassiveValues | Disruption | Bands | Trajectory


def massive_values(
    *,
    spread: float = 0.02,
    slow: float | Sequence[float] = 0.95,
    texts: int = 20,
    kv_heads: int = 8,
    **changed: tuple,
) -> MassiveValues:
    """Planted counts of both arms: those of LAYERS but for the tensors `changed`; totals vary by `spread`.

    Query has 8 heads; `kv_heads` are those of key and value.
    """
    layers = {**LAYERS, **changed}
    records = {}
    for i, arm in enumerate(ARMS):
        counts = {}
        for j, name in enumerate(NAMES):
            totals = sum(layers[name][i]) * (1 + planted.scatter(texts, spread=spread, seed=10 * i + j))
            counts[name] = planted.layer_counts(layers[name][i], totals, seed=10 * i + j)
        records[arm] = planted.norms_record(counts, slow=slow, seed=i, kv_heads=kv_heads)
    return MassiveValues(records)


def repeated(subject: MassiveValues, arm: str, *, heads: int = 1, layers: int = 1) -> MassiveValues:
    """The same subject with every head and every layer of an arm so many times: another shape, the same rates."""
    record = subject.records[arm]
    times = {"head": heads, "kv_head": heads, "layer": layers}
    places = {dim: np.repeat(np.arange(record.sizes[dim]), n) for dim, n in times.items()}
    return MassiveValues({**subject.records, arm: record.isel(places)})


def disruption(**rises: dict) -> Disruption:
    """Planted losses of both arms; `rises[arm]` are arguments of `planted.losses`, by default the study's damage."""
    rises = {"rope": {"massive": 7.06}, "drope": {"massive": 2.72}} | rises
    return Disruption({arm: planted.disruption_record(planted.losses(**rises[arm])) for arm in ARMS})


def each_arm(**rise) -> Disruption:
    """Planted losses, the same in both arms."""
    return disruption(rope=rise, drope=rise)


def by_kind(*percents: float) -> np.ndarray:
    """Rise in nats of 18 texts of three kinds, from the increase of perplexity in percent of each kind."""
    return np.log1p(np.repeat(percents, 6) / 100)


@cache
def study_counts() -> MassiveValues:
    """The study's counts: the stored distribution over layers, the published totals and their spread over texts."""
    records = {}
    for i, arm in enumerate(ARMS):
        counts = {}
        for j, name in enumerate(NAMES):
            center, spread = STUDY["text"]["massive_values"][name][arm]
            totals = center + planted.scatter(20, spread=spread, seed=10 * i + j)
            counts[name] = planted.layer_counts(STUDY["stored"]["massive_values"][arm][name], totals, seed=10 * i + j)
        records[arm] = planted.norms_record(counts, heads=32, kv_heads=32, dim=128, seed=i)
    return MassiveValues(records)


def study_losses() -> Disruption:
    """The study's published perplexities, and its ten stored control runs."""
    rises = {}
    for arm in ARMS:
        said, stored = STUDY["text"]["disruption"][arm], STUDY["stored"]["disruption"][arm]
        rises[arm] = {
            "massive": np.log(said["massive"] / said["baseline"]),
            "controls": np.log(np.divide(stored["random"], stored["baseline"])),
            "baseline": np.log(said["baseline"]),
        }
    return disruption(**rises)


def study_kinds(*, stored: bool) -> Disruption:
    """The study's damage by kind of text: as published, or as stored."""
    kinds = ("literary", "technical", "repetitive")
    said, held = STUDY["text"]["disruption_by_text_type"], STUDY["stored"]["disruption_by_text_type"]
    return disruption(
        **{
            arm: {
                "massive": by_kind(
                    *(held[arm][kind]["massive_increase_percent"] if stored else said[kind][arm] for kind in kinds)
                )
            }
            for arm in ARMS
        }
    )


def with_third(
    arm: str, third_query=(), third_key=(), *, spread: float = 0.02, kv_heads: int = 8, **changed
) -> MassiveValues:
    """Planted counts of both arms and of a third one, whose query and key counts per layer are given here."""
    both = massive_values(spread=spread, kv_heads=kv_heads, **changed)
    given = {"query": (third_query or [100, 3, 100, 100],) * 2, "key": (third_key or [100] * 4,) * 2}
    third = massive_values(spread=spread, kv_heads=kv_heads, **given)
    return MassiveValues({**both.records, arm: third.records["drope"]})


def both_sites(**changed) -> MassiveValues:
    """Planted counts of one arm before its rotation and at attention: those of `massive_values` as RoPE and DroPE."""
    found = massive_values(**changed).records
    return MassiveValues({BEFORE: found["rope"], AFTER: found["drope"]})


def ranked(agreement: float | Sequence[float], texts: int = 20) -> MassiveValues:
    """The RoPE arm with row norms that agree with the norms as far as said, in one text after the other."""
    found = massive_values(texts=texts, kv_heads=4).records["rope"]
    of_texts = np.broadcast_to(agreement, texts)
    rng = np.random.default_rng(0)
    for name in ("query", "key"):
        rows = np.log(found[f"{name}_row_norm"].values)
        noise = rng.normal(size=(texts, *rows.shape))
        mixed = [a * rows + (1 - a * a) ** 0.5 * n for a, n in zip(of_texts, noise, strict=True)]
        # every text has its own norms, whose ranks agree with those of the rows
        norms = np.sort(found[f"{name}_norm"].values.reshape(texts, rows.shape[0], -1), -1)
        order = np.stack(mixed).reshape(norms.shape).argsort(-1).argsort(-1)
        found[f"{name}_norm"].values[:] = np.take_along_axis(norms, order, -1).reshape(found[f"{name}_norm"].shape)
    return MassiveValues({"rope": found})


def uneven(rope: float, drope: float, *, spread: float = 0.0) -> MassiveValues:
    """Both arms with the same counts, massive channels being so many times as large as the others."""
    counts = {
        name: planted.layer_counts([100] * 4, 400 * (1 + planted.scatter(20, spread=spread, seed=3)), seed=1)
        for name in NAMES
    }
    records = {
        a: planted.norms_record(counts, massive=m, seed=i)
        for i, (a, m) in enumerate(zip(ARMS, (rope, drope), strict=True))
    }
    return MassiveValues(records)


def course(*totals: float, spread: float = 0.02) -> Trajectory:
    """Checkpoints with so many massive query values each; texts and checkpoints vary by `spread`."""
    values = []
    for i, total in enumerate(totals):
        per_text = total * (1 + planted.scatter(20, spread=spread, seed=i))
        counts = {name: planted.layer_counts([1, 1, 1, 1], per_text, seed=i) for name in NAMES}
        values.append(MassiveValues(dict.fromkeys(ARMS, planted.norms_record(counts, seed=i, kv_heads=8))))
    return Trajectory(range(100, 100 * (len(totals) + 1), 100), values)


def bands(slow: float, fast: float, **options) -> Bands:
    """The RoPE arm with so much lost to zeroing slow and fast channels, in nats."""
    return Bands({"rope": planted.bands_record(slow, fast, **options)})


def worth(*nats: float, spread: float = 0.02) -> Trajectory:
    """Checkpoints at which the massive channels are worth so many nats each."""
    rises = [planted.losses(massive=n, spread=spread, seed=20 * i) for i, n in enumerate(nats)]
    damage = [Disruption(dict.fromkeys(ARMS, planted.disruption_record(nll))) for nll in rises]
    return Trajectory(range(100, 100 * (len(nats) + 1), 100), (), damage)


def with_texts(subject: Subject, texts: list[int]) -> Subject:
    """The same records with some texts only."""
    if isinstance(subject, Trajectory):
        return Trajectory(
            subject.steps,
            [with_texts(values, texts) for values in subject.values],
            [with_texts(damage, texts) for damage in subject.disruptions],
        )
    return type(subject)({arm: record.isel(text=texts) for arm, record in subject.records.items()})
