"""The tables of a run in BENCHMARKS.md: each takes the place of the older one with its title, and the others stay."""

START, END = "<!-- made by pytest benchmarks --page -->\n", "<!-- end -->\n"


def renewed(page: str, tables: dict[str, list[str]], made: str) -> str:
    """The page with the tables of a run; `made` says below each title how, when and on what it was made."""
    before, _, rest = page.partition(START)
    there, _, after = rest.partition(END)
    sections = dict(part.split("\n\n", 1) for part in there.split("### ")[1:])
    for title, rows in tables.items():
        sections[title] = "\n".join([made, "", *rows, "", ""])
    return before + START + "".join(f"### {title}\n\n{text}" for title, text in sections.items()) + END + after
