"""Effects: from records to one number per text."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "answers": ["POINTS", "Answers"],
        "before_after": ["AFTER", "BEFORE", "describe_pairs", "massive_pairs", "where_it_rotates"],
        "concentration": ["gini", "lorenz"],
        "counts": ["MassiveValues", "Rates", "too_few"],
        "distinct": ["distinct_measurements", "kinds_of_texts", "observed"],
        "losses": ["Bands", "Disruption", "GROUPS", "Specificity", "need_perplexity"],
        "modules": ["Modules"],
        "multiverse": ["Asked", "OF_COUNTS", "multiverse"],
        "positions": ["Positions"],
        "recovery": ["Recovery"],
        "sinks": ["READ", "Sinks"],
        "stream": ["Stream"],
        "subjects": ["Missing", "Records", "SUBJECTS", "Subject", "read_again"],
        "thresholds": ["curve"],
        "trajectory": ["Trajectory"],
    },
)
