"""The settings file: what it may say, what becomes of it, and what is said when it says something else."""

import dataclasses
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from local_assistants.cli import checks, exit_codes
from local_assistants.cli.app import run
from local_assistants.engine.chat import Capabilities
from local_assistants.engine.errors import InvalidRequest
from local_assistants.engine.objects import Usage
from local_assistants.engine.reading import reading
from local_assistants.engine.settings import CoreSettings
from local_assistants.settings_file import (
    OperatorSettings,
    RunSettings,
    StoreSettings,
    read_settings_file,
)
from local_assistants.telemetry.settings import TelemetrySettings
from local_assistants.tools.code_interpreter.isolation.limits import MIB, Limits
from local_assistants.tools.code_interpreter.sessions.sessions import SessionLimits
from local_assistants.tools.code_interpreter.settings import Settings
from local_assistants.tools.file_search.parsing.limits import ParseLimits
from local_assistants.tools.file_search.settings import (
    IndexSettings,
    LibrarySettings,
    WorkerSettings,
)

PAGE = (Path(__file__).parents[3] / "docs" / "settings-file.md").read_text()
EXAMPLE = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)[0]
SECTIONS = dict(re.findall(r"^## `\[(.*?)\]`\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE))


def read(folder: Path, text: str) -> dict[str, Any]:
    """What a file of this text says, by table."""
    path = folder / "settings.toml"
    path.write_text(text)
    return {table: found for table, found in vars_of(read_settings_file(path)).items() if found}


def vars_of(found: OperatorSettings) -> dict[str, dict[str, Any]]:
    """The tables at the top."""
    return {each.name: dict(getattr(found, each.name)) for each in dataclasses.fields(found)}


def refusal(folder: Path, text: str) -> str:
    """What is said of it, after the file's name."""
    with pytest.raises(InvalidRequest) as caught:
        read(folder, text)
    return caught.value.message.removeprefix(f"{folder / 'settings.toml'}")


def test_the_example_of_the_page(tmp_path: Path) -> None:
    """Everything in it arrives, as the settings' own classes."""
    code = {
        "hints": True,
        "limits": Limits(wall_seconds=60, memory_bytes=2048 * MIB, data_bytes=1024 * MIB),
        "sessions": SessionLimits(idle=600, live=8, pool=2),
    }
    search = {
        "worker": WorkerSettings(threads=4),
        "limits": ParseLimits(seconds=300, file_bytes=1024 * MIB),
    }
    runs = {"reading_seconds": 40.0}
    store = {"durability": "full"}
    found = read(tmp_path, EXAMPLE)
    assert {"code_interpreter": code, "file_search": search, "runs": runs, "store": store} == found


def test_an_empty_file_changes_nothing(tmp_path: Path) -> None:
    """All defaults stay."""
    assert {} == read(tmp_path, "")


@pytest.mark.parametrize(
    ("name", "of"),
    [
        ("store", StoreSettings),
        ("runs", RunSettings),
        ("telemetry", TelemetrySettings),
        ("code_interpreter", Settings),
        ("code_interpreter.limits", Limits),
        ("code_interpreter.sessions", SessionLimits),
        ("file_search", LibrarySettings),
        ("file_search.worker", WorkerSettings),
        ("file_search.index", IndexSettings),
        ("file_search.limits", ParseLimits),
    ],
)
def test_the_page_has_every_key_with_its_default(tmp_path: Path, name: str, of: Any) -> None:
    """What can be set is what is explained, and the defaults on the page are those of the code."""
    rows = dict(re.findall(r"^\| `(\w+)` \| `(.*?)` \|", SECTIONS[name], re.MULTILINE))
    lines = "\n".join(f"{key} = {value}" for key, value in rows.items())
    found = read(tmp_path, f"[{name}]\n{lines}")
    settable = {
        each.name: each.default
        for each in dataclasses.fields(of)
        if isinstance(each.default, bool | int | float | str)
    }
    top, _, part = name.partition(".")
    assert settable == (
        dataclasses.asdict(found[top][part], dict_factory=_known) if part else found[top]
    )
    assert tomllib.loads(lines).keys() == settable.keys()


def _known(fields: list[tuple[str, Any]]) -> dict[str, Any]:
    return {name: value for name, value in fields if value is not None}


@pytest.mark.parametrize(
    ("name", "of"), [("file_search", LibrarySettings), ("file_search.index", IndexSettings)]
)
def test_the_page_has_the_keys_without_a_default(name: str, of: Any) -> None:
    """Those that mean something else when they are left out."""
    rows = re.findall(r"^\| `(\w+)` \| none \|", SECTIONS[name], re.MULTILINE)
    assert [each.name for each in dataclasses.fields(of) if each.default is None] == rows


SEARCH = "[file_search]\n"
TOP, LIMITS, SESSIONS = (f"[code_interpreter{part}]\n" for part in ("", ".limits", ".sessions"))


@pytest.mark.parametrize(
    ("table", "line", "said"),
    [
        ("", "[code_interpretr]", "the key 'code_interpretr' is not known (did you mean 'code_interpreter'?)"),
        ("", "code_interpreter = 3", "code_interpreter must be a table."),
        (TOP, "hint = true", "the key 'hint' is not known (did you mean 'hints'?)"),
        (LIMITS, 'memory_bytes = "1 KiB"', "memory_bytes must be at least 512 MiB, and 1024 bytes is not."),
        (SESSIONS, "pool = 9", "pool = 9 is more than live = 4, and those of the pool are among"),
        (TOP, "live = 3", "the key 'live' belongs in [code_interpreter.sessions]."),
        (TOP, "root = '/'", "the key 'root' is not known; there are: "),
        (TOP, "limits = 3", "limits must be a table."),
        (TOP, "hints = 1", "hints must be true or false."),
        (LIMITS, "wall_second = 3", "the key 'wall_second' is not known (did you mean 'wall_seconds'?)"),
        (LIMITS, "processes = 1.5", "processes must be a whole number."),
        (TOP, "lowest_tier = 'D'", "lowest_tier must be one of A, A', B, and 'D' is not."),
        (LIMITS, "processes = 2", "processes must be at least 32, and 2 is not."),
        (LIMITS, "wall_seconds = -1", "wall_seconds must be a number of at least 0."),
        (LIMITS, "wall_seconds = inf", "wall_seconds must be a number of at least 0."),
        (LIMITS, "nice = 20", "nice must be at most 19, and 20 is not."),
        (LIMITS, "memory_bytes = '4 apples'", "memory_bytes must be a size such as"),
        (LIMITS, "memory_bytes = '64 MiB'", "memory_bytes must be at least 512 MiB, and 64 MiB is not."),
        (SEARCH, "modle = 'x'", "the key 'modle' is not known (did you mean 'model'?)"),
        (SEARCH, "threads = 2", "the key 'threads' belongs in [file_search.worker]."),
        (SEARCH, "dense_weight = 2.0", "dense_weight must be at most 1, and 2 is not."),
        ("[file_search.worker]\n", "threads = 0", "threads must be at least 1, and 0 is not."),
        ("[file_search.limits]\n", "seconds = 0.5", "seconds must be at least 5, and 0.5 is not."),
        ("[file_search.limits]\n", "memory_bytes = '64 MiB'", "memory_bytes must be at least 256 MiB"),
        ("[runs]\n", "tool_output_tokens = 100", "tool_output_tokens must be at least 300, and 100 is not."),
        ("[runs]\n", "reading_seconds = 0.0", "reading_seconds must be at least 1, and 0 is not."),
        ("[runs]\n", "max_concurrent_runs = 0", "max_concurrent_runs must be at least 1, and 0 is not."),
        ("[store]\n", "durability = 'none'", "durability must be one of full, normal, and 'none' is"),
        ("[runs]\n", "nudges = true", "the key 'nudges' is not known; there are: "),
        (SESSIONS, "pool = -1", "pool must be at least 0, and -1 is not."),
    ],
)  # fmt: skip
def test_a_wrong_line_is_named_with_its_place(
    tmp_path: Path, table: str, line: str, said: str
) -> None:
    """File, table, key, and what is allowed or was meant; nothing is guessed."""
    place = f"in {table.strip()}" if table else "at the top"
    assert refusal(tmp_path, table + line).startswith(f", {place}: {said}")


def test_how_much_a_model_reads_follows_the_file(tmp_path: Path) -> None:
    """With both keys: a slow model by tokens, a fast one by seconds."""
    found = read(tmp_path, "[runs]\ntool_output_tokens = 600\nreading_seconds = 5")["runs"]
    core = CoreSettings(**found)
    rates = (None, 60.0, 500.0)
    able = [Capabilities(context_window=64_000, prefill_rate=rate) for rate in rates]

    assert [600, 600, 2400] == [reading(core, one, Usage.of(0, 0)).usual for one in able]


def test_a_file_that_is_no_toml(tmp_path: Path) -> None:
    """Is said to be none."""
    assert refusal(tmp_path, "a = ").startswith(" is not TOML: Invalid value")


def test_a_missing_file(tmp_path: Path) -> None:
    """Is named."""
    with pytest.raises(
        InvalidRequest, match=r"Cannot read the settings file .*none\.toml: No such"
    ):
        read_settings_file(tmp_path / "none.toml")


def test_serve_refuses_a_wrong_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Before it listens, in one line, with the code of a wrong usage."""
    (tmp_path / "turns.yaml").write_text("turns: [{text: Hi}]")
    (tmp_path / "settings.toml").write_text("[code_interpreter]\nprofile = true")
    model = f"scripted:{tmp_path / 'turns.yaml'}"
    file = str(tmp_path / "settings.toml")
    code = run(["serve", "--port", "0", "--model", model, "--settings", file])
    said = capsys.readouterr()
    assert exit_codes.WRONG_USAGE == code
    assert "" == said.out
    assert "did you mean 'profiles'?" in said.err
    assert 1 == len(said.err.splitlines())


def test_doctor_looks_at_the_settings_file(tmp_path: Path) -> None:
    """In the words of its reader; where the server has none, it says nothing of one."""
    assert [] == list(checks.settings(None))
    file = tmp_path / "settings.toml"
    file.write_text("[code_interpreter]\nhints = true")
    assert [(True, str(file))] == [(each.ok, each.detail) for each in checks.settings(file)]
    file.write_text("[code_interpreter]\nhint = true")
    (wrong,) = checks.settings(file)
    assert not wrong.ok
    assert wrong.needed
    assert "did you mean 'hints'?" in wrong.detail
