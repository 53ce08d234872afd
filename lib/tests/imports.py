"""The arrows between modules, read from their source: who imports whom, and where inside a function."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
OURS = ("lib", "fixtures", "claims", "conftest")


@dataclass(frozen=True)
class Arrow:
    """`source` imports `target` in `line`; `inside` says that it does so when a function runs."""

    source: str
    target: str
    line: int
    inside: bool


def modules(root: Path = ROOT) -> dict[str, Path]:
    """All modules but tests, by name; a package goes by its own name."""
    files = [*(f for top in OURS for f in (root / top).rglob("*.py")), *root.glob("conftest.py")]
    kept = (file.relative_to(root) for file in files if "tests" not in file.parts and not file.name.startswith("test_"))
    kept = [*kept, *(file.relative_to(root) for file in (root / "claims").glob("test_*.py"))]
    return {".".join(file.with_suffix("").parts).removesuffix(".__init__"): root / file for file in sorted(kept)}


def arrows(root: Path = ROOT) -> list[Arrow]:
    """Every import of a module of ours or of a library, the faces' lazy ones among them."""
    known = modules(root)
    return [arrow for name, file in known.items() for arrow in _of_file(name, file, known)]


def _of_file(name: str, file: Path, known: dict[str, Path]) -> Iterator[Arrow]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))
    inside = {id(child) for function in functions for child in ast.walk(function)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            targets = [_target(node.module, alias.name, known) for alias in node.names]
        else:
            continue
        for target in dict.fromkeys(targets):
            yield Arrow(name, target, node.lineno, id(node) in inside)


def _target(module: str, name: str, known: dict[str, Path]) -> str:
    """The module that `from module import name` loads, through a package's face where it has one."""
    if f"{module}.{name}" in known:
        return f"{module}.{name}"
    if module in known and known[module].name == "__init__.py":
        return next((f"{module}.{part}" for part, names in face(known[module]).items() if name in names), module)
    return module


def face(file: Path) -> dict[str, list[str]]:
    """The names that a package offers, by the module that has them."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.keyword) and node.arg == "submod_attrs":
            return ast.literal_eval(_flattened(node.value))
    return {}


def _flattened(node: ast.AST) -> ast.AST:
    """A literal in which `[*("a", "b"), "c"]` is written `["a", "b", "c"]`."""

    class Flatten(ast.NodeTransformer):
        def visit_List(self, node: ast.List) -> ast.List:
            items = [e.value.elts if isinstance(e, ast.Starred) else [e] for e in node.elts]
            return ast.List([item for part in items for item in part], ast.Load())

    return ast.fix_missing_locations(Flatten().visit(node))


def circle(found: list[Arrow]) -> list[str]:
    """Modules that import one another in a circle, imports inside functions included; [] where there is no circle."""
    graph: dict[str, set[str]] = {}
    for arrow in found:
        graph.setdefault(arrow.source, set()).add(arrow.target)
    done: set[str] = set()

    def walk(module: str, path: list[str]) -> list[str]:
        if module in path:
            return [*path[path.index(module) :], module]
        if module in done:
            return []
        for target in sorted(graph.get(module, ())):
            if round_trip := walk(target, [*path, module]):
                return round_trip
        done.add(module)
        return []

    return next((loop for module in sorted(graph) if (loop := walk(module, []))), [])
