"""Looks at a table and prints what a small model must know to load it right. Runs inside the sandbox.

Prints one short text: size, the lines that load the table with its traps mended, a first row, few-valued columns. The
file is hostile, and so is what this prints; the host cuts and cleans it. Needs pandas; argument: the file's path. A
file that is no table prints nothing. In a kernel it is the module `table_profile`, whose `profile` code may call for
more than the short text says. One module, since it is handed in as one file.
"""

import csv
import importlib
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_ROWS = 20_000  # looked at; of longer tables the rest is not even counted
_HEAD = 200_000  # bytes that tell encoding and delimiter
_TOKENS = 145  # of the whole text, by a count that is a little too high
_MORE = 4000  # of what is asked for
_TOP = 20  # rows in which the table must begin
_YEARS = 3  # columns named by years that make a table wide
_FEW = 6  # different values that are listed
_SHORT = 24  # characters of a value that are shown
_DATES = (
    "%Y-%m-%d", "%d-%b-%y", "%d-%b-%Y", "%m/%d/%Y", "%d/%m/%Y", "%m/%d/%y", "%d/%m/%y", "%Y/%m/%d", "%d.%m.%Y",
    "%d.%m.%y", "%d %b %Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y", "%Y%m%d", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M",
    "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ", "%m/%d/%Y %H:%M", "%d.%m.%Y %H:%M", "%b-%y", "%b %Y", "%B %Y", "%Y-%m",
)  # fmt: skip
_NUMBER = re.compile(r"\(?[-+]?\s*[$€£¥]?\s*-?(\d{1,3}(,\d{3})+|\d+)(\.\d+)?\s*[%€£]?\)?")
_COMMA = re.compile(r"-?(\d{1,3}(\.\d{3})+|\d+),\d+")
_THOUSANDS = re.compile(r"-?\d{1,3}(,\d{3})+")
_DOTTED = re.compile(r"\d{1,2}\.\d{1,2}\.\d{2,4}")
_YEAR = re.compile(r"(1[5-9]|20)\d\d")
_DAY = r"(1[89]|20)\d{6}"
_PLAIN = re.compile(r"[-+]?\d+(\.\d+)?([eE][-+]?\d+)?")
_BELOW = ".str.replace('(', '-')"  # (5) is how books write -5
_INVISIBLE = re.compile("[\u200b\u200c\u200d\u2060\ufeff\u00ad]")
_PIECE = re.compile(r"[A-Z]?[a-z]{1,9}|[A-Z]{1,2}|\d|[^\sA-Za-z\d]{1,3}|\n")


@dataclass
class Loaded:
    """A table and the code that reads it."""

    code: str
    frame: Any
    whole: bool  # false when only its first rows were read
    note: str = ""


def profile(path: str) -> None:
    """Print all columns, few-valued ones with their values, and how much is missing where."""
    main(path, _MORE)


def main(path: str, most: int = _TOKENS) -> None:
    """Print the profile of the table at `path` in at most that many tokens, or nothing when it is none."""
    pandas: Any = importlib.import_module("pandas")
    loaded = (_load_workbook if path.lower().endswith((".xlsx", ".xlsm", ".xls")) else _load_text)(
        pandas, path
    )
    if loaded is None or not len(loaded.frame.columns):
        return
    frame = loaded.frame
    lines = ["import pandas as pd", f"df = {loaded.code}", *_mend_names(frame)]
    frame.columns = _clean_names(frame.columns)
    lines += _mend_values(pandas, loaded)
    lines += _lengthen(loaded)
    frame = loaded.frame
    rows = f"{len(frame)} rows" if loaded.whole else f"more than {_ROWS} rows"
    text = f"{rows}, {len(frame.columns)} columns. Load it with exactly these lines:\n"
    fits = (line for at, line in enumerate(lines) if at < 2 or _fits(lines[: at + 1], most))
    text += "\n".join(fits)
    for more in (_first_row(frame, text, path, most), loaded.note, _values(frame), _gaps(frame)):
        if more and tokens(f"{text}\n{more}") <= most:
            text += f"\n{more}"
    print(text)  # noqa: T201


def _fits(lines: list[str], most: int) -> bool:
    """Whether there is room for these lines and something below them."""
    return tokens("\n".join(lines)) <= most * 3 // 4


def tokens(text: str) -> int:
    """About how many tokens a model reads; digits are one each, long words several."""
    return len(_PIECE.findall(text))


# --- reading ---------------------------------------------------------------------------------------------------------


def _load_text(pandas: Any, path: str) -> Loaded | None:
    encoding = _encoding(path)
    with open(path, encoding=encoding, errors="replace", newline="") as file:
        head = file.read(_HEAD)
    found = _shape(head, path)
    if found is None:
        return None
    delimiter, skip = found
    options: dict[str, Any] = {} if delimiter == "," else {"sep": delimiter}
    options |= {} if encoding in ("utf-8", "utf-8-sig") else {"encoding": encoding}
    options |= {"skiprows": skip} if skip else {}
    frame = pandas.read_csv(path, **options, nrows=_ROWS, low_memory=False)
    options |= _number_form(frame, delimiter)
    foot = _foot(frame)
    if foot:
        options |= {"skipfooter": foot, "engine": "python"}
    frame = pandas.read_csv(path, **options, **({} if foot else {"nrows": _ROWS}))
    code = "".join(f", {name}={value!r}" for name, value in options.items())
    code = code.replace(repr(str), "str")
    return Loaded(f"pd.read_csv({path!r}{code})", frame, len(frame) < _ROWS)


def _load_workbook(pandas: Any, path: str) -> Loaded | None:
    book = pandas.ExcelFile(path)
    sizes = {
        name: book.parse(name, header=None, nrows=_TOP).count().sum()
        for name in book.sheet_names[:10]
    }
    if not sizes or not max(sizes.values()):
        return None
    sheet = max(
        sizes, key=lambda name: int(sizes[name])
    )  # the first of the fullest: a cover page has little in it
    top = book.parse(sheet, header=None, nrows=_TOP)
    options: dict[str, Any] = {} if sheet == book.sheet_names[0] else {"sheet_name": sheet}
    header = _header_row([int(count) for count in top.count(axis=1)])
    options |= {"header": header} if header else {}
    frame = book.parse(sheet, header=header, nrows=_ROWS)
    foot = _foot(frame)
    if foot:
        options |= {"skipfooter": foot}
        frame = book.parse(sheet, header=header, skipfooter=foot)
    code = "".join(f", {name}={value!r}" for name, value in options.items())
    others = [name for name in book.sheet_names if name != sheet][:5]
    note = f"Other sheets: {', '.join(map(repr, others))}" if others else ""
    return Loaded(f"pd.read_excel({path!r}{code})", frame, len(frame) < _ROWS, note)


def _encoding(path: str) -> str:
    with open(path, "rb") as file:
        head = file.read(1 << 20)
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    for name in ("utf-8-sig", "cp1252"):
        try:
            head[: len(head) - 4 if len(head) == 1 << 20 else None].decode(name)
        except UnicodeDecodeError:
            continue
        return name if name != "utf-8-sig" or head.startswith(b"\xef\xbb\xbf") else "utf-8"
    return "latin-1"


def _shape(head: str, path: str) -> tuple[str, int] | None:
    """(delimiter, lines above the header), or None when the text is no table."""
    whole = head[: head.rfind("\n") + 1] or head
    best: tuple[int, str, list[int]] = (0, "", [])
    for delimiter in ",;\t|":
        widths = [len(row) for row in csv.reader(whole.splitlines(), delimiter=delimiter)][:500]
        if not widths:
            return None
        width = Counter(widths).most_common(1)[0][0]
        below = widths[widths.index(width) :]  # the title's lines are of any width
        rows = below.count(width)
        if width > 1 and rows >= 0.8 * len(below) and width * rows > best[0]:
            best = (width * rows, delimiter, widths)
    if not best[0]:
        # One column only: a table when its name says so, and never where prose has commas here and there.
        return (",", 0) if path.lower().endswith((".csv", ".tsv")) else None
    return best[1], _header_row(best[2][:_TOP])


def _header_row(widths: list[int]) -> int:
    """The first row that is as wide as the table: what stands above it is a title."""
    full = max(widths, default=0)
    return next((at for at, width in enumerate(widths) if width >= max(2, 0.8 * full)), 0)


def _foot(frame: Any) -> int:
    """Rows at the end that are notes and not data: nothing in them but the first cell."""
    if len(frame.columns) < 3 or len(frame) >= _ROWS:
        return 0
    filled = frame.iloc[:, 1:].count(axis=1).to_list()
    foot = next((at for at, count in enumerate(reversed(filled)) if count), 0)
    return foot if foot <= _TOP else 0


def _number_form(frame: Any, delimiter: str) -> dict[str, Any]:
    """How numbers are written, when it is not 1234.5."""
    columns = {
        name: [text.strip() for text in map(str, frame[name].dropna().head(200))]
        for name in frame.columns
        if _is_text(frame[name])
    }
    texts = [text for column in columns.values() for text in column]
    commas = [text for text in texts if _COMMA.fullmatch(text)]
    grouped = [text for text in texts if _THOUSANDS.fullmatch(text)]
    if delimiter == "," or len(commas) <= len(grouped):
        return {"thousands": ","} if grouped else {}
    if not any("." in text for text in commas):
        return {"decimal": ","}
    # Without its dots a date would become a number.
    dates = {name: str for name, column in columns.items() if any(map(_DOTTED.match, column))}
    return {"decimal": ",", "thousands": "."} | ({"dtype": dates} if dates else {})


# --- mending ---------------------------------------------------------------------------------------------------------


def _clean_names(columns: Any) -> list[Any]:
    return [_INVISIBLE.sub("", name).strip() if isinstance(name, str) else name for name in columns]


def _mend_names(frame: Any) -> Iterator[str]:
    names = [name for name in frame.columns if isinstance(name, str)]
    if any(_INVISIBLE.search(name) for name in names):
        yield (
            "df.columns = df.columns.str.replace(r'[\\u200b-\\u200d\\u2060\\ufeff\\u00ad]', '', regex=True)"
            ".str.strip()  # names hold invisible characters"
        )
    elif any(name != name.strip() for name in names):
        yield "df.columns = df.columns.str.strip()  # names end in spaces"


def _mend_values(pandas: Any, loaded: Loaded) -> Iterator[str]:
    """The lines that mend columns; mends the frame with them, so that the first row is what the lines give."""
    frame = loaded.frame
    dates: dict[str, list[str]] = {}
    money: list[str] = []
    below = ""  # how numbers below zero in brackets are mended
    mixed: list[str] = []
    padded: list[str] = []
    for at, column in enumerate(frame.columns):
        values = frame.iloc[:, at]
        if _is_day(pandas, values) and isinstance(column, str):
            dates.setdefault("%Y%m%d", []).append(column)
            frame.isetitem(at, pandas.to_datetime(values, format="%Y%m%d"))
        if not _is_text(values) or not isinstance(column, str):
            continue
        texts = values.dropna().astype(str)
        strings = values.dropna().map(type).eq(str).all()
        form = _date_form(pandas, texts)
        if form:
            dates.setdefault(form, []).append(column)
            frame.isetitem(at, pandas.to_datetime(values, format=form))
        elif strings and _is_money(texts):
            money.append(column)
            below = below or (_BELOW if texts.str.contains("(", regex=False).any() else "")
            frame.isetitem(at, _as_number(pandas, values))
        elif texts.str.strip().map(_PLAIN.fullmatch).notna().mean() > 0.6:
            mixed.append(column)
            frame.isetitem(at, pandas.to_numeric(values, errors="coerce"))
        elif strings and (texts != texts.str.strip()).any():
            padded.append(column)
            frame.isetitem(at, values.str.strip())
    strict = "" if loaded.whole else ", errors='coerce'"
    for form, columns in dates.items():
        yield from _loop(columns, f"pd.to_datetime(df[c], format={form!r}{strict})")
    yield from _loop(money, f"pd.to_numeric(df[c]{below}.str.replace(r'[^0-9.-]', '', regex=True))")
    yield from _loop(mixed, "pd.to_numeric(df[c], errors='coerce')")
    yield from _loop(padded, "df[c].str.strip()")


def _lengthen(loaded: Loaded) -> Iterator[str]:
    """The line that makes rows of a column a year: code for small models looks for a column of years."""
    frame = loaded.frame
    years = [name for name in frame.columns if _YEAR.fullmatch(str(name))]
    numbered = [name for name in frame.columns if str(name).isdigit()]
    others = [name for name in frame.columns if name not in years]
    taken = {"Year", "Value"} & set(others)
    filled = all(frame[name].dtype.kind in "if" for name in years)
    if len(years) < _YEARS or years != numbered or not others or taken or not filled:
        return
    loaded.frame = frame.melt(others, var_name="Year", value_name="Value").astype({"Year": int})
    yield (
        "df = df.melt([c for c in df if not str(c).isdigit()], var_name='Year', value_name='Value')"
        ".astype({'Year': int})  # was a column a year"
    )


def _is_day(pandas: Any, values: Any) -> bool:
    """Whether all are days written as bare digits, 19580329."""
    if values.dtype.kind != "i" or values.nunique() < 2:
        return False
    texts = values.astype(str)
    days = pandas.to_datetime(texts, format="%Y%m%d", errors="coerce")
    return bool(texts.str.fullmatch(_DAY).all() and days.notna().all())


def _is_text(values: Any) -> bool:
    return bool(values.dtype.kind == "O")


def _is_money(texts: Any) -> bool:
    """Whether all are numbers in disguise; what begins with a zero is a code and no number."""
    texts = texts.str.strip()
    codes = texts.str.match(r"0\d").any()
    return bool(len(texts) and not codes and texts.map(_NUMBER.fullmatch).notna().all())


def _loop(columns: list[str], mended: str) -> Iterator[str]:
    if len(columns) == 1:
        yield f"df[{columns[0]!r}] = " + mended.replace("df[c]", f"df[{columns[0]!r}]")
    elif columns:
        yield f"for c in {columns!r}: df[c] = {mended}"


def _as_number(pandas: Any, values: Any) -> Any:
    plain = values.str.replace("(", "-").str.replace(r"[^0-9.-]", "", regex=True)
    return pandas.to_numeric(plain)


def _date_form(pandas: Any, texts: Any) -> str:
    """The form that all of these texts have; "" when they are no dates."""
    first = texts.head(20)
    for form in _DATES if len(texts) else ():
        try:
            pandas.to_datetime(first, format=form)
            pandas.to_datetime(texts, format=form)
        except (ValueError, TypeError, OverflowError):
            continue
        return form
    return ""


# --- showing ---------------------------------------------------------------------------------------------------------


def _first_row(frame: Any, text: str, path: str, most: int) -> str:
    """The first row as Python would write it, or as many names as there is room for."""
    if not len(frame):
        return "Columns: " + ", ".join(map(repr, frame.columns))
    at = int(frame.count(axis=1).head(50).to_numpy().argmax())
    # Column by column: a row of its own has one type, and 19580329 would become 1.958e+07.
    shown = [_shown(frame.iloc[:, column].iloc[at]) for column in range(len(frame.columns))]
    pairs = _without_runs(list(zip(map(repr, frame.columns), shown, strict=True)))
    dearest = sorted(pairs, key=lambda pair: tokens(pair[1]), reverse=True)
    for left_out in range(len(pairs) + 1):
        hidden = {name for name, _ in dearest[:left_out]}
        values = (f"{name}: {'...' if name in hidden else value}" for name, value in pairs)
        first = "A row: {" + ", ".join(values) + "}"
        if tokens(f"{text}\n{first}") <= most:
            return first
    return _names([name for name, _ in pairs], text, path, most)


def _names(names: list[str], text: str, path: str, most: int) -> str:
    """As many as there is room for, and how to see the others."""
    for count in range(len(names), 0, -1):
        left = (
            f", and {len(names) - count} more, see profile({path!r})" if count < len(names) else ""
        )
        shown = "Columns: " + ", ".join(names[:count]) + left
        if tokens(f"{text}\n{shown}") <= most:
            return shown
    return ""


def _without_runs(pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Without the middle of a long run of columns that are named by numbers, such as years."""
    kept: list[tuple[str, str]] = []
    for at, pair in enumerate(pairs):
        around = pairs[max(0, at - 1) : at + 2]
        inside = len(around) == 3 and all(name.strip("'").isdigit() for name, _ in around)
        if not inside:
            kept.append(pair)
        elif kept[-1][0] != "...":
            kept.append(("...", "..."))
    return kept if len(kept) < len(pairs) - 2 else pairs


def _shown(value: Any) -> str:
    if isinstance(value, str):
        text = " ".join(value.split())
        return repr(text if len(text) <= _SHORT else text[: _SHORT - 1] + "…")
    if type(value).__name__ == "Timestamp":
        return f"date {value:%Y-%m-%d}"
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def _values(frame: Any) -> str:
    """The values of text columns that have few."""
    shown: list[str] = []
    for at, column in enumerate(frame.columns):
        values = frame.iloc[:, at]
        if not _is_text(values):
            continue
        different = [value for value in values.dropna().unique() if isinstance(value, str)]
        if 1 < len(different) <= _FEW and len(different) < len(frame) / 2:
            shown.append(f"{column}: {', '.join(map(repr, different))}")
    return "Values of " + "; ".join(shown) if shown else ""


def _gaps(frame: Any) -> str:
    missing = frame.isna().sum()
    shown = [f"{name} {count}" for name, count in missing[missing > 0].items()]
    return f"Missing values: {', '.join(shown)}" if shown else ""


if __name__ == "__main__":
    main(sys.argv[1])
