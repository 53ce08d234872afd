"""Records, the only bridge between measuring and judging: labelled arrays on disk, reused only under equal settings."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "code": ["code_version"],
        "files": [
            *("BrokenRecord", "NoRecord", "Unusable", "find", "load", "names_in"),
            *("provenance_of", "save", "search", "settings_of"),
        ],
        "layout": ["LAYOUT"],
        "parts": ["Parts"],
        "places": ["place"],
        "shapes": [
            "Profile",
            "label_of",
            "profile_of",
            "site_before",
            "sites_of",
            "tokenizers",
            "trained_length",
            "unreadable_of",
        ],
    },
)
