"""Text in, text out: outputs, hints, profiles. No process is started."""

import pytest

from local_assistants.tools.code_interpreter.advice import filters, hints, profile
from local_assistants.tools.code_interpreter.kernels import outputs
from local_assistants.tools.code_interpreter.kernels.outputs import Failure, Output, Picture, Text

PNG = b"\x89PNG\r\n\x1a\n"


def read(kind: str, content: dict[str, object]) -> list[Output]:
    """The outputs of one message."""
    return list(outputs.read(kind, content))


def test_html_and_scripts_are_never_passed_on() -> None:
    """Of a rich table only its plain text is kept."""
    data = {"text/html": "<script>", "image/svg+xml": "<svg>", "text/plain": "a table"}
    assert [Text("a table\n", "result")] == read("execute_result", {"data": data})


def test_a_picture_wins_over_its_text() -> None:
    """A plot is one output and not also "<Figure ...>"."""
    data = {"image/png": "iVBORw0KGgo=", "text/plain": "<Figure>"}
    assert [Picture(PNG, ".png")] == read("display_data", {"data": data})


def test_colours_are_taken_out_of_tracebacks() -> None:
    """Escape sequences cost tokens and say nothing."""
    content: dict[str, object] = {
        "ename": "E",
        "evalue": "v",
        "traceback": ["\x1b[0;31mE\x1b[0m", "end"],
    }
    assert [Failure("E", "v", "E\nend")] == read("error", content)


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("stream", {"text": 3}),
        ("stream", {}),
        ("display_data", {"data": "x"}),
        ("execute_result", {"data": {"text/plain": ["x"]}}),
        ("comm_open", {"data": {}}),
        ("no_such_kind", {}),
    ],
)
def test_malformed_messages_say_nothing(kind: str, content: dict[str, object]) -> None:
    """Whatever code sends, it cannot break the reader."""
    assert [] == read(kind, content)


def hint(name: str, message: str, tables: list[hints.Table] | None = None) -> str:
    """The hint for an error with these tables at hand."""
    failure = Failure(name, message, "")
    facts = hints.Facts(tables or [], ["b.csv"], ["pandas", "scipy"])
    return hints.hint(failure, facts)


def test_an_invisible_space_gets_the_line_that_mends_it() -> None:
    """The hint names the column as it is and the variable it belongs to."""
    said = hint("KeyError", "'State'", [("banks", ["State\xa0", "City\xa0"])])
    assert "'State\\xa0'" in said
    assert "banks.columns = banks.columns.str.strip()" in said


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("KeyError", "'Stat'"),
        ("KeyError", "\"['Stat'] not in index\""),
        ("KeyError", "\"None of [Index(['Stat'], dtype='object')] are in the [columns]\""),
        ("AttributeError", "'DataFrame' object has no attribute 'Stat'"),
    ],
)
def test_a_misspelt_column_gets_the_nearest_names(name: str, message: str) -> None:
    """Whichever way pandas words it."""
    assert "no column 'Stat'. Columns of df: 'State'" in hint(
        name, message, [("", ["State", "Fund"])]
    )


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("df[df['Year'] == 2010]['Rate'].max()", True),
        ("df[df['Year'] == 1900]['Rate'].max()", False),
        ("df['Year'].max()", False),
        ("df[df['Month'] == 2010]", False),
    ],
)
def test_a_table_with_a_column_for_each_value_is_told_as_that(code: str, said: bool) -> None:
    """A small model takes years for the values of one column, and a list of the columns does not help it."""
    facts = hints.Facts(
        tables=[("df", ["Country", "2009", "2010"])], conditions=filters.conditions(code)
    )
    hint = hints.hint(Failure("KeyError", "'Year'", ""), facts)
    expected = (
        "Hint: there is no column 'Year': '2010' is a column of its own. Other columns: 'Country'. Leave out "
        "conditions on 'Year' and take the values from df['2010']"
    )
    assert said is (expected == hint)


def test_case_is_pointed_out() -> None:
    """A column that differs in case only is named exactly."""
    assert "Hint: the column is named 'State'. Write it exactly so." == hint(
        "KeyError", "'STATE'", [("df", ["State"])]
    )


def test_a_key_error_without_tables_has_no_hint() -> None:
    """Nothing certain can be said of a plain dictionary."""
    assert "" == hint("KeyError", "'x'")


def test_a_missing_module_is_answered_with_what_is_installed() -> None:
    """Nothing can be installed, so the list is the help."""
    assert "torch is not installed and cannot be. Installed: pandas, scipy." in hint(
        "ModuleNotFoundError", "No module named 'torch'"
    )


@pytest.mark.parametrize("text", ["", "no json", "3", "[1]", '[["a"]]', "null"])
def test_forged_answers_about_tables_are_ignored(text: str) -> None:
    """The kernel's answer is untrusted."""
    assert [] == hints.read_tables(text)


def test_the_short_error_shows_the_models_own_line() -> None:
    """Not the depth of the package where it surfaced."""
    traceback = (
        "Cell In[3], line 2\n      1 x = 1\n----> 2 df['a']\n\nFile lib.py:10\n---> 10 raise"
    )
    assert "KeyError: 'a'\n(line 2: df['a'])" == hints.summary(
        Failure("KeyError", "'a'", traceback)
    )


def test_a_profile_is_cleaned_for_the_prompt() -> None:
    """Control characters and links go, length is bounded."""
    cleaned = profile.clean("a\x1b[31m\tb\n\nsee https://evil.example/x now\n" + "y" * 5000)
    assert cleaned.startswith("a[31mb\nsee (link) now\ny")
    assert len(cleaned) <= 1400
