"""What the claims say of real models: `python -m lib.compare.evidence` makes docs/evidence.md and the README's table.

They are made of the documents in evidence/, which are runs as they came out. No verdict in them is edited or left out.
"""

from collections.abc import Mapping
from pathlib import Path

from lib.compare.course import course, verdicts
from lib.compare.run import warnings
from lib.compare.table import markdown, table
from lib.reporting import documents

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "evidence"
PARTS = ("tasks", "stream", "positions")
"""Folders of runs that judge some families alone, of models of which the other claims were judged before."""
RECALIBRATION = FOLDER / "recalibration" / "smollm2-135m.json"
README, PAGE = ROOT / "README.md", ROOT / "docs" / "evidence.md"
LIBRARIES = ("python", "torch", "transformers", "gguf")
"""Libraries that are named beside a run."""


def runs(folder: Path = FOLDER) -> dict[str, dict]:
    """The documents of the runs on real models, by the names of their files, which are those of their pairs."""
    return {file.stem: documents.read(file) for file in sorted(folder.glob("*.json"))}


def short(found: Mapping[str, dict], *parts: Mapping[str, dict]) -> str:
    """The README's table: a row for each claim, in its cells the verdict and estimate for each of its parameters.

    Runs of `parts` add claims to those of the model with the same name.
    """
    entries = {}
    for name, document in found.items():
        judged = [document, *(part[name] for part in parts if name in part)]
        entries[name] = [entry for of in judged for entry in of["claims"] if entry["label"] is None]
    claims: dict[str, list[dict]] = {}
    for entry in (entry for of_run in entries.values() for entry in of_run):
        claims.setdefault(entry["id"].partition("[")[0], []).append(entry)
    rows = []
    for claim, asked in claims.items():
        cells = [_verdicts([e for e in of_run if e["id"].partition("[")[0] == claim]) for of_run in entries.values()]
        rows.append([claim, asked[0]["statement"], asked[0]["published"], *cells])
    return markdown(["", "claim", "published", *found], rows)


def _verdicts(entries: list[dict]) -> str:
    """`query: supported 8.21; key: refuted -1.3`."""
    parts = []
    for entry in entries:
        estimate = (entry["judgement"] or {}).get("estimate")
        number = "" if estimate is None else f" {estimate:.3g}"
        parameters = entry["id"].partition("[")[2].removesuffix("]").removeprefix("rope").lstrip("-")
        parts.append(f"{f'{parameters}: ' if parameters else ''}**{entry['verdict']}**{number}")
    return "; ".join(parts)


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


def recalibrated(document: dict) -> str:
    """A recalibration from checkpoint to checkpoint, how its run was made, and its verdicts."""
    return "\n".join([course(document), made("The run", document), verdicts(document)])


def written() -> dict[Path, str]:
    """The pages as the documents in evidence/ make them."""
    found, parts = runs(), {name: runs(FOLDER / name) for name in PARTS}
    pages = {path: path.read_text(encoding="utf-8") for path in (README, PAGE)}
    pages[README] = between(pages[README], "models", short(found, *parts.values()))
    pages[PAGE] = between(pages[PAGE], "models", page(found))
    for name, of_part in parts.items():
        pages[PAGE] = between(pages[PAGE], name, page(of_part))
    pages[PAGE] = between(pages[PAGE], "recalibration", recalibrated(documents.read(RECALIBRATION)))
    return pages


def between(content: str, part: str, made: str) -> str:
    """A page with everything between the two marks of one of its parts replaced."""
    start, end = f"<!-- {part}: made by python -m lib.compare.evidence -->\n", f"<!-- end of {part} -->\n"
    return f"{content.split(start)[0]}{start}{made}{end}{content.split(end)[1]}"


def main() -> None:
    """Bring both pages up to date."""
    for path, content in written().items():
        path.write_text(content, encoding="utf-8")


if __name__ == "__main__":
    main()
