"""The part of docs/records.md that is made of the layout: `python -m lib.records.page`."""

from collections.abc import Iterator
from pathlib import Path

from lib.records.layout import LAYOUT, NAMED, Array
from lib.records.older import NEWEST

PAGE = Path(__file__).parents[2] / "docs" / "records.md"
START, END = "<!-- made by python -m lib.records.page -->\n", "<!-- end -->\n"


def tables() -> str:
    """The arrays of every experiment as Markdown."""
    return "\n".join(line for experiment in LAYOUT for line in (*_table(experiment), ""))


def _table(experiment: str) -> Iterator[str]:
    named: dict[str, list[str]] = {}
    for name, dim in NAMED[experiment].items():
        named.setdefault(dim, []).append(f"`{name}`")
    yield f"### {experiment}"
    yield ""
    yield "Named are " + ", ".join(f"{' and '.join(names)} along {dim}" for dim, names in named.items()) + "."
    yield ""
    yield "| array | dims | type | between | what it is |"
    yield "|---|---|---|---|---|"
    for name, array in LAYOUT[experiment].items():
        yield f"| `{name}` | {_dims(array)} | {array.dtype} | {_bounds(array)} | {array.doc} |"


def _dims(array: Array) -> str:
    return " or ".join(", ".join(dims) or "one number" for dims in array.dims)


def _bounds(array: Array) -> str:
    if array.dtype == "bool":
        return ""
    nan = ", or NaN" if array.unknown else ""
    return f"{array.least:.4g} and {array.most:.4g}{nan}{'; may be absent' if array.optional else ''}"


def written() -> str:
    """The page with this part as the layout makes it."""
    page = PAGE.read_text(encoding="utf-8")
    made = f"The newest layout is {NEWEST}.\n\n{tables()}"
    return f"{page.split(START)[0]}{START}{made}{END}{page.split(END)[1]}"


def main() -> None:
    """Bring docs/records.md up to date."""
    PAGE.write_text(written(), encoding="utf-8")


if __name__ == "__main__":
    main()
