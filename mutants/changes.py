"""The small changes of a file that Cosmic Ray can make."""

import ast
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import unified_diff
from functools import cached_property
from pathlib import Path

from cosmic_ray import plugins
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code

from mutants.survivors import Mutant, of_diff


@dataclass(frozen=True)
class Change:
    """One change of the `code` of a file: what an operator makes of the place where it fits for the n-th time."""

    file: str
    code: str
    operator: str
    occurrence: int
    place: tuple[int, int]

    @cached_property
    def changed(self) -> str | None:
        """The changed code; None where the operator fails, or what it makes is no code."""
        try:
            changed = mutate_code(self.code, plugins.get_operator(self.operator)(), self.occurrence)
            ast.parse(changed)
        except (AttributeError, SyntaxError):
            return None
        return changed

    @property
    def mutants(self) -> list[Mutant]:
        return of_diff(self.file, "\n".join(unified_diff(self.code.split("\n"), self.changed.split("\n"), lineterm="")))


def changes(
    file: Path, name: str, excluded: list[str], decorators: list[str], sample: int | None = None
) -> list[Change]:
    """All changes of a file but those by excluded operators and of what is no code; or a sample of so many.

    No code are annotations and the arguments of the decorators of these names.
    """
    code = file.read_text(encoding="utf-8")
    outside = list(_no_code(ast.parse(code), decorators))
    nodes = list(ast_nodes(get_ast(code)))
    found = []
    for operator in sorted(plugins.operator_names()):
        kind = plugins.get_operator(operator)
        if kind.arguments() or any(re.match(pattern, operator) for pattern in excluded):
            continue
        places = (start for node in nodes for start, _ in kind().mutation_positions(node))
        found += [Change(name, code, operator, number, tuple(start)) for number, start in enumerate(places)]
    kept = [
        change
        for change in found
        if not any(start <= change.place < end for start, end in outside)
        and not _unpacks(code, *change.place)
        and change.changed
    ]
    kept.sort(key=lambda change: (change.place, change.operator, change.occurrence))
    return random.Random(0).sample(kept, sample) if sample is not None and sample < len(kept) else kept


def _no_code(tree: ast.Module, decorators: list[str]) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Where annotations and the arguments of these decorators start and end, as (line, column)."""
    for node in ast.walk(tree):
        found = [getattr(node, "annotation", None), getattr(node, "returns", None)]
        for decorator in getattr(node, "decorator_list", []):
            if isinstance(decorator, ast.Call) and getattr(decorator.func, "id", "") in decorators:
                found += [*decorator.args, *decorator.keywords]
        for part in filter(None, found):
            yield (part.lineno, part.col_offset), (part.end_lineno, part.end_col_offset)


def _unpacks(code: str, line: int, column: int) -> bool:
    """Whether there is a star that multiplies nothing: it unpacks a sequence or begins the parameters with names."""
    lines = code.splitlines(keepends=True)
    before, after = "".join(lines[: line - 1]) + lines[line - 1][:column], lines[line - 1][column:]
    return after.startswith("*") and before.rstrip()[-1:] in tuple("([{,=:")
