"""The code in a call as models really write it: in JSON, in fences, between sentences, with line breaks written out.

Pure. It mends the form and never the code: what is Python as it stands is left alone, and what cannot be made Python
by taking things off goes to the kernel as it is, whose error tells the model.
"""

import ast
import contextlib
import json
import keyword
import re
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from typing import cast

_FENCED = re.compile(r"```[ \t]*([\w+.-]*)[^\n`]*\r?\n(.*?)(?:```|\Z)", re.DOTALL)
_PYTHON = ("python", "python3", "py", "ipython", "ipython3")
# A fence that lost its ticks.
_LABEL = re.compile(r"\A\s*(?:python3?|py)[ \t]*\r?\n", re.IGNORECASE)
_NAMES = ("code", "input", "python", "script", "source")
_LINK = re.compile(
    r"""(?<=["'])sandbox:(?=/+mnt/data)"""
)  # as a path; one in a sentence is for the reader
# IPython's own lines: magics, shell commands, help.
_MAGIC = re.compile(r"^([ \t]*)(?:[%!].*|[\w.]+\?\??)$", re.MULTILINE)
_QUOTED = re.compile(r"`[^`]*`")
_SENTENCE = re.compile(
    r"""[-*#>\d.\s]*([^\W\d_]+)(?:['’\w]*[,:;!.]?(?: [^\s=()\[\]{}"\\]+){2,}|(?: \w+)?:)"""
)
_ESCAPE = re.compile(r"\\(.)")
_ESCAPED = {"n": "\n", "t": "\t", '"': '"', "\\": "\\"}
_MENDED_CHARS = 200_000  # more is no model's slip, and parsing it takes time
_MENDED_LINES = 12  # of prose before and after


def code_of(arguments: str) -> str:
    """The Python code of a call's arguments, "" when there is none."""
    code = unwrapped(_text_of(arguments))
    return unwrapped(_text_of_call(code)) or code


def _text_of_call(code: str) -> str:
    """The code of a whole call that stands where its code should, "" when this is none."""
    if not code.startswith("{") or len(code) > _MENDED_CHARS:
        return ""
    try:
        call: object = json.loads(code, strict=False)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(call, dict):
        return ""
    fields = cast("dict[object, object]", call)
    return _text_in(fields.get("arguments")) if "name" in fields else ""


def unwrapped(text: str) -> str:
    """Code without fences and prose around it; `sandbox:/mnt/data` becomes a path."""
    code = text if len(text) > _MENDED_CHARS or is_python(text) else _mended(text)
    return _LINK.sub("", _LABEL.sub("", code)).strip("\r\n")


def is_python(text: str) -> bool:
    """Whether it parses as it stands, IPython's own lines aside."""
    return _parses(text) or _parses(_MAGIC.sub(r"\1pass", text))


def _text_of(arguments: str) -> str:
    try:
        # strict=False: models put real line breaks into JSON strings.
        value: object = json.loads(arguments, strict=False)
    except ValueError:
        return _text_of_literal(arguments)
    return _text_in(value)


def _text_of_literal(arguments: str) -> str:
    """What is no JSON: code as it stands, or an object written as Python writes one."""
    if not arguments.lstrip().startswith("{"):
        return arguments
    try:
        with _quiet():
            value: object = ast.literal_eval(arguments.strip())
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return arguments if is_python(arguments) else ""  # a set or a dictionary; else cut-off JSON
    return _text_in(value)


def _text_in(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        fields = cast("dict[object, object]", value)
        found = next((fields[name] for name in _NAMES if isinstance(fields.get(name), str)), "")
        return str(found)
    return ""


def _mended(text: str) -> str:
    fenced = _fenced(text)
    if fenced:
        return fenced
    bare = textwrap.dedent(text).strip().strip("`")
    candidates = (bare, _evened(bare), _with_real_line_breaks(bare), _without_prose(bare))
    return next((code for code in candidates if code.strip() and is_python(code)), bare)


def _fenced(text: str) -> str:
    """What stands in fences: in those marked as Python, else in unmarked ones; other languages are left out."""
    found = [
        (kind.lower(), textwrap.dedent(block).rstrip()) for kind, block in _FENCED.findall(text)
    ]
    marked = [block for kind, block in found if kind in _PYTHON]
    unmarked = [block for kind, block in found if not kind]
    # Unmarked fences also hold what the model believes the code will print.
    blocks = marked or [block for block in unmarked if is_python(block)] or unmarked
    return "\n".join(blocks)


def _evened(text: str) -> str:
    """Code of which only the first line lost its indentation."""
    first, _, rest = text.partition("\n")
    return f"{first}\n{textwrap.dedent(rest)}"


def _with_real_line_breaks(text: str) -> str:
    r"""Code on one line whose line breaks were written as \n, as if in one more string."""
    if "\n" in text:
        return text
    return _ESCAPE.sub(lambda escape: _ESCAPED.get(escape[1], escape[0]), text)


def _without_prose(text: str) -> str:
    """Without the sentences before and after the code."""
    lines = text.splitlines()
    first = _prose_lines(lines)
    last = len(lines) - _prose_lines(lines[first:][::-1])
    return "\n".join(lines[first:last])


def _prose_lines(lines: Sequence[str]) -> int:
    """How many lines at the beginning are sentences, or empty."""
    count = 0
    for line in lines[:_MENDED_LINES]:
        if line.strip() and not _is_prose(line.strip()):
            break
        count += 1
    return count


def _is_prose(line: str) -> bool:
    """Whether a line is a sentence and no part of a program, as far as its words tell."""
    sentence = _SENTENCE.fullmatch(_QUOTED.sub("it", line))
    return sentence is not None and not keyword.iskeyword(sentence[1]) and not _parses(line)


def _parses(text: str) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # of a stray backslash: the code's business, not the log's
            ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without warnings of stray backslashes and the like: they are the code's business, not the log's."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
