"""Looks at a table and prints what a small model must know to load it right. Runs inside the sandbox.

Prints one short text: size, the lines that load the table with its traps mended, columns with types, a first row.
The file is hostile, and so is what this prints; the host cuts and cleans it. Needs pandas; argument: the file's path.
"""

import csv
import importlib
import re
import sys
from collections.abc import Iterator
from datetime import datetime
from typing import Any

_ROWS = 20_000  # looked at; more are counted only
_SAMPLE = 300  # values of a column that are looked at for dates and numbers
_BUDGET = 420  # characters for the list of columns
_DATES = (
    "%Y-%m-%d", "%d-%b-%y", "%d-%b-%Y", "%m/%d/%Y", "%d/%m/%Y", "%m/%d/%y", "%Y/%m/%d", "%d.%m.%Y", "%d %b %Y",
    "%d %B %Y", "%b %d, %Y", "%B %d, %Y", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%m/%d/%Y %H:%M", "%b-%y", "%b %Y",
)  # fmt: skip
_NUMBER = re.compile(r"[-(]?\s*[$€£]?\s*-?\d{1,3}(,\d{3})*(\.\d+)?\s*%?\)?")
_COMMA_NUMBER = re.compile(r"-?\d{1,3}(\.\d{3})*,\d+|-?\d+,\d+")
_PLAIN = re.compile(r"-?\d+(\.\d+)?")
_INVISIBLE = re.compile("[\u200b\u200c\u200d\u2060\ufeff\u00ad]")


def main(path: str) -> None:
    """Print the profile of the table at `path`, or nothing when it is none."""
    pandas: Any = importlib.import_module("pandas")
    name = path.rpartition("/")[2]
    read, frame, total = _load(pandas, path)
    if frame.empty and not len(frame.columns):
        return
    lines = ["import pandas as pd", f"df = {read}", *_mend_names(frame)]
    frame.columns = _clean_names(frame.columns)
    kinds: list[str] = []
    for column in frame.columns:
        kind, mending = _look(pandas, frame[column], str(column))
        kinds.append(f"{column} ({kind})")
        lines += mending
    print(f"{name}: {total} rows, {len(frame.columns)} columns. Load it with exactly these lines:")  # noqa: T201
    print("\n".join(lines[:10]))  # noqa: T201
    print("Columns: " + _fit(kinds))  # noqa: T201
    if len(frame):
        print("First row: " + _fit([_short(value) for value in frame.iloc[0]], " | "))  # noqa: T201


def _load(pandas: Any, path: str) -> tuple[str, Any, str]:
    """(the code that reads it, the first rows, how many rows there are in all)"""
    if path.lower().endswith((".xlsx", ".xls", ".xlsm")):
        return _load_workbook(pandas, path)
    encoding = _encoding(path)
    with open(path, encoding=encoding, errors="replace", newline="") as file:
        head = file.read(65536)
    delimiter = _delimiter(head)
    options = "" if delimiter == "," else f", sep={delimiter!r}"
    options += "" if encoding in ("utf-8", "utf-8-sig") else f", encoding={encoding!r}"
    frame = pandas.read_csv(path, sep=delimiter, encoding=encoding, nrows=_ROWS, low_memory=False)
    if any(
        isinstance(v, str) and _COMMA_NUMBER.fullmatch(v) for v in frame.head(1).to_numpy().ravel()
    ):
        options += ", decimal=',', thousands='.'"
        frame = pandas.read_csv(
            path, sep=delimiter, encoding=encoding, nrows=_ROWS, decimal=",", thousands="."
        )
    total = str(len(frame)) if len(frame) < _ROWS else f"more than {_ROWS}"
    return f"pd.read_csv({path!r}{options})", frame, total


def _load_workbook(pandas: Any, path: str) -> tuple[str, Any, str]:
    book = pandas.ExcelFile(path)
    sheet = book.sheet_names[0]
    frame = book.parse(sheet, nrows=_ROWS)
    others = "".join(f", {name!r}" for name in book.sheet_names[1:6])
    note = f"  # other sheets: {others[2:]}" if others else ""
    return f"pd.read_excel({path!r}, sheet_name={sheet!r}){note}", frame, str(len(frame))


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


def _delimiter(head: str) -> str:
    try:
        return csv.Sniffer().sniff(head[: head.rfind("\n") + 1] or head, ",;\t|").delimiter
    except csv.Error:
        return ","


def _clean_names(columns: Any) -> list[str]:
    return [_INVISIBLE.sub("", str(name)).strip() for name in columns]


def _mend_names(frame: Any) -> Iterator[str]:
    names = [str(name) for name in frame.columns]
    if any(_INVISIBLE.search(name) for name in names):
        yield (
            "df.columns = df.columns.str.replace(r'[\\u200b-\\u200d\\u2060\\ufeff\\u00ad]', '', regex=True)"
            ".str.strip()  # names hold invisible characters"
        )
    elif any(name != name.strip() for name in names):
        yield "df.columns = df.columns.str.strip()  # names end in invisible spaces"


def _look(pandas: Any, values: Any, column: str) -> tuple[str, list[str]]:
    """(a column's type in words, the lines that mend it)"""
    if pandas.api.types.is_bool_dtype(values):
        return "yes/no", []
    if pandas.api.types.is_integer_dtype(values):
        return "integer", []
    if pandas.api.types.is_numeric_dtype(values):
        return ("number, has gaps" if values.isna().any() else "number"), []
    if pandas.api.types.is_datetime64_any_dtype(values):
        return "date", []
    sample = [str(value) for value in values.dropna().head(_SAMPLE)]
    return _look_at_text(values, sample, column)


def _look_at_text(values: Any, sample: list[str], column: str) -> tuple[str, list[str]]:
    date = next(
        (form for form in _DATES if sample and all(_is_date(text, form) for text in sample)), None
    )
    if date is not None:
        return "date", [f"df[{column!r}] = pd.to_datetime(df[{column!r}], format={date!r})"]
    if sample and all(_NUMBER.fullmatch(text.strip()) for text in sample):
        pattern = "[^0-9.-]"
        mend = f"pd.to_numeric(df[{column!r}].str.replace(r'{pattern}', '', regex=True))"
        return "number kept as text", [f"df[{column!r}] = {mend}"]
    plain = sum(1 for text in sample if _PLAIN.fullmatch(text.strip()))
    if sample and plain > len(sample) * 0.6:
        return "mixed", [f"df[{column!r}] = pd.to_numeric(df[{column!r}], errors='coerce')"]
    mending = (
        [f"df[{column!r}] = df[{column!r}].str.strip()"]
        if any(t != t.strip() for t in sample)
        else []
    )
    different = values.nunique()
    return (f"text, {different} different" if different <= 60 else "text"), mending


def _is_date(text: str, form: str) -> bool:
    try:
        datetime.strptime(text.strip(), form)
    except ValueError:
        return False
    return True


def _short(value: object) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= 30 else text[:29] + "…"


def _fit(parts: list[str], joint: str = ", ") -> str:
    """As many parts as the budget holds, and how many are left out."""
    shown: list[str] = []
    for part in parts:
        if sum(map(len, shown)) + len(part) > _BUDGET:
            return joint.join(shown) + f"{joint}and {len(parts) - len(shown)} more"
        shown.append(part)
    return joint.join(shown)


if __name__ == "__main__":
    main(sys.argv[1])
