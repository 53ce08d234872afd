"""Models: load them, remove or rescale their rotation, and cut texts into tokens."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "drope": [
            "CannotChange",
            "DROPE_BASES",
            "NORMED",
            "add_norms",
            "apply_norms",
            "drop_rope",
            "is_drope",
            "mark_as_drope",
        ],
        "hashing": ["fingerprint"],
        "loading": ["Arm", "default_dtype", "load"],
        "rescaling": ["check_rescaling"],
        "tokens": ["load_tokenizer", "tokenize", "tokenizer_signature"],
    },
)
