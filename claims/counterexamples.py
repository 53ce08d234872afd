"""Records on which every claim must win, lose and stay open: what shows that a claim can be refuted at all."""

from collections.abc import Callable
from functools import partial
from itertools import product

from fixtures.planted import records
from fixtures.planted.subjects import (
    NAMES,
    Subject,
    bands,
    both_sites,
    by_kind,
    course,
    disruption,
    each_arm,
    massive_values,
    ranked,
    study_counts,
    study_kinds,
    study_losses,
    uneven,
    with_third,
    worth,
)
from lib.definitions.words import ARMS, RESCALED

counts, losses = partial(partial, massive_values), partial(partial, each_arm)
EVERY_QUERY_LAYER = ([90, 90, 90, 90], [45, 50, 50, 45])

# claim: records on which it is supported, refuted, inconclusive
CASES: dict[str, tuple[Callable[[], Subject], ...]] = {
    "Q1": (
        study_counts,
        counts(query=([100, 3, 100, 100], [80, 50, 80, 80])),
        counts(query=([100, 3, 100, 100], [54, 50, 54, 54]), spread=0.05),
    ),
    "K1": (
        study_counts,
        counts(key=([100] * 4, [110] * 4)),
        counts(key=([100] * 4, [100] * 4), spread=0.05),
    ),
    "V1": (
        study_counts,
        counts(value=([40, 40, 5, 5], [30, 30, 5, 5])),
        counts(value=([40, 40, 5, 5], [44, 44, 5.5, 5.5]), spread=0.05),
    ),
    "A1[query]": (
        study_counts,
        counts(value=([40, 40, 10, 10],) * 2),
        counts(query=EVERY_QUERY_LAYER, spread=0.05),
    ),
    "A1[key]": (
        study_counts,
        counts(value=([60, 60, 10, 10],) * 2),
        counts(key=([90] * 4, [80] * 4), spread=0.05),
    ),
    "L1": (
        study_counts,
        counts(query=([100, 50, 100, 100], [45, 3, 50, 45])),
        counts(query=([100, 50, 100, 100], [45, 50, 50, 45]), spread=0.1),
    ),
    "L2": (
        study_counts,
        counts(query=([100, 3, 100, 20], [45, 50, 50, 45])),
        counts(query=([100, 3, 100, 45], [45, 50, 50, 46]), spread=0.1),
    ),
    "L3": (
        study_counts,
        counts(query=([50, 3, 50, 50], [50, 50, 50, 50])),
        counts(query=([50, 3, 50, 50], [45, 50, 45, 44.6]), spread=0.1),
    ),
    # the total is kept, but layers 0 and 1 swap: the study's own counts refute it
    "V2": (counts(), study_counts, counts(value=([60, 60, 0, 0], [48, 72, 0, 0]))),
    **{
        f"S1[{arm}-{name}]": (study_counts, counts(spread=0.2), counts(spread=0.1))
        for arm, name in product(ARMS, NAMES)
    },
    **{
        f"F1[{name}]": (counts(), counts(slow=0.5), counts(slow=0.8 + records.scatter(20, spread=0.05, seed=0)))
        for name in ("query", "key")
    },
    "F2": (partial(bands, 0.5, 0.1), partial(bands, 0.1, 0.5), partial(bands, 0.1, 0.1)),
    **{f"D1[{arm}]": (study_losses, losses(massive=0.05), losses(massive=0.1)) for arm in ARMS},
    **{
        f"D2[{arm}]": (
            study_losses,
            losses(massive=7, controls=[0.1] * 10),
            losses(massive=7, controls=[0.05] * 10, control_spread=0.05),
        )
        for arm in ARMS
    },
    "D3": (
        study_losses,
        losses(massive=2.0),
        partial(disruption, rope={"massive": 4.0}, drope={"massive": 2.0}),
    ),
    **{
        f"D4[{arm}]": (
            partial(study_kinds, stored=False),
            partial(study_kinds, stored=True),  # the stored figures are not the published ones
            losses(massive=by_kind(100, 150, 120), spread=0.05),
        )
        for arm in ARMS
    },
}
CASES |= {
    "O1[query]": (
        partial(with_third, "dropped", [101, 3, 99, 101]),
        partial(with_third, "dropped", [50, 3, 50, 50]),
        partial(with_third, "dropped", [110, 3, 110, 111], spread=0.05),
    ),
    "O1[key]": (
        partial(with_third, "dropped", third_key=[101, 99, 101, 99]),
        partial(with_third, "dropped", third_key=[130] * 4),
        partial(with_third, "dropped", third_key=[90] * 4, spread=0.05),
    ),
    **{
        f"O2[{name}]": (
            partial(ranked, 0.9),
            partial(ranked, 0.1),
            partial(ranked, 0.52 + records.scatter(20, spread=0.1, seed=0)),
        )
        for name in ("query", "key")
    },
    **{
        f"X1[{kind}]": (
            partial(with_third, kind, [101, 3, 99, 101]),
            partial(with_third, kind, [50, 3, 50, 50]),
            partial(with_third, kind, [110, 3, 110, 111], spread=0.05),
        )
        for kind in RESCALED
    },
    # the rotation moves a channel over the threshold or under it, on whichever side the count comes out
    "X2[query]": (
        partial(both_sites, query=([100] * 4, [70] * 4)),
        partial(both_sites, query=([100] * 4, [97] * 4)),
        partial(both_sites, query=([100] * 4, [90] * 4), spread=0.05),
    ),
    "X2[key]": (
        partial(both_sites, key=([100] * 4, [130] * 4)),
        partial(both_sites, key=([100] * 4, [103] * 4)),
        partial(both_sites, key=([100] * 4, [110] * 4), spread=0.05),
    ),
    "R1": (
        partial(course, 200, 150, 120, 110),
        partial(course, 110, 120, 150, 200),
        partial(course, *[150] * 4, spread=0.05),
    ),
    "R2": (partial(worth, 2.0, 1.5, 1.0, 0.5), partial(worth, 0.5, 1.0, 1.5, 2.0), partial(worth, *[1.0] * 4)),
    # both arms lose as much: more training did it, whatever was done to the rotation
    "R3": (
        partial(with_third, "continued", [95, 3, 95, 95]),
        partial(with_third, "continued", [45, 50, 50, 45]),
        partial(with_third, "continued", [72, 3, 72, 73], spread=0.1),
    ),
    "R4": (partial(uneven, 100, 20), partial(uneven, 20, 20), partial(uneven, 22, 20, spread=0.1)),
}
