"""The survivors that docs/mutants.md explains: read from the page, and compared with those of a run."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "mutants.md"
_SECTION = re.compile(r"^## (\S+\.py)$", re.MULTILINE)
_ENTRY = re.compile(r"```diff\n(.*?)```\n*(.*?)(?=```diff|\Z)", re.DOTALL)


@dataclass(frozen=True, order=True)
class Mutant:
    """A change of a file: the lines that are replaced, and those in their place."""

    file: str
    was: str
    becomes: str

    @property
    def key(self) -> tuple[str, str, str]:
        """What makes it the same change: neither where its lines stand nor how they are spaced."""
        return self.file, without_spaces(self.was), without_spaces(self.becomes)

    def __str__(self) -> str:
        """As the page shows it."""
        lines = [f"-{line}" for line in self.was.splitlines()] + [f"+{line}" for line in self.becomes.splitlines()]
        return "\n".join(["```diff", *lines, "```"])


def without_spaces(code: str) -> str:
    return "".join(code.split())


def of_diff(file: str, diff: str) -> list[Mutant]:
    """The changes that a diff shows: lines with a minus, followed by the lines with a plus that replace them."""
    lines = [line for line in diff.splitlines() if not line.startswith(("---", "+++", "@@"))]
    groups = re.findall(r"((?:^-.*\n)+)((?:^\+.*\n)*)", "\n".join(lines) + "\n", re.MULTILINE)
    return [Mutant(file, *(re.sub(r"^.", "", part, flags=re.MULTILINE) for part in group)) for group in groups]


def explained(page: str) -> dict[Mutant, str]:
    """Every survivor on the page with its reason, the text below its diff."""
    _, *parts = _SECTION.split(page)
    return {
        mutant: reason.strip()
        for file, section in zip(parts[::2], parts[1::2], strict=True)
        for diff, reason in _ENTRY.findall(section)
        for mutant in of_diff(file, diff)
    }
