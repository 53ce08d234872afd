"""Imports that must never be: between the wings, from the library to pytest, and in a circle."""

import subprocess
import sys

import pytest

from lib.tests.imports import ROOT, Arrow, arrows, circle, face, modules

pytestmark = pytest.mark.cpu

LEFT = ("lib.models", "lib.probing", "lib.measuring", "lib.recalibrate")
RIGHT = ("lib.effects", "lib.judging", "lib.published", "lib.reporting", "lib.compare")
GROUND = ("lib.definitions", "lib.texts", "lib.checkpoints", "lib.records", "lib.settings", "lib.tasks")
TORCH = ("torch", "transformers", "accelerate", "bitsandbytes")
NEVER = {
    "the right wing imports torch": (RIGHT, TORCH),
    "the ground imports torch": (GROUND, TORCH),
    "the right wing imports the left one": (RIGHT, LEFT),
    "the left wing imports the right one": (LEFT, RIGHT),
    "the ground imports a wing": (GROUND, (*LEFT, *RIGHT)),
    "the library imports pytest": (("lib",), ("pytest", "_pytest")),
    "the library imports fixtures": (("lib",), ("fixtures",)),
    "the library imports claims": (("lib",), ("claims",)),
    "probing imports measuring": (("lib.probing",), ("lib.measuring",)),
    "judging imports published": (("lib.judging",), ("lib.published",)),
    "sweeps, which start measurements elsewhere, import what measures": (("lib.sweep",), (*LEFT, *TORCH)),
    "reporting imports compare": (("lib.reporting",), ("lib.compare",)),
    "the plugin imports claims": (("fixtures.plugin",), ("claims",)),
}
ARROWS = arrows()


def within(module: str, places: tuple[str, ...]) -> bool:
    return any(module == place or module.startswith(f"{place}.") for place in places)


def forbidden(sources: tuple[str, ...], targets: tuple[str, ...], given: list[Arrow]) -> list[str]:
    wrong = [a for a in given if within(a.source, sources) and within(a.target, targets)]
    return [f"{arrow.source}, line {arrow.line}, imports {arrow.target}" for arrow in wrong]


@pytest.mark.parametrize("never", NEVER)
def test_an_arrow_that_must_never_be_is_not_there(never):
    assert forbidden(*NEVER[never], ARROWS) == []


@pytest.mark.parametrize("never", NEVER)
def test_an_arrow_that_must_never_be_would_be_seen(never):
    sources, targets = NEVER[never]
    arrow = Arrow(f"{sources[-1]}.module", f"{targets[-1]}.module", 1, inside=True)
    assert forbidden(sources, targets, [arrow])


def test_no_modules_import_one_another_in_a_circle():
    assert circle(ARROWS) == []


def test_a_circle_is_seen_also_through_a_function():
    pairs = [("a", "b", False), ("b", "c", True), ("c", "a", False), ("d", "a", False)]
    assert circle([Arrow(source, target, 1, inside) for source, target, inside in pairs]) == ["a", "b", "c", "a"]


def test_every_import_inside_a_function_has_a_comment_that_says_why():
    files = modules()
    bare = []
    for arrow in (arrow for arrow in ARROWS if arrow.inside):
        lines = files[arrow.source].read_text(encoding="utf-8").splitlines()
        if "#" not in lines[arrow.line - 1] and not lines[arrow.line - 2].lstrip().startswith("#"):
            bare.append(f"{arrow.source}, line {arrow.line}")
    assert bare == []


def test_others_import_a_package_through_its_face():
    around = []
    for arrow in (a for a in ARROWS if a.target.startswith("lib.") and a.target.count(".") > 1):
        package = arrow.target.rpartition(".")[0]
        text = modules()[arrow.source].read_text(encoding="utf-8").splitlines()[arrow.line - 1]
        if not within(arrow.source, (package,)) and f"from {arrow.target} import" in text:
            around.append(f"{arrow.source}, line {arrow.line}: {text.strip()}")
    assert around == []


def test_every_face_offers_names_that_are_there():
    packages = [name for name, file in modules().items() if file.name == "__init__.py" and face(file)]
    assert len(packages) > 10
    code = f"import {', '.join(packages)}\n" + "\n".join(
        f"assert all(getattr({package}, name) is not None for name in {package}.__all__)" for package in packages
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_judging_from_records_auditing_and_comparing_load_no_torch():
    faces = ", ".join((*RIGHT, *GROUND))
    code = (
        f"import {faces}, lib, sys\n"
        f"for face in ({faces}):\n    [getattr(face, name) for name in getattr(face, '__all__', ())]\n"
        "assert not {'torch', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
