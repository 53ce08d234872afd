"""What the claims say of real models: `python -m lib.compare.evidence` makes docs/evidence.md and the README's table.

Both are made of the documents in evidence/, which are runs as they came out. No verdict in them is edited or left out.
"""

from collections.abc import Mapping
from pathlib import Path

from lib.compare.run import warnings
from lib.compare.table import table
from lib.reporting import documents

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "evidence"
PAGES = (ROOT / "README.md", ROOT / "docs" / "evidence.md")
START, END = "<!-- made by python -m lib.compare.evidence -->\n", "<!-- end of evidence -->\n"
LIBRARIES = ("python", "torch", "transformers", "gguf")
"""Libraries that are named beside a run."""


def runs(folder: Path = FOLDER) -> dict[str, dict]:
    """The documents of the runs on real models, by the name of their pair, the shortest name first."""
    found = [documents.read(file) for file in sorted(folder.glob("*.json"))]
    return {document["settings"]["pair"]: document for document in found}


def page(found: Mapping[str, dict]) -> str:
    """The table of all claims, and how each run was made."""
    notes = [f"- {sentence}" for sentence in warnings(found)] if len(found) > 1 else []
    return "\n".join([table(found), *notes, "", *(made(name, document) for name, document in found.items())])


def made(name: str, document: dict) -> str:
    """How a run was made, and how its claims came out."""
    settings, summary = document["settings"], document["summary"]
    counts = ", ".join(f"{number} {word}" for word, number in summary.items() if number and word != "registered")
    origin = document["arms"]["rope"]
    versions = ", ".join(
        f"{library} {origin['versions'][library]}" for library in LIBRARIES if library in origin["versions"]
    )
    number = {role: len(settings["texts"][role]) for role in ("count", "score")}
    lines = [
        f"### {name}",
        "",
        " ".join(settings["description"].split()),
        "",
        "```",
        document["command"],
        "```",
        f"{document['finished'][:10]}; {versions}; {origin['dtype']} on {origin['device']}. Weights "
        f"{origin['identity']}. {settings['max_tokens']} tokens each of {number['count']} texts that count and "
        f"{number['score']} that are scored, {settings['controls']} random controls. Of {summary['registered']} claims "
        f"{counts}.",
        *([settings["note"]] if settings["note"] else []),
        "",
    ]
    return "\n".join(lines)


def between(content: str, made: str) -> str:
    """A page with everything between its two marks replaced."""
    return f"{content.split(START)[0]}{START}{made}{END}{content.split(END)[1]}"


def main() -> None:
    """Bring both pages up to date."""
    found = runs()
    for path, made in zip(PAGES, (table(found), page(found)), strict=True):
        path.write_text(between(path.read_text(encoding="utf-8"), made), encoding="utf-8")


if __name__ == "__main__":
    main()
