"""The command `python -m lib.records`: what a folder or an address of records holds, for people and other programs."""

import argparse
import csv
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

import xarray as xr

from lib.definitions import modified, printable, refuse_empty, write_whole
from lib.records import files
from lib.records.layout import LAYOUT
from lib.records.places import place
from lib.records.seal import Seal

COLUMNS = ("model", "experiment", "site", "rope", "dtype", "device", "code", "layout", "kB", "written", "file")
FORMATS = ("parquet", "csv")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one of the four. Returns the exit code: 1 if `verify` finds faults, for bad input 2 after one sentence."""
    arguments = sys.argv[1:] if arguments is None else arguments
    given = _parser().parse_args(arguments)
    try:
        refuse_empty(arguments)
        return given.command(given)
    except (ValueError, OSError, files.NoRecord) as error:
        print(printable(str(error)), file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m lib.records", description="Look into records.")
    commands = parser.add_subparsers(required=True, metavar="ls|show|verify|export")
    where = {"nargs": "?", "default": "records", "help": "folder or address of the records (default: records)"}
    for name, run, said in (
        ("ls", _list, "one line for each record"),
        ("verify", _verify, "read every record whole, and name those that are not as they were written"),
    ):
        command = commands.add_parser(name, help=said, description=said)
        command.add_argument("folder", metavar="DIR", **where)
        command.set_defaults(command=run)
    show = commands.add_parser("show", help="settings, provenance and arrays of one record")
    show.add_argument("file", metavar="FILE")
    show.set_defaults(command=_show)
    export = commands.add_parser("export", help="write all records as tables")
    export.add_argument("out", metavar="OUT", type=Path, help="folder for the tables; it is made")
    export.add_argument("folder", metavar="DIR", **where)
    export.add_argument("--format", choices=FORMATS, default=FORMATS[0], help="(default: parquet)")
    export.set_defaults(command=_export)
    return parser


def _list(given: argparse.Namespace) -> int:
    rows, broken = _listed(given.folder)
    for row in [COLUMNS, *([row[name] for name in COLUMNS] for row in rows)]:
        print("\t".join(printable(str(cell)) for cell in row))
    for error in broken:
        print(printable(str(error)))
    return 0


def _show(given: argparse.Namespace) -> int:
    record = files.load(place(given.file))
    origin = files.provenance_of(record)
    for title, facts in (("settings", files.settings_of(record)), ("provenance", _flat(origin))):
        print(f"{title}:")
        for name, value in facts.items():
            print(printable(f"  {name}: {value}"))
    print("arrays:")
    layout = LAYOUT[files.settings_of(record)["experiment"]]
    for name, array in record.variables.items():
        sizes = ", ".join(f"{dim} {size}" for dim, size in array.sizes.items())
        said = layout[name].doc if name in layout else "names"
        print(printable(f"  {name} [{sizes}] {array.dtype}: {said}"))
    return 0


def _flat(facts: dict, above: str = "") -> dict[str, object]:
    """Facts within facts, with the names of both: `versions.torch`."""
    flat: dict[str, object] = {}
    for name, value in facts.items():
        flat |= _flat(value, f"{above}{name}.") if isinstance(value, dict) else {f"{above}{name}": value}
    return flat


def _verify(given: argparse.Namespace) -> int:
    sound, faults = 0, []
    for path in files.paths_in(_at(given.folder)):
        try:
            files.load(path)
            sound += 1
        except files.BrokenRecord as error:
            faults.append(str(error))
    for fault in faults:
        print(printable(fault))
    print(f"{sound} records are as they were written, {len(faults)} are not")
    return 1 if faults else 0


def _export(given: argparse.Namespace) -> int:
    """A table of all records, and for each record one table of all arrays with the same dims."""
    rows, broken = _listed(given.folder)
    given.out.mkdir(parents=True, exist_ok=True)
    for error in broken:
        print(printable(str(error)), file=sys.stderr)
    table = StringIO()
    writer = csv.DictWriter(table, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_whole(given.out / "records.csv", table.getvalue())
    number = 0
    for row in rows:
        for name, frame in _tables(files.load(place(given.folder) / row["file"])):
            path = given.out / f"{row['file'].removesuffix('.nc')}.{name}.{given.format}"
            packed = frame.to_csv(index=False) if given.format == "csv" else frame.to_parquet(index=False)
            write_whole(path, packed)
            number += 1
    print(printable(f"{len(rows)} records are {number} tables in {given.out}, and records.csv names them"))
    return 0


def _tables(record: xr.Dataset) -> Iterator[tuple[str, "object"]]:
    """Long tables of a record by name: the dims that their arrays share, `text-layer-head-dim`, or `numbers`."""
    alike = defaultdict(list)
    for name, array in record.data_vars.items():
        alike[array.dims].append(name)
    for dims, names in alike.items():
        part = record[names]
        frame = part.to_dataframe().reset_index() if dims else part.expand_dims(record=[0]).to_dataframe()
        yield "-".join(dims) or "numbers", frame


def _listed(folder: str) -> tuple[list[dict[str, object]], list[files.BrokenRecord]]:
    """A row for each record of a folder, and what is wrong with other files that are called like records."""
    found, broken = files.seals(_at(folder))
    return [_row(path, seal) for path, seal in found.items()], broken


def _row(path: Path, seal: Seal) -> dict[str, object]:
    told = {"model": seal.settings["pretrained"], **seal.settings}
    written = datetime.fromtimestamp(modified(path), UTC).strftime("%Y-%m-%d %H:%M")
    size = round(path.stat().st_size / 1000)
    own = {"layout": seal.layout, "kB": size, "written": written, "file": path.name}
    return {name: own.get(name, told.get(name, "")) for name in COLUMNS}


def _at(folder: str) -> Path:
    """A folder or address that is there. Raises ValueError, one sentence, for one that is not."""
    at = place(folder)
    if not at.is_dir():
        raise ValueError(f"there is no folder {folder}: name the one that a run was given as --records")
    return at
