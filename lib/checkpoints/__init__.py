"""Checkpoints: model arguments, the origin of weights, and series of checkpoints. Loads no weights."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "arguments": ["ModelArguments", "parse", "scaling"],
        "provenance": ["different_size", "first_sentence", "identity", "read_config", "sizes", "versions"],
        "tokenizers": ["has_tokenizer", "tokenizer_identity"],
        "series": ["Checkpoint", "Series", "finished", "read", "step_of", "trained_steps", "unfinished"],
    },
)
