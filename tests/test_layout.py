"""The house stands as pyproject.toml says: rooms, links, wheel, pins, scripts."""

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from local_assistants import paths

ROOT = Path(__file__).resolve().parents[1]
FRONT_DOOR = ROOT / "src" / "local_assistants"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
ROOMS = {"engine", "tools", "backends", "storage", "server"}
SCRIPTS = ("setup", "demo", "test", "check", "bench")


def test_every_room_is_linked_under_the_import_name() -> None:
    """The links in src/local_assistants are exactly the rooms, relative, and lead to them."""
    links = {path.name: os.readlink(path) for path in FRONT_DOOR.iterdir() if path.is_symlink()}

    assert {room: f"../../{room}" for room in ROOMS} == links


def test_the_wheel_lists_every_front_door_module() -> None:
    """What lies in src/local_assistants beside the links is named in only-include, and nothing else is."""
    there = {
        f"src/local_assistants/{path.name}"
        for path in FRONT_DOOR.iterdir()
        if not path.is_symlink() and path.name != "__pycache__"
    }

    assert there | ROOMS == set(PROJECT["tool"]["hatch"]["build"]["only-include"])


def test_the_wheel_holds_the_rooms_under_one_name(tmp_path: Path) -> None:
    """A built wheel has every source file below local_assistants/ and no top-level room."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}

    rooms = {
        f"local_assistants/{path.relative_to(ROOT)}" for room in ROOMS for path in _sources(room)
    }
    front = {f"{path.relative_to(ROOT / 'src')}" for path in _sources("src/local_assistants")}

    assert rooms | front == packed


def _sources(folder: str) -> list[Path]:
    """Tracked and new files that git does not ignore, as the build sees them."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", folder]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    files = [ROOT / line for line in listed.splitlines()]
    return [file for file in files if file.is_file() and not file.is_symlink()]


def test_every_dependency_is_pinned() -> None:
    """Each requirement of pyproject.toml has an exact version in constraints.txt."""
    project = PROJECT["project"]
    extras = project["optional-dependencies"].values()
    asked = [*project["dependencies"], *(each for extra in extras for each in extra)]
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {_name(line) for line in lines if "==" in line and not line.startswith("#")}

    assert set() == {_name(requirement) for requirement in asked} - pinned


def test_constraints_name_no_place() -> None:
    """Pins are plain versions: no path, address or local build that another machine could not get."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]

    assert [] == [pin for pin in pins if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", pin)]


def _name(requirement: str) -> str:
    match = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert match is not None
    return re.sub(r"[-_.]+", "-", match.group()).lower()


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_script_explains_itself(name: str) -> None:
    """--help prints the usage, does nothing and succeeds."""
    done = subprocess.run(
        [ROOT / "scripts" / name, "--help"], capture_output=True, text=True, check=True
    )

    assert done.stdout.startswith(f"Usage: scripts/{name}")


@pytest.mark.parametrize(
    "variables",
    [
        {"HOME": "/somewhere"},
        {"HOME": "/somewhere", "XDG_CACHE_HOME": "/xdg"},
        {"HOME": "/somewhere", "XDG_CACHE_HOME": "/xdg", "LOCAL_ASSISTANTS_CACHE": "/own"},
    ],
)
def test_scripts_and_package_agree_on_the_cache(
    variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shell's rule for the cache folder gives the same place as paths.cache_root."""
    for name in ("XDG_CACHE_HOME", "LOCAL_ASSISTANTS_CACHE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    shell = f'source "{ROOT}/scripts/_lib.sh"; printf %s "$CACHE"'
    said = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=True).stdout

    assert str(paths.cache_root()) == said
