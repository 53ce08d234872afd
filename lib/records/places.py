"""Where records lie: in a folder of this machine, or at an address such as `s3://bucket/folder` or `hf://..`."""

from pathlib import Path

from upath import UPath


def place(written: str, home: Path | None = None) -> Path:
    """The folder or file that a path, relative to `home`, or an address of fsspec stands for.

    An address gives what acts like a path. Raises ValueError, one sentence, if nothing can be read there.
    """
    if "://" not in written:
        return (home or Path()) / written
    try:
        found = UPath(written)
        found.exists()  # the first word with the other side: its program may be missing, or its password
    except Exception as error:  # the programs of all stores raise what they like
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise ValueError(f"{written} cannot be reached: {reason}") from error
    return found
