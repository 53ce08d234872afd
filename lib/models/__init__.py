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
        "placement": ["input_device", "weights_of"],
        "rescaling": ["check_rescaling", "turns_by_length"],
        "special_tokens": ["bos_id", "set_bos", "tokenizer_facts"],
        "tokens": [
            *("check_ids", "embedding_rows", "load_tokenizer", "rows_in_config", "signature", "tokenize"),
        ],
    },
)
