"""The interpreter's environment: pinned lists, complete or not there."""

import json
import sys
from pathlib import Path

import pytest

from local_assistants.engine.errors import MissingDependency
from local_assistants.tools.code_interpreter import environment


def pins(kind: environment.Kind) -> set[str]:
    """name==version of each line, without its conditions."""
    lines = environment.requirements(kind).read_text().splitlines()
    return {line.partition(" ;")[0] for line in lines}


@pytest.mark.parametrize("kind", ["small", "full"])
def test_every_package_is_pinned(kind: environment.Kind) -> None:
    """One exact version a line, ipykernel among them, debugpy not."""
    assert all(pin.count("==") == 1 for pin in pins(kind))
    names = {pin.partition("==")[0] for pin in pins(kind)}
    assert {"ipykernel", "pandas", "matplotlib", "openpyxl"} <= names
    assert "debugpy" not in names


def test_the_full_set_holds_the_small_one() -> None:
    """Going from small to full changes no version."""
    assert pins("small") <= pins("full")


def write_marker(folder: Path, packages: dict[str, str]) -> None:
    """What `install` writes last."""
    marker = {"base": sys.base_prefix, "kind": "small", "digest": "x", "packages": packages}
    (folder / "interpreter.json").write_text(json.dumps(marker))


def test_an_interrupted_installation_is_not_found(tmp_path: Path) -> None:
    """Without the marker, which is written last, there is no environment."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    assert environment.find(tmp_path) is None


def test_a_finished_installation_is_found_with_its_packages(tmp_path: Path) -> None:
    """The description names what a model may import, in a fixed order."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    write_marker(tmp_path, {"scikit-learn": "1", "pandas": "2", "six": "1"})
    found = environment.find(tmp_path)
    assert found is not None
    assert "pandas, sklearn" == found.describe()


def test_an_environment_whose_python_is_gone_is_not_found(tmp_path: Path) -> None:
    """As after an upgrade of the system's Python."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(tmp_path / "gone")
    write_marker(tmp_path, {})
    assert environment.find(tmp_path) is None


def test_missing_wheels_are_told_with_the_way_out(tmp_path: Path) -> None:
    """Offline with an empty folder: the error says how to bring wheels along, and nothing counts as installed."""
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    stages: list[str] = []
    with pytest.raises(MissingDependency, match="pip download"):
        environment.install(tmp_path / "env", wheels=wheels, progress=stages.append)
    assert environment.find(tmp_path / "env") is None
    assert len(stages) >= 2
