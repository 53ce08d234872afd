"""Rescaled rotary positions: interpolation, NTK-aware, dynamic NTK and YaRN, set in a config."""

from collections.abc import Mapping

import transformers
from torch import nn

from lib.checkpoints import first_sentence, scaling
from lib.models.drope import NORMED, CannotChange

OF_LENGTH = ("dynamic", "longrope")
"""Kinds of rotation whose frequencies depend on how long the text is that is read."""


class CannotRescale(CannotChange):
    """The model has no rotation, or its rotation is rescaled already."""


def rescale(config: transformers.PreTrainedConfig, rope: str) -> transformers.PreTrainedConfig:
    """Rescale the rotation in a config, in place, and return the config; a model made from it rotates accordingly.

    `rope` is `linear:F`, `ntk:F`, `dynamic:F` or `yarn:F`. The model's own rotary embedding then computes, for the
    d dims of a head that rotate, a base theta and texts of L tokens in a context of C (`max_position_embeddings`):
    - `linear`: every frequency divided by F. Source: Chen et al. 2023, position interpolation.
    - `ntk`: frequencies of the base theta x F^(d / (d - 2)). Source: bloc97 2023, NTK-aware scaling.
    - `dynamic`: the same with F x L / C - (F - 1) for F where L > C, and nothing elsewhere. Source: emozilla 2023.
    - `yarn`: pairs that turn less than once in C divided by F, those that turn more than 32 times left alone, a ramp
      over the pairs between; cos and sin times 0.1 ln F + 1. Source: Peng et al. 2023 and their code.
    If types of layers rotate differently (Gemma 3), every set of rope parameters of the default type is rescaled.
    Raises CannotRescale, one sentence, if the model has no rotation or a rescaled one; ValueError for any other `rope`,
    and for a config whose rope parameters are none.
    """
    kind, factor = scaling(rope)
    try:
        return _rescale(config, rope, kind, factor)
    except (TypeError, KeyError, AttributeError, ArithmeticError) as error:
        raise ValueError(
            f"cannot rescale the rotation of {config.model_type} by rope={rope}: its rope_parameters cannot be "
            f"read ({first_sentence(error)})"
        ) from error


def _rescale(
    config: transformers.PreTrainedConfig, rope: str, kind: str, factor: float
) -> transformers.PreTrainedConfig:
    text = config.get_text_config()
    parameters = getattr(text, "rope_parameters", None)
    if not parameters or getattr(config, "attention_type", None) in NORMED:
        raise CannotRescale(f"cannot rescale the rotation of {config.model_type} by rope={rope}: it has none")
    keys = text.nested_rope_parameter_keys(parameters)
    sets = {key: parameters[key] for key in keys if parameters[key]} if keys else {None: parameters}
    plain = {key: values for key, values in sets.items() if _kind(values) == "default"}
    if not plain:
        kinds = " and ".join(sorted({_kind(values) for values in sets.values()}))
        raise CannotRescale(
            f"cannot rescale the rotation of {config.model_type} by rope={rope}: it is not plain but {kinds} already"
        )
    for key, values in plain.items():
        of_layer = text.per_layer_config[key] if key and text.is_heterogeneous else text
        values |= _rescaled(values, of_layer, kind, factor)
    return config


def turns_by_length(config: transformers.PreTrainedConfig) -> str:
    """The kind of a rotation whose frequencies depend on the length of the text; "" for one that does not."""
    text = config.get_text_config()
    parameters = getattr(text, "rope_parameters", None) or {}
    keys = text.nested_rope_parameter_keys(parameters) if parameters else ()
    sets = [parameters[key] for key in keys if parameters[key]] if keys else [parameters]
    return next((kind for kind in map(_kind, sets) if kind in OF_LENGTH), "")


def check_rescaling(config: Mapping, rope: str) -> None:
    """Raise CannotRescale if `rescale` would do so, given a config as plain values."""
    if config["model_type"] in transformers.CONFIG_MAPPING:
        rescale(transformers.CONFIG_MAPPING[config["model_type"]].from_dict(dict(config)), rope)


def _rescaled(parameters: Mapping, config: transformers.PreTrainedConfig, kind: str, factor: float) -> dict:
    """The changes in one set of rope parameters."""
    if getattr(config, "head_dim", 0) is None:  # some of transformers' formulas do not expect None
        config.head_dim = config.hidden_size // config.num_attention_heads
    if kind == "ntk":
        head_dim = getattr(config, "head_dim", config.hidden_size // config.num_attention_heads)
        dim = int(head_dim * parameters.get("partial_rotary_factor", 1.0))
        return {"rope_theta": parameters["rope_theta"] * factor ** (dim / (dim - 2))}
    if kind != "yarn":
        return {"rope_type": kind, "factor": factor}
    context = config.max_position_embeddings
    if hasattr(config, "original_max_position_embeddings"):  # Phi-3 has it, and it would override that of the set
        config.original_max_position_embeddings = context
    return {"rope_type": kind, "factor": factor, "original_max_position_embeddings": context}


def _kind(parameters: Mapping) -> str:
    return str(parameters.get("rope_type", parameters.get("type", "default")))


def forget_lengths(model: nn.Module) -> None:
    """Make dynamic NTK depend on the current text alone.

    transformers keeps the frequencies of the longest text so far, so a loss would depend on earlier texts.
    """
    for module in model.modules():
        if "rotary" in type(module).__name__.lower() and hasattr(module, "original_max_seq_len"):
            module.register_forward_pre_hook(_start_anew)


def _start_anew(rotary: nn.Module, _) -> None:
    for name in [name for name, _ in rotary.named_buffers() if name.endswith("original_inv_freq")]:
        start = name.removesuffix("original_inv_freq")
        setattr(rotary, f"{start}inv_freq", getattr(rotary, name).clone())
        setattr(rotary, f"{start}max_seq_len_cached", rotary.original_max_seq_len)
