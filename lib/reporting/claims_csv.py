"""The claims of a run's document as a table for spreadsheets: one row for each entry, earlier checkpoints included."""

import csv
import io

PLAIN = ("id", "claim", "label", "family", "statement", "verdict")
JUDGED = ("estimate", "low", "high", "unit", "rule")
CELLS = ("holds_in", "of_cells")
LAST = ("training", "half_widths", "published", "published_estimate", "reason", "known")
COLUMNS = (*PLAIN, *JUDGED, "limit", "upper_limit", "alpha", "n", "largest", "over_kinds", *CELLS, *LAST)
"""A rule has one limit, or a lower and an upper one."""
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet takes a cell that begins with one of these for a formula."""


def claims_csv(document: dict) -> str:
    """CSV of all claims of a document, with a head of COLUMNS and an empty cell for a missing value.

    Numbers have all their digits. A text that a spreadsheet would take for a formula begins with an apostrophe.
    """
    out = io.StringIO()
    table = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    table.writeheader()
    cells = (document.get("multiverse") or {"claims": {}})["claims"]
    rows = (_row(entry, cells.get(entry["id"], {})) for entry in document["claims"])
    table.writerows({name: _cell(value) for name, value in row.items()} for row in rows)
    return out.getvalue()


def _row(entry: dict, cells: dict) -> dict:
    judged = entry["judgement"] or {}
    lower, upper, *_ = *judged.get("limits", ()), None, None
    return {
        **{name: entry[name] for name in (*PLAIN, *LAST)},
        **{name: judged.get(name) for name in (*JUDGED, "n")},
        "limit": lower,
        "upper_limit": upper,
        "largest": judged.get("largest"),
        "over_kinds": (judged.get("over_kinds") or {}).get("verdict"),
        "alpha": judged.get("alpha") or entry["alpha"],
        "holds_in": cells.get("holds"),
        "of_cells": cells.get("of"),
        "reason": entry["reason"] or judged.get("reason"),
    }


def _cell(value: object) -> object:
    if isinstance(value, str) and value.startswith(FORMULA):
        return f"'{value}"
    return value
