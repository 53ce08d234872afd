"""The origin of weights: config, commit and sizes of a checkpoint, read without loading it."""

import hashlib
import platform
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import huggingface_hub
from huggingface_hub import errors

from lib.checkpoints import packages
from lib.checkpoints.adapters import ADAPTER_CONFIG, adapter_identity
from lib.checkpoints.arguments import ModelArguments
from lib.checkpoints.gguf_header import read_header
from lib.checkpoints.hashes import sha256_of
from lib.definitions import from_json

SIZES: dict[str, tuple[str, ...]] = {
    "num_hidden_layers": ("n_layer", "n_layers", "num_layers"),
    "num_attention_heads": ("n_head", "n_heads", "num_heads"),
    "num_key_value_heads": (),
    "hidden_size": ("n_embd", "d_model"),
    "head_dim": (),
}
"""Sizes by transformers' common names, with the other names that some architectures use in their configs."""
LENGTH = ("max_position_embeddings", "n_positions", "max_seq_len", "max_sequence_length", "seq_length")
"""Names of the number of tokens that a model was made to read at most."""
COUNTS = {*SIZES, *(name for names in SIZES.values() for name in names), "vocab_size", "intermediate_size"}
"""What must be a whole number in a config."""
OF_MODEL = {"num_hidden_layers", "hidden_size", "vocab_size"}
"""Of these, what a model has once. The others may be lists, with a number for each layer."""
LARGEST = {"num_hidden_layers": 10**4}
"""No model comes near to so many layers, nor does any other size come near to ten million."""
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "tokenizer_config.json", "vocab.json")
"""Files of which every tokenizer has one at least."""
BESIDE = ("merges.txt", "special_tokens_map.json", "added_tokens.json", "vocab.txt", "spiece.model")
"""Files beside them that change how a text is cut."""
PACKAGES = ("torch", "transformers", "bitsandbytes", "gguf", "peft", "numpy", "scipy", "xarray")


def checkpoint_file(args: ModelArguments, name: str) -> Path:
    """Path of one file of the checkpoint, downloaded unless it is in the cache.

    Raises ValueError, one sentence, when the model does not exist, is gated, or cannot be reached.
    """
    if args.folder:
        path = args.folder / name
        if not args.folder.is_dir():
            raise ValueError(f"there is no folder {args.folder}")
        if not path.is_file():
            raise ValueError(f"{args.folder} holds no {name}: {_instead(args.folder)}")
        return path
    with _one_sentence(args, name):
        return Path(huggingface_hub.hf_hub_download(args.pretrained, name, **args.on_hub))


def tokenizer_folder(args: ModelArguments) -> Path | None:
    """The folder of a checkpoint's own tokenizer: its subfolder, else the folder around that; None on the hub."""
    if not args.subfolder or not args.folder or any((args.folder / name).is_file() for name in TOKENIZERS):
        return args.folder
    return Path(args.pretrained)


def _instead(folder: Path) -> str:
    """What to do about a folder without the file that was looked for."""
    if (folder / ADAPTER_CONFIG).is_file():
        return "it holds an adapter, so give the model as pretrained= and this folder as peft="
    if files := sorted(path.name for path in folder.glob("*.gguf")):
        return f"it holds {', '.join(files)}, so add gguf_file={files[0]}"
    return "is it a folder made by save_pretrained?"


def _is_path(name: str) -> bool:
    """Was a path meant, and no id of the hub? What cannot be an id is left to the hub's own check of names."""
    first, *others = name.split("/")
    return first in ("", ".", "..", "~") or (len(others) == 1 and Path(first).is_dir())


def gguf_of(args: ModelArguments) -> Path | None:
    """The GGUF file that holds the weights; None if they are safetensors.

    Raises ValueError, one sentence, if the file is not there, or if its checksum is not that of the arguments.
    """
    if not args.is_gguf:
        return None
    if args.package:
        return packages.find(args.package, args.file, args.sha256)
    path = Path(args.pretrained)
    if args.gguf_file and path.is_file():
        raise ValueError(f"{path} is a file, so leave out gguf_file")
    if args.gguf_file:
        path = checkpoint_file(args, args.gguf_file)
    elif not path.is_file():
        raise ValueError(f"there is no file {path}")
    packages.check(path, args.sha256)
    return path


def revisions(args: ModelArguments) -> list[str]:
    """Names of all branches and tags of a model on the hub. Raises ValueError, one sentence, if it cannot be asked."""
    if args.folder:
        raise ValueError(f"{args.pretrained} is a folder, which has no revisions: give a pattern of folders")
    with _one_sentence(args, "branches"):
        refs = huggingface_hub.list_repo_refs(args.pretrained)
    return [ref.name for ref in (*refs.branches, *refs.tags)]


@contextmanager
def _one_sentence(args: ModelArguments, name: str) -> Iterator[None]:
    """Within the block, errors of the hub become a ValueError in one sentence; `name` is the file that is asked for.

    What was written as a path is not asked of the hub at all.
    """
    model = args.pretrained
    if _is_path(model):
        raise ValueError(f"there is no folder {model}")
    try:
        yield
    except errors.HFValidationError as error:
        raise ValueError(f"{model} is neither a folder here nor a model id such as name/model") from error
    except errors.GatedRepoError as error:
        raise ValueError(f"{model} is gated: accept its licence on its page and set HF_TOKEN") from error
    except errors.RevisionNotFoundError as error:
        raise ValueError(f"{model} has no revision {args.revision!r}") from error
    except errors.RepositoryNotFoundError as error:
        raise ValueError(
            f"there is no folder {model!r} here and no such model on the hub, or it is private and HF_TOKEN is not set"
        ) from error
    except errors.EntryNotFoundError as error:
        if isinstance(error, errors.LocalEntryNotFoundError):
            raise ValueError(f"{model} is no folder here, not in the cache, and the hub cannot be reached") from error
        raise ValueError(f"{model} holds no {name}") from error
    except (OSError, RuntimeError, errors.HfHubHTTPError) as error:
        raise ValueError(f"{model} is no folder here, and asking the hub failed ({type(error).__name__})") from error


def read_config(args: ModelArguments) -> dict:
    """The checkpoint's config.json as written, before any class interprets it.

    A GGUF file has none: what its header tells of the architecture and its sizes is given under the same names.
    """
    if gguf := gguf_of(args):
        config = read_header(gguf).config()
        _check_counts(config, args.source)
        return config
    path = checkpoint_file(args, "config.json")
    try:
        config = from_json(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{args.pretrained}: config.json cannot be read ({error})") from error
    if not isinstance(config, dict) or not isinstance(config.get("model_type"), str):
        raise ValueError(f"{args.pretrained}: config.json names no model_type")
    _check_counts(config, args.source)
    return config


def _check_counts(config: Mapping, source: str) -> None:
    """Raise ValueError for a size that is no size, before transformers allocates anything by it."""
    named = {other: name for name, others in SIZES.items() for other in others}
    for name, value in _of_text(config).items():
        own = named.get(name, name)
        largest = LARGEST.get(own, 10**7)
        of_layers = isinstance(value, list) and own not in OF_MODEL
        lowest = 0 if of_layers else 1  # a layer without attention has no heads
        for count in value if of_layers else [value]:
            if name in COUNTS and count is not None and not (type(count) is int and lowest <= count <= largest):
                raise ValueError(
                    f"{source}: the config has {name}={value!r:.60}, not a whole number from 1 to {largest:,}"
                )


def _of_text(config: Mapping) -> dict:
    """A config with what it nests for the text of a model that reads more than text."""
    text = config.get("text_config")
    return {**config, **(text if isinstance(text, Mapping) else {})}


def sizes(config: Mapping) -> dict[str, int | None]:
    """The sizes in a config.json that decide the shape of a model's states; a size that it does not name is None.

    Some architectures use names of their own (GPT-2's `n_head`) or nest a `text_config`. Sizes that follow from others
    are filled in. A size that differs from layer to layer is None.
    """
    config = _of_text(config)
    known = {name: _one_number(config, (name, *others)) for name, others in SIZES.items()}
    heads, hidden = known["num_attention_heads"], known["hidden_size"]
    if heads:
        if config.get("num_key_value_heads") is None:
            known["num_key_value_heads"] = heads
        if config.get("head_dim") is None and hidden:
            known["head_dim"] = hidden // heads
    return known


def trained_length(config: Mapping) -> int | None:
    """The number of tokens that a model was trained to read at most, as its config.json tells; None if it does not."""
    return _one_number(_of_text(config), LENGTH)


def _one_number(config: Mapping, names: Iterable[str]) -> int | None:
    """The first of these sizes that is a number, or a list for the layers in which all are the same."""
    for value in (config[name] for name in names if config.get(name) is not None):
        numbers = value if isinstance(value, list) else [value]
        alike = all(type(number) is int and number == numbers[0] for number in numbers)
        return numbers[0] if numbers and alike else None
    return None


def different_size(one: Mapping, other: Mapping) -> str:
    """The first size that differs, as `name is b and not a`, or "". An unknown size differs from no other."""
    both = ((key, one[key], other[key]) for key in SIZES)
    return next((f"{key} is {b} and not {a}" for key, a, b in both if None not in (a, b) and a != b), "")


def identity(args: ModelArguments) -> str:
    """`commit:<sha>` of a model on the hub, or `sha256:<hash>` of all files of a folder that decide what is computed.

    These are its configs, tokenizer and weights, weights elsewhere that an index names, and its code if that may run.
    That of a GGUF file is `sha256:<hash>` of the file. `+peft:<hash>` follows if an adapter is merged.
    """
    adapter = f"+peft:{adapter_identity(Path(args.peft))}" if args.peft else ""
    return _identity_of_base(args) + adapter


def _identity_of_base(args: ModelArguments) -> str:
    if gguf := gguf_of(args):
        return "sha256:" + sha256_of(gguf)
    if args.folder:
        return "sha256:" + _folder_hash(args.folder, tokenizer_folder(args), code=args.trust_remote_code)
    snapshot = re.search(r"snapshots/([0-9a-f]{40})/", checkpoint_file(args, "config.json").as_posix())
    if not snapshot:
        raise ValueError(f"{args.pretrained}: the hub's cache does not tell the commit; give revision=COMMIT")
    return f"commit:{snapshot.group(1)}" + (f"/{args.subfolder}" if args.subfolder else "")


def _folder_hash(folder: Path, tokenizer: Path, *, code: bool) -> str:
    patterns = ("*.safetensors", "*.safetensors.index.json", "*config.json", *TOKENIZERS, *BESIDE)
    names = {path.relative_to(folder).as_posix() for pattern in patterns for path in folder.glob(pattern)}
    names |= {name for index in folder.glob("*.safetensors.index.json") for name in _shards(index)}
    if code:
        names |= {path.relative_to(folder).as_posix() for path in folder.rglob("*.py")}
    digest = hashlib.sha256()
    for name in sorted(names):
        digest.update(name.encode())
        digest.update(bytes.fromhex(sha256_of(folder / name)))
    for path in (tokenizer / name for name in (*TOKENIZERS, *BESIDE) if tokenizer != folder):
        if path.is_file():
            digest.update(f"../{path.name}".encode())
            digest.update(bytes.fromhex(sha256_of(path)))
    return digest.hexdigest()


def _shards(index: Path) -> set[str]:
    """The files of weights that an index names and that are there; one that is missing is said when it is loaded."""
    try:
        names = set(from_json(index.read_text(encoding="utf-8"))["weight_map"].values())
        return {name for name in names if (index.parent / name).is_file()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return set()  # likewise


def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that results depend on."""
    by_name = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            by_name[package] = version(package)
        except PackageNotFoundError:
            by_name[package] = "not installed"
    return by_name


def first_sentence(error: BaseException) -> str:
    """The first sentence of a library's error, with its type where the text alone is not informative."""
    first, *rest = [line.strip() for line in str(error).splitlines() if line.strip()] or [""]
    text = f"{first} {rest[0]}" if first.endswith(":") and rest else first
    bare = not text or isinstance(error, LookupError | ArithmeticError)
    whole = (f"{type(error).__name__} {text}" if bare else text).strip()[:300]
    return whole.encode(errors="backslashreplace").decode()  # half of a surrogate pair can be shown nowhere
