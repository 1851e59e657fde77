"""What is told of isolation: by the self-test, by `sandbox status`, by /readyz's question and by a run's error."""

import json
from pathlib import Path

import pytest

from local_assistants.cli import checks, exit_codes
from local_assistants.cli.app import run
from local_assistants.engine.errors import InvalidRequest, SandboxUnavailable
from local_assistants.tools.code_interpreter import selftest
from local_assistants.tools.code_interpreter.environment import Environment
from local_assistants.tools.code_interpreter.isolation.bubblewrap import Bubblewrap
from local_assistants.tools.code_interpreter.tool import CodeInterpreter, Settings

from .room import Desk, HandClock

NO_BWRAP = Bubblewrap(Path("/bin/false"), "a bwrap that cannot isolate")


async def test_a_program_and_a_kernel_try_to_get_out(
    environment: Environment, tmp_path: Path
) -> None:
    """Each makes more than a dozen attempts, and the tier in use withstood all of them."""
    settings = Settings(environment.prefix, tmp_path / "root")
    report = await selftest.survey(settings, environment)
    used = next(each for each in report.attempts if each.tier == report.tier)
    assert [] == [check.name for check in used.checks if not check.passed]
    kernels = [check for check in used.checks if check.name.endswith("(kernel)")]
    assert len(kernels) >= 12
    assert len(used.checks) - len(kernels) >= 12
    assert not list(tmp_path.glob("root/*"))


async def test_all_who_ask_are_told_the_same(environment: Environment, tmp_path: Path) -> None:
    """The self-test, /readyz's question and a run's error have one text."""
    settings = Settings(
        environment.prefix, tmp_path / "root", bubblewrap=NO_BWRAP, lowest_tier="A'"
    )
    told = (await selftest.survey(settings, environment)).text
    assert told.startswith("no sandbox on this host: tier A: ")
    tool = CodeInterpreter(settings, HandClock())
    with pytest.raises(SandboxUnavailable) as asked:
        await tool.check()
    with pytest.raises(SandboxUnavailable) as ran:
        await Desk(tool).run("1")
    await tool.close()
    assert [told, told] == [asked.value.message, ran.value.message]


async def test_all_tiers_are_tried_when_all_are_wanted(
    environment: Environment, tmp_path: Path
) -> None:
    """Whoever looks at a machine sees what it would fall back to."""
    settings = Settings(environment.prefix, tmp_path / "root")
    report = await selftest.survey(settings, environment, every=True)
    assert ["A", "A'", "B"] == [each.tier for each in report.attempts]


def test_the_command_tells_the_tier_and_what_it_covers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """For programs: which tier, what was tried, what came of it."""
    code = run(["sandbox", "status", "--json", "--data", str(tmp_path)])
    said = json.loads(capsys.readouterr().out)
    assert exit_codes.DONE == code
    used = next(each for each in said["tiers"] if each["tier"] == said["tier"])
    assert used["passed"]
    assert used["covers"] in said["text"]
    assert all(used["checks"].values())


def test_a_tier_that_is_none_is_refused(tmp_path: Path) -> None:
    """A slip in the settings must not let less isolation pass."""
    with pytest.raises(InvalidRequest, match="lowest_tier"):
        Settings(tmp_path, tmp_path, lowest_tier="C")


def test_a_tier_that_the_settings_exclude_is_told_as_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a server would not use, the command does not promise; nor does it say that the host has nothing."""
    file = tmp_path / "settings.toml"
    file.write_text('[code_interpreter]\nlowest_tier = "A"\n')
    monkeypatch.setenv("LOCAL_ASSISTANTS_SETTINGS", str(file))
    run(["sandbox", "status", "--json", "--data", str(tmp_path)])
    said = json.loads(capsys.readouterr().out)
    assert {"A": False, "A'": True, "B": True} == {
        each["tier"]: each["excluded"] for each in said["tiers"]
    }


async def test_the_folder_for_sessions_is_tried_where_the_server_makes_it(
    environment: Environment, tmp_path: Path
) -> None:
    """Also before there is one; nothing of the trial is left."""
    root = tmp_path / "not" / "yet" / "there"
    report = await selftest.survey(Settings(environment.prefix, root), environment)
    assert report.tier is not None
    assert [] == list(tmp_path.iterdir())


async def test_a_folder_that_cannot_be_made_is_no_sandbox(
    environment: Environment, tmp_path: Path
) -> None:
    """The server would refuse, so whoever looks beforehand is told."""
    (tmp_path / "file").write_text("in the way")
    settings = Settings(environment.prefix, tmp_path / "file" / "root")
    report = await selftest.survey(settings, environment)
    assert report.tier is None
    assert "the folder for sessions cannot be made: Not a directory" in report.text
    assert str(tmp_path) not in report.text
    assert "--data FOLDER" in report.mend


def test_doctor_goes_on_after_a_wrong_settings_file(tmp_path: Path) -> None:
    """The file is told by a check of its own; this one was not tried, and says why."""
    file = tmp_path / "settings.toml"
    file.write_text("[code_interpreter]\nlowest_tier = 1\n")
    detail = checks.sandbox(tmp_path, file).detail
    assert detail.startswith("not tried, the settings file is wrong: ")
    assert "lowest_tier must be" in detail
