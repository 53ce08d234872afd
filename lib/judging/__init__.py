"""Judging: from one number per text to a verdict with an interval."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "estimates": [
            "Estimate",
            "Mean",
            "Ratio",
            "crossed",
            "difference",
            "difference_of_ratios",
            "mean",
            "ratio",
        ],
        "items": ["ItemMean", "ItemRatio", "item_difference", "item_mean", "item_ratio"],
        "order": ["order"],
        "proportions": ["Proportion", "proportion"],
        "spread": ["TypicalVariation", "Variation", "typical_variation", "variation"],
        "verdicts": [
            "HELD",
            "Assessment",
            "ClaimInconclusive",
            "ClaimRefuted",
            "Judge",
            "Judgement",
            "NoSubject",
            "Rule",
            "all_of",
            "assess",
            "one",
            "undecided",
        ],
    },
)
