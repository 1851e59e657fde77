"""What the tool does for code that takes too much for granted, on the real table and in a real kernel."""

from dataclasses import replace
from pathlib import Path

import pytest

from local_assistants.tools.code_interpreter.environment import Environment
from local_assistants.tools.code_interpreter.tool import CodeInterpreter, Settings

from .room import Desk, HandClock, attach

BANKS = Path(__file__).parents[2] / "examples" / "data" / "failed_banks.csv"


PANEL = "Country,Year,People,Urban\n" + "".join(
    f"{name},{year},{count},{share}\n"
    for name, count, share in (("Chad", 5, 23.5), ("Mali", 7, 90.5), ("Togo", 6, 43.5))
    for year in (2001, 2002)
)
WIDE = "Country,2001,2002,2003\nChad,1.5,2.5,3.5\nMali,4.5,,5.5\n"


def table(desk: Desk, folder: Path, text: str) -> Desk:
    """The desk with a small table on it."""
    path = folder / "t.csv"
    path.write_text(text)
    return replace(desk, files=[attach(path, "file-t", "t.csv")])


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


async def test_code_may_ask_for_more_than_the_short_profile_has_room_for(
    desk: Desk, tmp_path: Path
) -> None:
    """Of a table with too many columns the prompt names some, and the call that prints them all."""
    names = [f"measured quantity {n}x" for n in range(60)]
    text = ",".join(names) + "\n" + ",".join(["a"] * 60) + "\n" + ",".join(["b"] * 59) + ",\n"
    here = table(desk, tmp_path, text)
    short = await here.tool.brief(here.files, here.session)
    assert "more, see profile('/mnt/data/t.csv')" in short
    assert names[59] not in short
    whole = (await here.run("profile('/mnt/data/t.csv')")).output
    assert all(name in whole for name in names)
    assert f"Missing values: {names[59]} 1" in whole
    table_of_it, _, made = whole.partition("\n(Run before your code, as it was missing:\n")
    assert "from table_profile import profile)" == made
    again = await here.run("profile('t.csv')")
    assert table_of_it.replace("/mnt/data/", "") == again.output


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


async def test_a_condition_that_is_left_out_leaves_a_whole_line(desk: Desk) -> None:
    """A small model writes what it is given."""
    code = "few = df[(df['State'] == 'GA') & (df['Fund'] < 0)]\nprint(len(few))"
    result = await attached(desk).run(code)
    assert "no row has Fund < 0: it holds 4645 to 10545" in result.output
    assert "so leave it out and write: few = df[df['State'] == 'GA']." in result.output


async def test_a_share_is_not_compared_with_percentages(desk: Desk, tmp_path: Path) -> None:
    """Every row is more than 0.8 percent, and nobody asks for that."""
    result = await table(desk, tmp_path, PANEL).run("print(df[df['Urban'] > 0.8]['People'].sum())")
    assert "'Urban' goes from 23.5 to 90.5; write 80 instead of 0.8." in result.output
    assert result.silent


@pytest.mark.parametrize(
    "counted", ["len(found)", "found.shape[0]", "found['Country'].count()", "len(df[df['People'] > 5])"]
)  # fmt: skip
async def test_rows_are_not_countries(desk: Desk, tmp_path: Path, counted: str) -> None:
    """Where each stands in a row a year and the code speaks of them in the plural."""
    code = f"found = df[df['People'] > 5]\nprint('countries:', {counted})"
    result = await table(desk, tmp_path, PANEL).run(code)
    assert "Hint: 4 is a number of rows, one for each 'Country' and 'Year'" in result.output
    assert "there are 2 different 'Country'. Instead of that line write: " in result.output
    assert "['Country'].nunique()" in result.output
    assert result.silent


async def test_rows_may_be_counted(desk: Desk, tmp_path: Path) -> None:
    """Who does not speak of countries is told, and may answer."""
    result = await table(desk, tmp_path, PANEL).run("print(len(df))")
    assert "Check: 6 is a number of rows" in result.output
    assert not result.silent


async def test_things_that_stand_in_one_row_each_are_counted_by_rows(
    desk: Desk, tmp_path: Path
) -> None:
    """As in one year of the table."""
    code = "print('countries:', len(df[df['Year'] == 2001]))"
    result = await table(desk, tmp_path, PANEL).run(code)
    assert "Check" not in result.output
    assert "Hint" not in result.output


async def test_the_last_word_of_the_alphabet_is_not_the_most(desk: Desk, tmp_path: Path) -> None:
    """The line is told that finds the row of the greatest number."""
    code = "top = df['Country'].max()\nprint(top, df[df['Country'] == top]['People'].max())"
    result = await table(desk, tmp_path, PANEL).run(code)
    assert "'Country' is text, so df['Country'].max() is the last by the alphabet." in result.output
    assert "write: top = df.loc[df['People'].idxmax(), 'Country']" in result.output
    assert result.silent


async def test_a_year_that_code_only_speaks_of_is_added(desk: Desk, tmp_path: Path) -> None:
    """To the one line that filters."""
    code = "few = df[df['People'] > 5]  # in 2002\nprint(few['People'].sum())"
    result = await table(desk, tmp_path, PANEL).run(code)
    assert "the code speaks of 2002 but never looks for it." in result.output
    assert "write:\nfew = df[(df['People'] > 5) & (df['Year'] == 2002)]\n" in result.output
    assert result.silent


async def test_rows_are_not_found_by_guessed_numbers(desk: Desk, tmp_path: Path) -> None:
    """A name tells the year that was meant."""
    code = "in_2002 = df.loc[0, 'People']\nprint(in_2002)"
    result = await table(desk, tmp_path, PANEL).run(code)
    assert "write:\nin_2002 = df.loc[df['Year'] == 2002, 'People'].iloc[0]\n" in result.output
    assert result.silent


async def test_results_that_are_not_used_are_named(desk: Desk, tmp_path: Path) -> None:
    """With the line that was meant, where names tell."""
    code = "a_2001 = df['People'].iloc[0]\nb_2002 = df['People'].iloc[1]\nrise = 2002 - 2001\nprint(rise)"
    result = await table(desk, tmp_path, PANEL).run(code)
    assert "Hint: wrong is the line: rise = 2002 - 2001." in result.output
    assert "write: rise = b_2002 - a_2001" in result.output
    some = await desk.run("few = df[df['People'] > 5]\nprint(df['People'].mean())")
    assert "Hint: the code makes few and never uses it." in some.output


@pytest.mark.parametrize("key", ["df['2002']", "df.loc[2002, 'Value']", "df.loc[2002]"])
async def test_a_value_that_is_taken_for_a_name_is_told(
    desk: Desk, tmp_path: Path, key: str
) -> None:
    """A column a year has become a row a year."""
    result = await table(desk, tmp_path, WIDE).run(f"print({key})")
    assert "Hint: 2002 is a value of the column 'Year'." in result.output
    assert "df[df['Year'] == 2002]" in result.output


async def test_who_leaves_the_years_in_columns_gets_the_line(desk: Desk, tmp_path: Path) -> None:
    """The one of the profile."""
    code = "import pandas as pd\ndf = pd.read_csv('t.csv')\nprint(df[df['Year'] == 2002])"
    result = await table(desk, tmp_path, WIDE).run(code)
    assert (
        "the table has a column for each year. After loading it, write this line:\n"
        in result.output
    )
    assert "df = df.melt([c for c in df if not str(c).isdigit()]" in result.output


async def test_conditions_without_brackets_are_explained(desk: Desk, tmp_path: Path) -> None:
    """The form is shown."""
    code = "print(df[df['People'] == 5 & df['Year'] == 2001])"
    result = await table(desk, tmp_path, PANEL).run(code)
    assert "put each one in brackets: df[(df['a'] == 1) & (df['b'] == 2)]" in result.output
