"""The texts of a run, whatever they come from."""

import os
from dataclasses import replace
from pathlib import Path

from lib.texts import copies
from lib.texts.opening import is_remote, rows_of
from lib.texts.reading import bundled, limit, read
from lib.texts.rows import Selection, choose
from lib.texts.sources import Source, parse


def select(
    source: Source | str | os.PathLike | None = None,
    tokens: int = 512,
    *,
    each: int | None = None,
    keep: Path | None = None,
) -> Selection:
    """The texts of a source as `--texts` takes it, or the bundled ones, to be cut after so many tokens.

    `tokens` decides which rows of a dataset are long enough; the texts of other files are all taken. With `each`, only
    the first so many of every role and kind. Texts of the hub are kept in the folder `keep`, and are read from there
    when they are selected again.
    Raises ValueError, one sentence, if texts cannot be read or none are left.
    """
    source = source if source is None or isinstance(source, Source) else parse(source)
    if source is None:
        selection = Selection(tuple(bundled()))
    elif not source.has_rows:
        selection = Selection(tuple(read(source.where)))
    elif keep and is_remote(source):
        selection = _kept(source, tokens, keep)
    else:
        selection = choose(rows_of(source), source, tokens)
    return replace(selection, texts=tuple(limit(selection.texts, each))) if each else selection


def _kept(source: Source, tokens: int, folder: Path) -> Selection:
    path = copies.path_of(folder, source, tokens)
    if not path.is_file():
        selection = choose(rows_of(source), source, tokens)
        note = f"{selection.note} They are kept beside the records, as {path.name}."
        copies.save(path, replace(selection, note=note))
    return copies.load(path)
