"""Where weights came from: the config and commit of a checkpoint before it is loaded, and hashes of weights."""

import hashlib
import json
import platform
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import huggingface_hub
from huggingface_hub import errors

from lib.checkpoints.arguments import ModelArguments

SIZES = ("num_hidden_layers", "num_attention_heads", "num_key_value_heads", "hidden_size", "head_dim")
ESSENTIAL = ("num_hidden_layers", "num_attention_heads", "hidden_size")
PACKAGES = ("torch", "transformers", "bitsandbytes", "numpy", "scipy", "xarray")


def checkpoint_file(args: ModelArguments, name: str) -> Path:
    """Path of one file of the checkpoint, downloaded if it is not in the cache.

    Raises ValueError in one sentence when the model does not exist, is gated, or cannot be reached.
    """
    model = args.pretrained
    if Path(model).is_dir():
        path = Path(model) / name
        if not path.is_file():
            raise ValueError(f"{model} holds no {name}: is it a folder made by save_pretrained?")
        return path
    with _one_sentence(args, name):
        return Path(huggingface_hub.hf_hub_download(model, name, revision=args.revision))


def revisions(args: ModelArguments) -> list[str]:
    """Names of all branches and tags of a hub's model. Raises ValueError in one sentence when they cannot be had."""
    if Path(args.pretrained).is_dir():
        raise ValueError(f"{args.pretrained} is a folder, which has no revisions: give a pattern of folders")
    with _one_sentence(args, "branches"):
        refs = huggingface_hub.list_repo_refs(args.pretrained)
    return [ref.name for ref in (*refs.branches, *refs.tags)]


@contextmanager
def _one_sentence(args: ModelArguments, name: str) -> Iterator[None]:
    """Within the block, what the hub answers instead of `name` becomes a ValueError in one sentence."""
    model = args.pretrained
    try:
        yield
    except errors.HFValidationError as error:
        raise ValueError(f"{model} is neither a folder here nor a model id such as name/model") from error
    except errors.GatedRepoError as error:
        raise ValueError(f"{model} is gated: accept its licence on its page and set HF_TOKEN") from error
    except errors.RevisionNotFoundError as error:
        raise ValueError(f"{model} has no revision {args.revision!r}") from error
    except errors.RepositoryNotFoundError as error:
        raise ValueError(f"there is no model {model!r} on the hub, or it is private and HF_TOKEN is not set") from error
    except errors.EntryNotFoundError as error:
        if isinstance(error, errors.LocalEntryNotFoundError):
            raise ValueError(f"{model} is no folder here, not in the cache, and the hub cannot be reached") from error
        raise ValueError(f"{model} holds no {name}") from error
    except (OSError, RuntimeError, errors.HfHubHTTPError) as error:
        raise ValueError(f"{model} is no folder here, and asking the hub failed ({type(error).__name__})") from error


def read_config(args: ModelArguments) -> dict:
    """The checkpoint's config.json as it is written, before any class interprets it."""
    path = checkpoint_file(args, "config.json")
    try:
        config = json.loads(path.read_text())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{args.pretrained}: config.json cannot be read ({error})") from error
    if not isinstance(config, dict) or not isinstance(config.get("model_type"), str):
        raise ValueError(f"{args.pretrained}: config.json names no model_type")
    return config


def sizes(config: Mapping) -> dict[str, int | None]:
    """What decides the shape of a model's states, from its config.json; what a config leaves out is filled in.

    Architectures with names of their own (GPT-2's `n_head`, a `text_config` within) are read as transformers reads
    them. A size that nobody knows is None.
    """
    found = {key: config.get(key) for key in SIZES}
    if not all(found[key] for key in ESSENTIAL):
        known = _as_transformers_reads(config)
        found = {key: getattr(known, key, None) for key in SIZES}
    heads = found["num_attention_heads"]
    if heads:
        found["num_key_value_heads"] = found["num_key_value_heads"] or heads
        found["head_dim"] = found["head_dim"] or (found["hidden_size"] or 0) // heads
    return found


def _as_transformers_reads(config: Mapping) -> object:
    """The config of the language model as an object with transformers' common names, None where it knows none."""
    import transformers  # it takes seconds, and most configs have the common names

    kind = str(config.get("model_type", "")).removesuffix("_drope")
    if kind not in transformers.CONFIG_MAPPING:
        return None
    try:
        return transformers.CONFIG_MAPPING[kind].from_dict(dict(config)).get_text_config()
    except Exception:  # a broken config is answered with nearly any; loading the model says what is wrong with it
        return None


def different_size(one: Mapping, other: Mapping) -> str:
    """The first size that differs, as `name is a and not b`; empty when none does."""
    return next((f"{key} is {other[key]} and not {one[key]}" for key in SIZES if one[key] != other[key]), "")


def identity(args: ModelArguments) -> str:
    """`commit:<sha>` of a hub model, or `sha256:<hash>` of a folder's config and weight files."""
    if Path(args.pretrained).is_dir():
        return "sha256:" + _folder_hash(Path(args.pretrained))
    snapshot = re.search(r"snapshots/([0-9a-f]{40})/", checkpoint_file(args, "config.json").as_posix())
    if not snapshot:
        raise ValueError(f"{args.pretrained}: the hub's cache does not tell the commit; give revision=COMMIT")
    return "commit:" + snapshot.group(1)


def _folder_hash(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted([*folder.glob("*.safetensors"), *folder.glob("*config.json"), *folder.glob("tokenizer.json")]):
        digest.update(path.name.encode())
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that numbers depend on."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def first_sentence(error: BaseException) -> str:
    """The first sentence of a library's error, with its type where the text alone would say nothing."""
    first, *rest = str(error).strip().split("\n")
    text = f"{first} {rest[0].strip()}" if first.endswith(":") and rest else first
    bare = not text or isinstance(error, LookupError | ArithmeticError)  # the text alone would say nothing
    return (f"{type(error).__name__} {text}" if bare else text).strip()[:300]
