"""The interpreter's environment: pinned lists, complete or not there."""

import json
import sys
import venv
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


# What models know from the hosted tool, by the names that code imports.
HOSTED = (
    "pandas, numpy, matplotlib, seaborn, scipy, sklearn, statsmodels, sympy, openpyxl, xlsxwriter, xlrd, docx, pptx, "
    "pypdf, pdfplumber, reportlab, PIL, lxml, bs4, tabulate, networkx, pyarrow, chardet, yaml"
)
# What the kinds of files that people send and ask for need.
OFFICE = ("pandas", "openpyxl", "xlsxwriter", "docx", "pptx", "pypdf", "reportlab", "PIL")


def write_marker(
    folder: Path, packages: dict[str, str], kind: environment.Kind = "small", digest: str = "x"
) -> None:
    """What `install` writes last."""
    marker = {"base": sys.base_prefix, "kind": kind, "digest": digest, "packages": packages}
    (folder / "interpreter.json").write_text(json.dumps(marker))


def described(folder: Path, kind: environment.Kind) -> str:
    """What a model would be told of an environment made from a list."""
    make_python(folder)
    write_marker(folder, {pin.partition("==")[0]: "1" for pin in pins(kind)}, kind)
    found = environment.find(folder)
    assert found is not None
    return found.describe()


def make_python(folder: Path) -> None:
    """A link where an environment has its Python."""
    (folder / "bin").mkdir()
    (folder / "bin" / "python").symlink_to(sys.executable)


def test_the_full_set_is_that_of_the_hosted_tool(tmp_path: Path) -> None:
    """Every package that models expect to find, in the order in which they are told."""
    assert HOSTED == described(tmp_path, "full")


def test_the_small_set_reads_and_writes_office_files(tmp_path: Path) -> None:
    """CSV, workbooks, documents, slides, PDF and pictures need no second installation."""
    assert set(OFFICE) <= set(described(tmp_path, "small").split(", "))


@pytest.mark.parametrize(
    ("there", "wanted_small"), [("small", True), ("full", False), ("full", True)]
)
def test_a_current_installation_is_left_alone(
    tmp_path: Path, there: environment.Kind, wanted_small: bool
) -> None:
    """Also a full one when the small set would do."""
    make_python(tmp_path)
    write_marker(tmp_path, {}, there, environment.digest(there))
    stages: list[str] = []
    found = environment.install(tmp_path, small=wanted_small, progress=stages.append)
    assert [f"the interpreter ({there}) is installed in {tmp_path}"] == stages
    assert (there, True) == (found.kind, found.current)


def test_an_installation_from_an_older_list_is_known_as_such(tmp_path: Path) -> None:
    """It works; `doctor` advises to renew it."""
    make_python(tmp_path)
    write_marker(tmp_path, {"pandas": "1"})
    found = environment.find(tmp_path)
    assert found is not None
    assert not found.current


def test_an_interrupted_installation_is_not_found(tmp_path: Path) -> None:
    """Without the marker, which is written last, there is no environment."""
    make_python(tmp_path)
    assert environment.find(tmp_path) is None


def test_a_finished_installation_is_found_with_its_packages(tmp_path: Path) -> None:
    """The description names what a model may import, in a fixed order."""
    make_python(tmp_path)
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
    with pytest.raises(
        MissingDependency, match=r"requirements[^$]*pip download[^$]*--offline wheels"
    ):
        environment.install(tmp_path / "env", wheels=wheels, progress=stages.append)
    assert environment.find(tmp_path / "env") is None
    assert len(stages) >= 2


def test_a_set_that_works_is_not_lost_to_one_that_cannot_be_had(tmp_path: Path) -> None:
    """Going from small to full without the wheels, in an environment without pip: the small set stays."""
    folder, wheels = tmp_path / "env", tmp_path / "wheels"
    wheels.mkdir()
    venv.create(folder, with_pip=False)
    write_marker(folder, {}, "small")
    stages: list[str] = []
    with pytest.raises(MissingDependency, match="The small set that was there is still in use"):
        environment.install(folder, wheels=wheels, small=False, progress=stages.append)
    found = environment.find(folder)
    assert found is not None
    assert ("small", "x") == (found.kind, found.digest)
    assert not any("interrupted" in stage for stage in stages)
