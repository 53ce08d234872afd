"""Judging: from one number per text to a verdict with an interval."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "estimates": ["Estimate", "Mean", "Trend", "Variation", "contrast", "crossed", "mean", "trend", "variation"],
        "verdicts": [
            "Assessment",
            "ClaimInconclusive",
            "ClaimRefuted",
            "Judge",
            "Judgement",
            "Meets",
            "NoSubject",
            "all_of",
            "assess",
            "undecided",
        ],
    },
)
