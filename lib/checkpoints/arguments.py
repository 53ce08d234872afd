"""Model arguments as lm-eval writes them: `pretrained=ID,revision=..,dtype=..,load_in_4bit=True`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from glob import glob
from itertools import accumulate
from pathlib import Path, PurePath

from lib.definitions import RESCALED, meant

DTYPES = ("float32", "bfloat16", "float16", "auto")
SHORT = {"bf16": "bfloat16", "fp16": "float16", "half": "float16", "fp32": "float32", "float": "float32"}
"""Other names of number formats."""
PATHS = ("pretrained", "subfolder", "tokenizer", "peft")
"""Arguments that may be paths, in which commas and equals signs are letters like any other."""
_TRUE, _FALSE = ("true", "1", "yes"), ("false", "0", "no")


@dataclass(frozen=True)
class ModelArguments:
    """How to load one arm. `dtype=None` means bfloat16 on a GPU and float32 on a CPU.

    The weights are at `pretrained` (an id, a folder or a GGUF file), or else in an installed `package`.
    """

    pretrained: str | None = None
    revision: str | None = None
    subfolder: str | None = None
    """The folder within `pretrained` that holds the checkpoint; its tokenizer may lie in `pretrained` itself."""
    dtype: str | None = None
    load_in_4bit: bool = False
    load_in_8bit: bool = False
    bnb_4bit_quant_type: str = "nf4"
    attn_implementation: str | None = None
    device_map: str | None = None
    trust_remote_code: bool = False
    rope: str | None = None
    """`off` takes the rotation out of a rotary model, `yarn:4` and the like rescale it, without any training."""
    tokenizer: str | None = None
    """Folder or id that the tokenizer is taken from; None means the model's own."""
    add_bos_token: bool | None = None
    """Does the tokenizer prepend BOS, one and only one? None leaves it as it is."""
    gguf_file: str | None = None
    """The GGUF file to load from `pretrained`, if that is a folder or an id."""
    package: str | None = None
    """The import name of an installed package that holds `file`, a GGUF file. The package's code never runs."""
    file: str | None = None
    sha256: str | None = None
    """The checksum that the GGUF file must have, in hexadecimal digits."""
    peft: str | None = None
    """The folder of an adapter that is merged into the weights before anything is measured."""

    def __post_init__(self):
        self._check_source()
        if self.load_in_4bit and self.load_in_8bit:
            raise ValueError("load_in_4bit and load_in_8bit exclude each other: give one of them")
        _one_of("dtype", self.dtype, (None, *DTYPES))
        if self.rescaled:
            scaling(self.rope)
        _one_of("bnb_4bit_quant_type", self.bnb_4bit_quant_type, ("nf4", "fp4"))

    def _check_source(self) -> None:
        if not self.pretrained and not self.package:
            raise ValueError("model arguments need pretrained=ID_OR_FOLDER")
        if self.pretrained and self.package:
            raise ValueError("pretrained and package exclude each other: the weights are in one of them")
        if bool(self.package) != bool(self.file):
            raise ValueError("package and file belong together: write package=NAME,file=NAME.gguf")
        if self.subfolder and (not self.pretrained or self.pretrained.endswith(".gguf")):
            raise ValueError("subfolder belongs to pretrained=FOLDER_OR_ID: give the path of a file as it is")
        if self.subfolder and (Path(self.subfolder).is_absolute() or ".." in Path(self.subfolder).parts):
            raise ValueError(f"subfolder={self.subfolder} is no folder within {self.pretrained}")
        if self.gguf_file and not self.pretrained:
            raise ValueError("gguf_file belongs to pretrained=FOLDER: name the file of a package with file=NAME.gguf")
        if self.sha256 and not self.is_gguf:
            raise ValueError("sha256 is the checksum of a GGUF file: leave it out for other weights")
        if self.sha256 and not re.fullmatch(r"[0-9a-fA-F]{64}", self.sha256):
            raise ValueError(f"model argument 'sha256' must be 64 hexadecimal digits, not {self.sha256!r}")

    @property
    def source(self) -> str:
        """What holds the weights, as it is shown: an id, a folder, a file, or a file of a package."""
        if self.package:
            return f"{self.package}/{self.file}"
        return "/".join(filter(None, (self.pretrained, self.subfolder, self.gguf_file)))

    @property
    def name(self) -> str:
        """The model, as it is shown: what holds its weights, and its adapter."""
        return f"{self.source} + {self.peft}" if self.peft else self.source

    @property
    def folder(self) -> Path | None:
        """The folder that holds the checkpoint, or None for an id, a file or a package."""
        if not self.pretrained or not Path(self.pretrained).is_dir():
            return None
        return Path(self.pretrained, self.subfolder or "")

    @property
    def on_hub(self) -> dict[str, str]:
        """What transformers and the hub must be told of a checkpoint besides its id; nothing of a folder."""
        told = {} if self.folder else {"revision": self.revision, "subfolder": self.subfolder}
        return {name: value for name, value in told.items() if value}

    @property
    def is_gguf(self) -> bool:
        """Are the weights in a GGUF file?"""
        return bool(self.package or self.gguf_file) or (self.pretrained.endswith(".gguf") and not self.folder)

    @property
    def title(self) -> str:
        """A short name for a pair of this model alone: its id on the hub, or the name of its file or folder."""
        where = Path(self.file or self.gguf_file or self.folder or self.pretrained)
        here = self.package or self.gguf_file or where.exists()
        return where.resolve().name.removesuffix(".gguf") if here else self.source

    @property
    def portable(self) -> "ModelArguments":
        """The same with paths that mean something on other machines too, for what is kept of a model."""
        return replace(self, **{name: portable(path) for name in PATHS if (path := getattr(self, name))})

    def same_but_for_rotation(self, other: "ModelArguments") -> bool:
        """Do the two load the same weights in the same way, whatever is done to their rotation?"""
        return replace(self, rope=None) == replace(other, rope=None)

    @property
    def rescaled(self) -> bool:
        """Do the arguments ask for a rescaled rotation?"""
        return self.rope not in (None, "off")

    @property
    def quantization(self) -> str:
        """The format in which the weights are held: `nf4`, `fp4`, `int8` or `none`."""
        if self.load_in_4bit:
            return self.bnb_4bit_quant_type
        return "int8" if self.load_in_8bit else "none"

    def __str__(self) -> str:
        values = ((field, getattr(self, field.name)) for field in fields(self))
        return ",".join(f"{field.name}={value}" for field, value in values if value != field.default)


def portable(path: str) -> str:
    """An id or a path as it is, but of a path that begins at a root only the last two parts: `drope/checkpoint-4000`.

    What lies above them is of one machine, and often tells whose it is.
    """
    return "/".join(PurePath(path).parts[1:][-2:]) if PurePath(path).is_absolute() else path


def scaling(rope: str) -> tuple[str, float]:
    """Method and factor of a rescaling such as `yarn:4`. Raises ValueError for anything else."""
    kind, _, number = rope.partition(":")
    try:
        factor = float(number)
    except ValueError:
        factor = float("nan")
    if kind not in RESCALED or not 1 < factor < float("inf"):
        raise ValueError(
            f"model argument 'rope' must be off, or one of {', '.join(f'{name}:F' for name in RESCALED)} "
            f"with a finite factor F above 1, not {rope!r}"
        )
    return kind, factor


def parse(args: str | Mapping) -> ModelArguments:
    """Read model arguments from one string or a mapping.

    A first item that is no `key=value` is `pretrained`; hyphens and underscores are the same. What follows a path and
    goes on with it (`runs/lr=0.1,wd=0.2/checkpoint-4000`) is part of the path.
    Raises ValueError for an unknown key (with a known one that is near), a repeated key or a bad value.
    """
    pairs = args.items() if isinstance(args, Mapping) else _split(args)
    known = {field.name: field.type for field in fields(ModelArguments)}
    given = {}
    for key, value in pairs:
        name = _named(str(key))
        if name not in known:
            raise ValueError(f"unknown model argument {key!r}: {meant(name, known)}")
        if name in given:
            raise ValueError(f"model argument {name!r} is given twice")
        given[name] = _boolean(name, value) if known[name] in (bool, bool | None) else _text(name, value)
    if given.get("dtype") in SHORT:
        given["dtype"] = SHORT[given["dtype"]]
    return ModelArguments(**given)


def _named(key: str) -> str:
    return key.strip().replace("-", "_")


def _split(text: str) -> list[tuple[str, str]]:
    """Keys and values. An item that names no argument belongs to the path before it, if the two together are one."""
    known = {field.name for field in fields(ModelArguments)}
    pairs: list[tuple[str, str]] = []
    items = text.split(",")
    for position, item in enumerate(items):
        key, equals, value = item.partition("=")
        if equals and _named(key) in known:
            pairs.append((key, value))
        elif position == 0 and (not equals or _is_path(item) or any(map(_exists, accumulate(items, "{},{}".format)))):
            pairs.append(("pretrained", item))
        elif pairs and _named(pairs[-1][0]) in PATHS and _is_path(longer := f"{pairs[-1][1]},{item}", item):
            pairs[-1] = (pairs[-1][0], longer)
        elif equals:
            pairs.append((key, value))
        else:
            raise ValueError(f"model argument {item.strip()!r} has no value: write key=value, separated by commas")
    return pairs


def _is_path(text: str, end: str = "") -> bool:
    """Is this a path, by its look (of its `end` alone, if it is given) or because there is such a file or folder?"""
    return "/" in (end or text) or _exists(text)


def _exists(path: str) -> bool:
    return Path(path).exists() or bool(glob(path))


def _text(name: str, value) -> str | None:
    if value is None:
        return None
    text = str(value).strip()
    if not text:
        raise ValueError(f"model argument {name!r} is empty")
    return text


def _boolean(name: str, value) -> bool | None:
    if value is None:
        return None
    text = str(value).strip().lower()
    if text not in _TRUE + _FALSE:
        raise ValueError(f"model argument {name!r} must be True or False, not {value!r}")
    return text in _TRUE


def _one_of(name: str, value, allowed: tuple) -> None:
    if value not in allowed:
        names = ", ".join(str(a) for a in allowed if a is not None)
        raise ValueError(f"model argument {name!r} must be one of {names}, not {value!r}")
