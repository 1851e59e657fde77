"""What a profile says of a table with a trap, and that its lines of code load the table without it.

The profile's program is run by the interpreter's own Python, outside a sandbox: the tables are ours.
"""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from local_assistants import catalogue, model_store, paths
from local_assistants.tools.code_interpreter import environment
from local_assistants.tools.code_interpreter.advice import profile

# Makes every workbook, profiles every file, and runs the lines of each profile.
DRIVER = """
import contextlib, io, json, runpy, sys
import pandas as pd

folder = sys.argv[2]
rows = [["Report of sales", None, None], [None, None, None], ["Year", "Sold", "Place"], [2001, 5, "Rome"],
        [2002, 6, "Oslo"], [2003, 7, "Bern"], ["Source: us", None, None]]
with pd.ExcelWriter(f"{folder}/titled.xlsx") as book:
    pd.DataFrame([["see the next sheet"]]).to_excel(book, sheet_name="Cover", header=False, index=False)
    pd.DataFrame(rows).to_excel(book, sheet_name="Data", header=False, index=False)
answers = {}
for path in sys.argv[3:] + [f"{folder}/titled.xlsx"]:
    sys.argv[1:2] = [path]
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        program = runpy.run_path("PROGRAM", run_name="profile")
        program["main"](path)
    text = said.getvalue()
    lines = [l for l in text.splitlines()[1:] if l.startswith(("import ", "df", "for c in "))]
    space = {}
    exec("\\n".join(lines), space)
    df = space.get("df")
    kinds = {} if df is None else {str(c): df[c].dtype.kind for c in df.columns}
    rows = [] if df is None else json.loads(df.to_json(orient="values", date_format="iso"))
    answers[path.rpartition("/")[2]] = [text, kinds, rows, program["tokens"](text)]
print(json.dumps(answers))
"""

CASES: dict[str, bytes] = {
    "plain.csv": b"name,count\nAnna,3\nBert,4\n",
    "spaces.csv": "Name\u00a0,City \nAnna,Rome\nBert,Oslo\n".encode(),
    "hidden.csv": "\u200bname,ci\u00adty\nAnna,Rome\nBert,Oslo\n".encode(),
    "german.csv": "Ort;Größe;Tag\nKöln;1.234,5;03.11.2007\nBonn;2,25;13.11.2007\n".encode("cp1252"),
    "thousands.csv": b'country,people,money\nA,"8,425,333","$1,200.50"\nB,"12,345","$7.00"\n',
    "brackets.csv": b"month,profit\nJan,(5.5)\nFeb,7%\n",
    "unicode.txt": "firm\tvalue\nAcme\t1.5\nBolt\t2.5\n".encode("utf-16"),
    "dates.csv": b"day,n\n3-Nov-23,1\n28-Jul-09,2\n",
    "late.csv": b"day,n\n" + b"01/02/2020,1\n" * 400 + b"25/02/2020,1\n",
    "mixed.csv": b"id,speed\n" + b"1,5\n2,7.5\n3,9\n" * 3 + b"4,unknown\n",
    "padded.csv": b"name,n\n Anna,1\nBert ,2\n",
    "titled.csv": b"Sales of the year\n\nYear,Sold,Place\n2001,5,Rome\n2002,6,Oslo\n2003,7,Bern\nSource: us,,\n",
    "gaps.csv": b"name,n\nAnna,1\n,2\nBert,\n",
    "wide.csv": (
        "country," + ",".join(map(str, range(1960, 2014))) + "\nA" + ",1.25" * 54 + "\n"
    ).encode(),
    "digits.csv": b"day,n\n19580329,1.5\n19580405,2.5\n",
    "ids.csv": b"id,n\n19580329,1.5\n19589905,2.5\n",
    "quarters.csv": b"place,2001,2002,2003,12\nA,1,2,3,4\n",
    "years.csv": b"Year,2001,2002,2003\nA,1,2,3\n",
    "numbered.csv": ("place," + ",".join(map(str, range(1, 40))) + "\nA" + ",1.25" * 39 + "\n").encode(),
    "many.csv": (",".join(f"a_rather_long_name_{n}" for n in range(90)) + "\n" + "1," * 89 + "1\n").encode(),
    "days.csv": b"from,to,n\n3-Nov-23,4-Nov-23,1\n28-Jul-09,29-Jul-09,2\n",
    "traps.csv": (
        ",".join(f"d{n}" for n in range(20)) + "\n" + ",".join(f"2020-{n % 12 + 1:02}-{n + 1:02}" for n in range(20))
        + "\n" + ",".join(f"{n + 1:02}.01.2020" if n % 2 else "5/5/20" for n in range(20)) + "\n"
    ).encode(),
    "prose.txt": b"Dear all,\nthis is a letter, and no table.\nIt has commas, here, and there.\n\nYours\n",
    "empty.csv": b"",
}  # fmt: skip


ROOT = Path(__file__).parents[4]
TABLES = (
    ROOT / "examples/data/failed_banks.csv",
    *(ROOT / "benchmarks/analyst_parts/data").iterdir(),
)


@dataclass(frozen=True)
class Told:
    """A profile, and what its lines of code gave: each column's kind (numpy's letter), the rows."""

    text: str
    kinds: dict[str, str]
    rows: list[list[object]]
    tokens: int


PROGRAM = Path(profile.__file__).with_name("profile_inside.py")


def interpreter() -> str:
    """The Python that the set-up installed for code."""
    found = environment.find(paths.interpreter_root())
    if found is None:
        pytest.fail(environment.INSTALL)
    return str(found.python)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Told]:
    """All profiles, made in one process."""
    python = interpreter()
    folder = tmp_path_factory.mktemp("tables")
    for name, content in CASES.items():
        (folder / name).write_bytes(content)
    driver = DRIVER.replace("PROGRAM", str(PROGRAM))
    files = [str(folder / name) for name in CASES]
    command = [python, "-c", driver, "", str(folder), *files]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "" == done.stderr
    return {name: Told(*answer) for name, answer in json.loads(done.stdout).items()}


def test_a_plain_table_is_told_in_a_few_words(told: dict[str, Told]) -> None:
    """Size, the line that loads it, a row; nothing else."""
    lines = told["plain.csv"].text.splitlines()
    assert "2 rows, 2 columns. Load it with exactly these lines:" == lines[0]
    assert "import pandas as pd" == lines[1]
    assert "A row: {'name': 'Anna', 'count': 3}" == lines[-1]
    assert 4 == len(lines)


@pytest.mark.parametrize(
    ("name", "columns"), [("spaces.csv", ["Name", "City"]), ("hidden.csv", ["name", "city"])]
)
def test_what_cannot_be_seen_in_names_is_taken_out(
    told: dict[str, Told], name: str, columns: list[str]
) -> None:
    """No-break spaces, zero-width spaces and soft hyphens."""
    assert columns == list(told[name].kinds)


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("german.csv", "OfM"),
        ("thousands.csv", "Oif"),
        ("brackets.csv", "Of"),
        ("unicode.txt", "Of"),
        ("dates.csv", "Mi"),
        ("late.csv", "Mi"),
        ("days.csv", "MMi"),
        ("digits.csv", "Mf"),
        ("ids.csv", "if"),
        ("mixed.csv", "if"),
        ("padded.csv", "Oi"),
        ("titled.csv", "iiO"),
        ("titled.xlsx", "iiO"),
        ("gaps.csv", "Of"),
    ],
)
def test_the_lines_give_numbers_and_dates(told: dict[str, Told], name: str, kinds: str) -> None:
    """What looks like text because of separators, signs, titles, notes or stray words."""
    assert kinds == "".join(told[name].kinds.values())


def test_whole_numbers_are_shown_whole(told: dict[str, Told]) -> None:
    """Beside columns of fractions too."""
    assert "A row: {'id': 19580329, 'n': 1.5}" in told["ids.csv"].text


def test_decimal_commas_and_dots_between_thousands_are_read(told: dict[str, Told]) -> None:
    """1.234,5 is a number of four digits."""
    assert [1234.5, 2.25] == [row[1] for row in told["german.csv"].rows]


def test_brackets_and_signs_are_read(told: dict[str, Told]) -> None:
    """(5.5) is below zero; a percent sign is dropped."""
    assert [-5.5, 7.0] == [row[1] for row in told["brackets.csv"].rows]


def test_a_form_of_dates_is_tried_on_all_rows(told: dict[str, Told]) -> None:
    """The first 400 rows would also do as month/day."""
    assert "format='%d/%m/%Y'" in told["late.csv"].text
    assert str(told["late.csv"].rows[0][0]).startswith("2020-02-01")


def test_titles_and_notes_around_a_table_are_left_out(told: dict[str, Told]) -> None:
    """In a text file as in a workbook, where the fullest sheet is taken and the others are named."""
    for name in ("titled.csv", "titled.xlsx"):
        assert [[2001, 5, "Rome"], [2002, 6, "Oslo"], [2003, 7, "Bern"]] == told[name].rows
    assert "sheet_name='Data'" in told["titled.xlsx"].text
    assert "Other sheets: 'Cover'" in told["titled.xlsx"].text


def test_gaps_are_counted(told: dict[str, Told]) -> None:
    """A count that includes them would be wrong."""
    assert "Missing values: name 1, n 1" in told["gaps.csv"].text


def test_a_column_a_year_becomes_a_row_a_year(told: dict[str, Told]) -> None:
    """Code looks for a column of years; gaps stay rows."""
    wide = told["wide.csv"]
    assert "54 rows, 3 columns." in wide.text
    assert "{'country': 'A', 'Year': 1960, 'Value': 1.25}" in wide.text
    assert {"country": "O", "Year": "i", "Value": "f"} == wide.kinds
    assert ["A", 1961, 1.25] == wide.rows[1]


@pytest.mark.parametrize("name", ["quarters.csv", "years.csv", "numbered.csv"])
def test_other_numbers_in_names_are_left_alone(told: dict[str, Told], name: str) -> None:
    """What is no year, or would get the name of another column."""
    assert "melt" not in told[name].text


def test_a_run_of_numbered_columns_is_shown_by_its_ends(told: dict[str, Told]) -> None:
    """In quotes: such names are text."""
    assert "{'place': 'A', '1': 1.25, ...: ..., '39': 1.25}" in told["numbered.csv"].text


def test_many_columns_are_named_as_far_as_there_is_room(told: dict[str, Told]) -> None:
    """And where to see the others."""
    last = told["many.csv"].text.splitlines()[-1]
    assert last.startswith("Columns: 'a_rather_long_name_0', ")
    assert last.endswith("/many.csv')")
    assert " more, see profile('" in last


@pytest.mark.parametrize("name", ["prose.txt", "empty.csv"])
def test_what_is_no_table_has_no_profile(told: dict[str, Told], name: str) -> None:
    """Commas alone do not make one."""
    assert "" == told[name].text


def test_dates_of_one_form_are_mended_in_one_line(told: dict[str, Told]) -> None:
    """Room is scarce."""
    line = "for c in ['from', 'to']: df[c] = pd.to_datetime(df[c], format='%d-%b-%y')"
    assert line in told["days.csv"].text


def test_no_profile_is_too_long(told: dict[str, Told]) -> None:
    """By the profile's own count, which is a little too high."""
    assert {} == {name: each.tokens for name, each in told.items() if each.tokens > 150}


@pytest.mark.model
@pytest.mark.parametrize(
    "table", [path for path in TABLES if path.suffix != ".md"], ids=lambda path: path.name
)
def test_a_profile_is_at_most_150_tokens_of_a_real_model(table: Path) -> None:
    """As the prompt has it, with the file's name above it."""
    from llama_cpp import Llama

    command = [interpreter(), str(PROGRAM), str(table)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    text = f"File /mnt/data/{table.name}\n{said.replace(str(table.parent), '/mnt/data')}"
    weights = model_store.resolve(catalogue.DEFAULT, "chat")
    model = Llama(str(weights), vocab_only=True, verbose=False)
    assert "import pandas as pd" in text
    assert len(model.tokenize(text.strip().encode(), add_bos=False)) <= 150
