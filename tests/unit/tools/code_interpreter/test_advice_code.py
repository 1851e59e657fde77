"""What is read out of a model's code: names that it takes for granted, conditions that no row may fulfil."""

import json

import pytest

from local_assistants.tools.code_interpreter.advice import (
    filters,
    hints,
    prelude,
    profile,
    row_numbers,
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
    hint = "Check: every row has urban > 0.8 (it holds 38.2 to 100). Was that meant?"
    assert filters.Findings(every_row=hint) == filters.findings(answer)


@pytest.mark.parametrize("answer", ["", "[]", "no json", "3", "[1]", '[["a"]]', "null"])
def test_forged_answers_say_nothing(answer: str) -> None:
    """What comes from the kernel is untrusted."""
    assert filters.Findings() == filters.findings(answer)
    assert "" == row_numbers.hint(answer)


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
