"""Checkpoints: model arguments, the origin of weights, and series of checkpoints. Loads no weights."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "adapters": ["ADAPTER_WEIGHTS", "adapter_identity", "read_adapter"],
        "arguments": ["ModelArguments", "parse", "portable", "scaling"],
        "gguf_header": ["Header", "read_header"],
        "hashes": ["sha256_of"],
        "provenance": [
            "different_size",
            "first_sentence",
            "gguf_of",
            "identity",
            "read_config",
            "sizes",
            "tokenizer_folder",
            "trained_length",
            "versions",
        ],
        "tokenizers": ["has_tokenizer", "tokenizer_identity"],
        "series": [
            "Checkpoint",
            "RECALIBRATION",
            "STATE",
            "Series",
            "expand",
            "finished",
            "label_of",
            "read",
            "step_of",
            "tokens_per_step",
            "trained_steps",
            "unfinished",
        ],
    },
)
