"""The library: measuring a model's massive values, and judging claims about them. Knows nothing of pytest.

Everything is loaded when it is first asked for; importing `lib` imports no torch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=[
        "checkpoints",
        "definitions",
        "effects",
        "judging",
        "measuring",
        "models",
        "probing",
        "records",
        "tasks",
        "texts",
    ],
    submod_attrs={
        "definitions": ["massive_mask"],
        "effects": ["MassiveValues"],
        "judging": ["assess"],
        "measuring": ["channel_norms", "measure_norms"],
        "models": ["drop_rope", "load", "tokenize"],
    },
)
