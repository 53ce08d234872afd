"""The generation_config of a model, as far as transformers saves it: it loads settings that it refuses to save."""

import transformers


def saveable(config: transformers.GenerationConfig) -> tuple[transformers.GenerationConfig, dict]:
    """A copy that can be saved, and the settings that are left out of it: none, if all can be saved together.

    Such settings have no effect, as a temperature without sampling has none, or contradict the others. Every setting is
    tried beside those that are kept, until no other one fits.
    """
    kept = transformers.GenerationConfig()
    left_out = {name: value for name, value in config.to_dict().items() if value != getattr(kept, name, None)}
    while fitting := [name for name, value in left_out.items() if _fits(kept, name, value)]:
        for name in fitting:
            del left_out[name]
    return (kept, left_out) if left_out else (config, {})


def _fits(kept: transformers.GenerationConfig, name: str, value: object) -> bool:
    """Set a setting if the config can be saved with it."""
    before = getattr(kept, name, None)
    setattr(kept, name, value)
    try:
        kept.validate(strict=True)
    except Exception:  # a value of a wrong type raises nearly any exception
        setattr(kept, name, before)
        return False
    return True
