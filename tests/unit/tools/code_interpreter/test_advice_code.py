"""What is read out of a model's code: names that it takes for granted, conditions that no row may fulfil."""

import json

import pytest

from local_assistants.tools.code_interpreter.advice import (
    counting,
    filters,
    hints,
    prelude,
    profile,
    row_numbers,
    slips,
)
from local_assistants.tools.code_interpreter.kernels.outputs import Failure

LOADING = "import pandas as pd\ndf = pd.read_csv('/mnt/data/a.csv')"


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("print(df['a'].sum())", ["df"]),
        ("x = pd.read_csv('a.csv')", ["pd"]),
        ("plt.plot(np.arange(3)); plt.show()", ["np", "plt"]),
        ("import pandas as pd\ndf = pd.read_csv('a.csv')", []),
        ("import numpy, matplotlib.pyplot as plt\nnp = numpy", []),
        ("from re import sub as re\nre('a', 'b', 'c')", []),
        ("def f(df): return df\nclass os: pass\nos", []),
        ("for df in [1]: print(df)", []),
        ("df = df.dropna()", []),
        ("print('df')", []),
        ("not python", []),
    ],
)
def test_only_what_code_uses_and_does_not_make_is_missing(code: str, names: list[str]) -> None:
    """What it binds anywhere is its own business."""
    assert names == [name for name, _ in prelude.missing(code, LOADING)]


def test_without_one_table_none_is_loaded() -> None:
    """Nobody knows which of several was meant."""
    assert [] == prelude.missing("df.head()", "")


def test_what_is_missing_is_made_once_and_named(capsys: pytest.CaptureFixture[str]) -> None:
    """A name that exists keeps its value; a failure is left to the model's own code."""
    wanted = [
        ("math", "import math"),
        ("df", "df = 1 / 0"),
        ("old", "old = 2"),
        ("b", "b = 3\nc = b"),
    ]
    space: dict[str, object] = {"old": 1}
    exec(prelude.code_for(wanted), space)
    assert ["math", "b"] == capsys.readouterr().out.split()
    assert (1, 3, False) == (space["old"], space["c"], "df" in space)


def test_conditions_are_comparisons_of_columns_with_constants() -> None:
    """Each once, none of other forms, none in what is no Python."""
    code = (
        "x = df[(df['a'] == 'b') & (t['n'] >= 3) & (df['a'] == 'b') & (1 < df['d']) & (df[i] == 2)]"
    )
    expected = [filters.Condition("a", "==", "b"), filters.Condition("n", ">=", 3)]
    assert expected == filters.conditions(code)
    assert [] == filters.conditions("df['a'] == ")


def test_a_condition_that_fits_no_row_is_named() -> None:
    """With what the column holds."""
    answer = '[["n", "<", 0, false, false, ["1 to 7"]]]'
    hint = "Hint: no row has n < 0: it holds 1 to 7; mend that condition or remove it."
    assert filters.Findings(no_row=hint) == filters.findings(answer)


@pytest.mark.parametrize(
    ("value", "held", "way"),
    [
        ("male", ["MALE", "FEMALE"], "replace 'male' by 'MALE'"),
        ("Adelie", ["Adelie Penguin (P. a.)", "Gentoo"], "replace 'Adelie' by 'Adelie Penguin (P. a.)'"),
        ("Penguin", ["Adelie Penguin", "Chinstrap Penguin"], "it holds Adelie Penguin, Chinstrap Penguin;"),
    ],
)  # fmt: skip
def test_the_one_value_that_was_meant_is_named(value: str, held: list[str], way: str) -> None:
    """As the column writes it; of several none."""
    answer = json.dumps([["kind", "==", value, False, False, held]])
    assert f"no row has kind == '{value}': {way}" in filters.findings(answer).no_row


def test_dates_are_not_compared_with_text() -> None:
    """What to compare instead is said."""
    answer = '[["Day", "==", "1.2.2020", false, true, ["2020-02-01"]]]'
    assert (
        "it holds dates; compare .dt.year and .dt.month instead" in filters.findings(answer).no_row
    )


def test_a_condition_that_fits_every_row_is_questioned() -> None:
    """Such as a share compared with a percentage."""
    answer = '[["urban", ">", 0.8, true, false, ["38.2 to 100"]]]'
    found = filters.findings(answer)
    assert (
        "Check: every row has urban > 0.8 (it holds 38.2 to 100). Was that meant?"
        == found.every_row
    )
    assert "urban' goes from 38.2 to 100; write 80 instead of 0.8" in found.share


@pytest.mark.parametrize(
    ("value", "held"), [(0.8, "0.9 to 1"), (0.8, "2 to 300"), (0.8, "-5 to 90"), (1, "2 to 100")]
)
def test_only_percentages_are_taken_for_some(value: float, held: str) -> None:
    """A column from 0 to 100, and a share."""
    answer = json.dumps([["n", ">", value, True, False, [held]]])
    assert "" == filters.findings(answer).share


@pytest.mark.parametrize(
    ("code", "line"),
    [
        ("x = df[(df['a'] == 1) & (df['n'] < 0)]", "write: x = df[df['a'] == 1]"),
        ("x = df[(df['n'] < 0) & (df['a'] == 1) & (df['b'] == 2)]", "df[(df['a'] == 1) & (df['b'] == 2)]"),
        ("x = df[df['n'] < 0]", "mend that condition or remove it"),
        ("x = df[(df['n'] < 0) | (df['a'] == 1)]", "mend that condition or remove it"),
        ("x = df[(df['n'] < 0) & a]\ny = df[(df['n'] < 0) & b]", "mend that condition or remove it"),
        ("x = (", "mend that condition or remove it"),
    ],
)  # fmt: skip
def test_the_line_without_the_condition_is_written_out(code: str, line: str) -> None:
    """Where one line has it, joined to others by &."""
    answer = '[["n", "<", 0, false, false, ["1 to 7"]]]'
    assert line in filters.findings(answer, code).no_row


@pytest.mark.parametrize(
    ("code", "years"),
    [
        ("n = len(df[df['d'].dt.month == 11])  # November 2008\nprint(n)", ["2008"]),
        ("gdp_1999 = df.loc[0, 'x']\ngdp_2009 = df.loc[1, 'x']\nprint(gdp_2009)", ["1999", "2009"]),
        ("n = df['x'].sum()\nprint(f'In 2010 it was {n}')", ["2010"]),
        ("n = df[df['y'] == 2010]['x'].sum()\nprint(f'In 2010 it was {n}')", []),
        ("print('2010 to 2019:', df[df['y'].between(2010, 2020)])", []),
        ("print(df['2010'].sum())  # 2010", []),
        ("print(f\"2010: {df['2010'].sum()}\")", []),
        ("print('2010:', len(earlier))", []),
        ("n = len(df)  # 2010", []),
        ("print(len(df))  # the 1970s, 20100 of 12345", []),
        ("print(  # 2010", []),
    ],
)
def test_years_that_code_only_speaks_of_are_seen(code: str, years: list[str]) -> None:
    """Where it looks for none of them, prints something and does not go on from earlier code."""
    assert years == slips.years_left_out(code)


@pytest.mark.parametrize(
    ("code", "line"),
    [
        ("x = df[df['a'] > 1]\nprint(x)", "x = df[(df['a'] > 1) & (df['y'] == 1)]"),
        (
            "x = df[(df['a'] > 1) & (df['b'] > 2)]",
            "x = df[(df['a'] > 1) & (df['b'] > 2) & (df['y'] == 1)]",
        ),
        ("x = df[df['a'] > 1]\nz = df[df['a'] > 2]", ""),
        ("x = df['a']", ""),
        ("x = (", ""),
    ],
)
def test_the_one_filter_is_narrowed(code: str, line: str) -> None:
    """Of several nobody knows which."""
    assert line == slips.narrowed(code, "df['y'] == 1")


@pytest.mark.parametrize(
    ("code", "lines"),
    [
        ("x_1999 = df.loc[0, 'a']", ["x_1999 = df.loc[df['y'] == 1999, 'a'].iloc[0]"]),
        ("x_1999 = t['a'].iloc[-1]", ["x_1999 = t.loc[t['y'] == 1999, 'a'].iloc[0]"]),
        ("x_1999 = t.a.iloc[-1]", []),
        ("x = df.loc[0, 'a']", []),
        ("x_1999 = df.loc[n, 'a']", []),
        ("x_1999 = df.loc[0]", []),
        ("x_1999 = 7", []),
        ("x_1999 = (", []),
    ],
)
def test_a_guessed_number_of_a_row_becomes_a_condition(code: str, lines: list[str]) -> None:
    """Where a name tells the year."""
    assert lines == slips.by_condition(code, "['y']")


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("a = 1\nb = 2\nprint(b)", ["a"]),
        ("a = 1\nprint(a)", []),
        ("a = 1", []),
        ("a, _ = f()\n_b = 1\nfor i in x: print(1)", []),
        ("print(", []),
    ],
)
def test_unused_results_are_seen_where_something_is_printed(code: str, names: list[str]) -> None:
    """Without a print the next code may use them; parts of a tuple and loops' names may be idle."""
    assert names == slips.unused(code)


@pytest.mark.parametrize(
    ("code", "lines"),
    [
        ("a_1 = f()\nb_2 = f()\nc = 2 - 1\nprint(c)", ("c = 2 - 1", "c = b_2 - a_1")),
        ("a = f()\nc = 2 - 1\nprint(c)", ("c = 2 - 1", "")),
        ("a = f()\nc = 2 - g\nprint(c)", ("", "")),
        ("c = 2 - 1\nprint(c)", ("", "")),
    ],
)
def test_a_result_of_written_numbers_alone_is_questioned(code: str, lines: tuple[str, str]) -> None:
    """Where results of the table are left unused."""
    assert lines == slips.untouched(code)


@pytest.mark.parametrize(
    ("code", "counted", "extremes"),
    [
        ("len(x)", ("x",), ()),
        ("len(df[df['a'] == 1])", ("df[df['a'] == 1]",), ()),
        ("df[(df['a'] == 1) & ~m].shape[0]", ("df[(df['a'] == 1) & ~m]",), ()),
        ("x['a'].count()", ("x",), ()),
        ("len(open('a').read())", (), ()),
        ("len(df.groupby('a'))", (), ()),
        ("df['a'].max()", (), (("df['a'].max()", "df", "a", "max"),)),
        ("f(x)['a'].max()", (), ()),
        ("len(", (), ()),
    ],
)
def test_what_code_counts_and_seeks_is_seen(
    code: str, counted: tuple[str, ...], extremes: tuple[tuple[str, ...], ...]
) -> None:
    """Nothing is looked at again that calls anything."""
    found = counting.looked(code)
    assert (counted, extremes) == (tuple(table for _, table in found.counted), found.extremes)


@pytest.mark.parametrize(
    ("column", "code", "meant"),
    [
        ("Country", "european_countries = 1", True),
        ("Country Name", "# all Countries", True),
        ("firm", "firms = 1", True),
        ("Country", "rows = len(df['Country'])", False),
    ],
)
def test_things_are_meant_where_code_names_them_in_the_plural(
    column: str, code: str, meant: bool
) -> None:
    """The name of the column alone says nothing."""
    answer = json.dumps([[["len(df)", "df", 360, 30, column, "Year"]], []])
    found = counting.findings(answer, code)
    assert found.rows.startswith("Check: 360 is a number of rows")
    assert meant == bool(found.meant)
    assert meant == found.meant.endswith(f"write: df[{column!r}].nunique()")


@pytest.mark.parametrize("answer", ["", "[]", "no json", "3", "[1]", '[["a"]]', "null"])
def test_forged_answers_say_nothing(answer: str) -> None:
    """What comes from the kernel is untrusted."""
    assert filters.Findings() == filters.findings(answer)
    assert "" == row_numbers.hint(answer)
    assert counting.Findings() == counting.findings(answer, "x = 1")
    assert [] == hints.read_holders(answer)
    assert [] == hints.read_tables(answer)


MURDER = row_numbers.Shown("df", "murder", "idxmax")


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("top = df['murder'].idxmax()\nprint(f'It is {top} with {df.loc[top, 1]}')", [MURDER]),
        ("top = df['murder'].idxmax()\nprint(top, top)", [MURDER]),
        ("print(df['murder'].idxmax())", [MURDER]),
        ("print(df.loc[df['murder'].idxmax(), 'state'])", []),
        ("top = df['murder'].idxmax()\nprint(df.loc[top, 'state'])", []),
        ("print(df.groupby('year')['murder'].sum().idxmax())", []),
        ("print(", []),
    ],
)
def test_numbers_of_rows_are_seen_where_they_are_printed(
    code: str, found: list[row_numbers.Shown]
) -> None:
    """Not where they look something up, nor where the index has names."""
    assert found == row_numbers.shown(code)


def test_the_row_is_told() -> None:
    """As the kernel gave it."""
    answer = '[[8, {"state": "District of Columbia"}]]'
    assert "Hint: 8 is the number of a row: {'state': 'District of Columbia'}" == row_numbers.hint(
        answer
    )


@pytest.mark.parametrize(
    ("text", "nothing"),
    [
        ("0", True),
        ("The count is 0", True),
        ("Total: 0.0\n", True),
        ("nan", True),
        ("The longest one is nan mm.", True),
        ("values\n" + "nan 1\n" * 50 + "2", False),
        ("Empty DataFrame\nColumns: [a]\nIndex: []", True),
        ("[]", True),
        ("Series([], Name: a, dtype: int64)", True),
        ("10", False),
        ("3.0", False),
        ("", False),
        ("row 0\nGeorgia", False),
    ],
)
def test_an_empty_result_is_known_by_its_end(text: str, nothing: bool) -> None:
    """A zero within other output is a result like any other."""
    assert nothing == hints.is_nothing(text)


@pytest.mark.parametrize(
    ("text", "grouped"),
    [
        ("Total: 3811953827", "(3811953827 is 3,811,953,827)"),
        ("3811953827.5", "(3811953827.5 is 3,811,953,827.5)"),
        ("12345", ""),
        ("a1234567", ""),
        ("1234567 2345678 3456789 4567890", ""),
    ],
)
def test_few_large_numbers_are_read_out_in_groups(text: str, grouped: str) -> None:
    """A small model loses its place in a row of digits."""
    assert grouped == hints.grouped(text)


@pytest.mark.parametrize(
    ("name", "message", "advice"),
    [
        ("NameError", "name 'pd' is not defined", "begin it with: import pandas as pd"),
        ("NameError", "name 'df' is not defined", f"beginning with these lines:\n{LOADING}"),
        ("NameError", "name 'x' is not defined", "define it first"),
        ("UnicodeDecodeError", "'utf-8' codec can't decode", f"exactly these lines:\n{LOADING}"),
        ("AttributeError", "Can only use .str accessor with string values!", "leave .str out"),
        ("TypeError", "'>' not supported between instances of 'str' and 'int'", "pd.to_numeric"),
        ("ValueError", "could not convert string to float: '1,2'", "pd.to_numeric"),
        ("TypeError", "Invalid comparison between dtype=datetime64[ns] and int", ".dt.year"),
        ("TypeError", "agg function failed [how->mean,dtype->object]", "numeric_only=True"),
    ],
)
def test_common_errors_get_the_line_to_write(name: str, message: str, advice: str) -> None:
    """By the words of pandas and Python."""
    assert advice in hints.hint(Failure(name, message, ""), hints.Facts(loading=LOADING))


def test_the_lines_of_code_are_taken_out_of_a_profile() -> None:
    """Between the size and the first row."""
    assert LOADING == profile.loading(
        f"2 rows, 1 columns. Load it so:\n{LOADING}\nA row: {{'a': 1}}"
    )
    assert "" == profile.loading("")
