"""Which part of the library may import which: read from every file, imports inside of functions included."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

pytestmark = pytest.mark.cpu

LIB = Path(__file__).parents[1]
GROUND = ("definitions", "texts", "checkpoints", "records", "settings")
LEFT = ("models", "probing", "measuring", "recalibrate")
RIGHT = ("effects", "judging", "published", "reporting", "compare")
FILES = [path for path in LIB.rglob("*.py") if "tests" not in path.parts]


def module_of(path):
    """`lib.texts.reading` for its file, `lib.texts` for the face of a package."""
    return ".".join(path.relative_to(LIB.parent).with_suffix("").parts).removesuffix(".__init__")


def part_of(module):
    """The package of the library that a module belongs to."""
    return module.split(".")[1] if "." in module else module


MODULES = {module_of(path): path for path in FILES}


def imported(path):
    """Everything that a file imports, as dotted names; `from lib.a import b` is the module b if there is one, else a."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            named = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if name in MODULES else node.module for name in named)


IMPORTS = {module: set(imported(path)) for module, path in MODULES.items()}


def parts_imported_by(part):
    modules = [module for module in IMPORTS if part_of(module) == part]
    return {part_of(name) for module in modules for name in IMPORTS[module] if name.split(".")[0] == "lib"} - {part}


def test_no_module_imports_itself_by_way_of_others():
    inside = {module: names & MODULES.keys() for module, names in IMPORTS.items()}
    assert set(TopologicalSorter(inside).static_order()) == MODULES.keys()


def test_no_package_imports_itself_by_way_of_others():
    parts = {part: parts_imported_by(part) for part in map(part_of, MODULES)}
    assert set(TopologicalSorter(parts).static_order()) == {"lib", *GROUND, *LEFT, *RIGHT}


@pytest.mark.parametrize("part", [*GROUND, *RIGHT])
def test_common_ground_and_right_wing_import_neither_torch_nor_the_left_wing(part):
    names = {name for module, names in IMPORTS.items() if part_of(module) == part for name in names}
    assert {name.split(".")[0] for name in names}.isdisjoint({"torch", "transformers", "accelerate", "bitsandbytes"})
    assert parts_imported_by(part).isdisjoint(LEFT)


@pytest.mark.parametrize(
    ("part", "never"),
    [("probing", "measuring"), ("models", "probing"), ("judging", "published"), ("reporting", "compare")]
    + [(part, other) for part in GROUND for other in RIGHT],
)
def test_a_package_does_not_import_one_that_builds_on_it(part, never):
    assert never not in parts_imported_by(part)


def test_the_library_imports_neither_pytest_nor_anything_above_it():
    names = {name.split(".")[0] for names in IMPORTS.values() for name in names}
    assert names.isdisjoint({"pytest", "fixtures", "claims", "benchmarks"})


def test_code_outside_of_a_package_imports_names_from_its_face_alone():
    faces = {module for module, path in MODULES.items() if path.name == "__init__.py"} | {"lib.settings"}
    named = {
        (module, node.module)
        for module, path in MODULES.items()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module in MODULES
    }
    assert {(module, name) for module, name in named if part_of(module) != part_of(name) and name not in faces} == set()


@pytest.mark.parametrize("part", [*GROUND, *RIGHT])
def test_everything_on_the_face_of_a_package_can_be_had_without_torch(part):
    code = f"import sys, lib.{part} as p; [getattr(p, n) for n in dir(p)]; assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], cwd=LIB.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
