"""What the tool does for code that takes too much for granted, on the real table and in a real kernel."""

from dataclasses import replace
from pathlib import Path

import pytest

from local_assistants.tools.code_interpreter.environment import Environment
from local_assistants.tools.code_interpreter.tool import CodeInterpreter, Settings

from .room import Desk, HandClock, attach

BANKS = Path(__file__).parents[2] / "examples" / "data" / "failed_banks.csv"


def attached(desk: Desk, count: int = 1) -> Desk:
    """The desk with the table of failed banks on it."""
    return replace(desk, files=[attach(BANKS, f"file-{n}", f"banks{n}.csv") for n in range(count)])


async def test_the_table_and_its_imports_are_there_when_code_takes_them_for_granted(
    desk: Desk,
) -> None:
    """Loaded by the profile's own lines, and the model is told by which."""
    result = await attached(desk).run("print(df['State'].value_counts().head(1))")
    assert "GA    93" in result.output
    assert "Run before your code, as it was missing:\nimport pandas as pd\n" in result.output
    assert "df.columns = df.columns.str.strip()" in result.output
    assert "93" in desk.logs
    assert "Run before" not in desk.logs


async def test_what_the_session_has_is_left_alone(desk: Desk) -> None:
    """Also a table of the same name that the model made itself."""
    here = attached(desk)
    await here.run("df = [1, 2, 3]")
    assert "3" == (await here.run("print(len(df))")).output


async def test_of_several_tables_none_is_loaded(desk: Desk) -> None:
    """Nobody knows which one was meant: the error and its hint are the answer."""
    result = await attached(desk, 2).run("print(len(df))")
    assert result.failed
    assert "name 'df' is not defined" in result.output


async def test_a_condition_that_no_row_fulfils_is_named(desk: Desk) -> None:
    """With what the column holds; the model is not told that it has an answer."""
    code = "print(len(df[(df['State'] == 'Georgia') & (df['Fund'] > 0)]))"
    result = await attached(desk).run(code)
    assert "Hint: no row has State == 'Georgia': it holds " in result.output
    assert "That is no answer yet." in result.output
    assert result.silent


async def test_a_condition_that_every_row_fulfils_is_questioned(desk: Desk) -> None:
    """The answer may be right all the same."""
    result = await attached(desk).run("print(len(df[df['Fund'] > 0.5]))")
    assert "Check: every row has Fund > 0.5 (it holds 4645 to 10545)." in result.output
    assert not result.silent


async def test_the_row_behind_a_number_is_shown(desk: Desk) -> None:
    """Whose name the user asked for."""
    result = await attached(desk).run("last = df['Closing Date'].idxmax()\nprint(last)")
    assert "Hint: 0 is the number of a row: {'Bank Name': 'Citizens Bank', " in result.output


async def test_a_zero_that_is_one_is_doubted_in_general_words(desk: Desk) -> None:
    """Where every condition fits some row, the hint tells how to look."""
    result = await attached(desk).run("print('found', len(df.dropna()) - len(df))")
    assert "Hint: the result is empty or 0." in result.output
    assert result.silent


@pytest.mark.parametrize("code", ["print('found', 0)", "print([])", "import os\nprint(0)"])
async def test_nothing_is_doubted_where_no_table_is_in_play(desk: Desk, code: str) -> None:
    """Advice about columns would lead astray, and a zero is an answer."""
    await attached(desk).run("print(len(df))")
    result = await desk.run(code)
    assert "Hint" not in result.output
    assert not result.silent


@pytest.mark.parametrize(
    "code",
    ["!pip install torch", "%pip install torch", "import os\nos.system('pip install torch')"],
)
async def test_who_installs_is_told_what_there_is(desk: Desk, code: str) -> None:
    """The host's pip may be there, and its advice is no use here."""
    result = await desk.run(code)
    assert "Hint: nothing can be installed, there is no network. Installed: pandas" in result.output


async def test_all_advice_can_be_switched_off(environment: Environment, tmp_path: Path) -> None:
    """Then the model gets what Python said, and no more."""
    settings = Settings(environment.prefix, tmp_path / "root", profiles=False, hints=False)
    desk = attached(Desk(CodeInterpreter(settings, HandClock())))
    assert "File /mnt/data/banks0.csv" == await desk.tool.brief(desk.files, desk.session)
    wrong = (await desk.run("print(df)")).output
    assert "NameError: name 'df' is not defined\n(line 1: print(df))" == wrong
    assert "0" == (await desk.run("print(0)")).output
    assert "(no output)" == (await desk.run("x = 1")).output
    await desk.tool.close()


@pytest.mark.parametrize("number", ["1234567", "1234567.5"])
async def test_digits_are_read_out_in_groups(desk: Desk, number: str) -> None:
    """For the model alone."""
    result = await desk.run(f"print({number})")
    assert f"({number} is 1,234,567" in result.output
    assert f"{number}\n" == desk.logs
