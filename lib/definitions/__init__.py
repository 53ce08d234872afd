"""Definitions: the vocabulary, massive values, rotary pairs, protocols; names and files as people write them."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "command_line": ["refuse_empty", "refuse_without_docstrings"],
        "massive": ["check_norms", "check_threshold", "massive_mask", "mean_norm", "pooled_norms"],
        "parsing": ["from_json", "from_toml"],
        "printable": ["printable"],
        "protocols": ["DEFAULT", "PROTOCOLS", "Protocol", "marked"],
        "rotary_pairs": ["letters", "order", "pair_norms", "ranks", "slow_half"],
        "signals": ["heard"],
        "spelling": ["meant"],
        "whole_files": ["clear", "write_whole"],
        "words": [
            "ABSENT",
            "ARMS",
            "BANDS",
            "DRAWS",
            "EDITED",
            "FACTOR",
            "LABELS",
            "label",
            "MADE",
            "NAMES",
            "Name",
            "OUTCOMES",
            "REPLACED_BY",
            "RESCALED",
            "ROLES",
            "ROTATING",
            "SCOPES",
            "SELECTED",
            "SITES",
            "SMOKE",
            "Scope",
            "Site",
            "compared_conditions",
            "conditions",
        ],
    },
)
