"""The code in a call as models really write it: in JSON, in fences, cut off, with links of the chat's form.

Pure. It mends the form and never the code.
"""

import ast
import json
import re
from typing import Any, cast

_FENCE = re.compile(
    r"```[ \t]*(?:python3?|py|ipython)?[ \t]*\r?\n(.*?)(?:```|\Z)", re.DOTALL | re.IGNORECASE
)
_NAMES = ("code", "input", "python", "script", "source")
_LINK = re.compile(r"sandbox:(?=/+mnt/data)")


def code_of(arguments: str) -> str:
    """The Python code of a call's arguments, "" when there is none."""
    return unfenced(_text_of(arguments))


def unfenced(text: str) -> str:
    """Code without markdown fences and the prose around them; `sandbox:/mnt/data` becomes a path."""
    blocks = [] if _parses(text) else [block.rstrip() for block in _FENCE.findall(text)]
    code = "\n".join(blocks) if blocks else text.strip().strip("`")
    return _LINK.sub("", code).strip("\r\n")


def _parses(text: str) -> bool:
    """Whether it is Python as it stands: code that writes markdown has fences of its own."""
    try:
        ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _text_of(arguments: str) -> str:
    try:
        # strict=False: models put real line breaks into JSON strings.
        value: object = json.loads(arguments, strict=False)
    except ValueError:
        return "" if arguments.lstrip().startswith("{") else arguments
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        fields = cast("dict[str, Any]", value)
        found = next((fields[name] for name in _NAMES if isinstance(fields.get(name), str)), "")
        return str(found)
    return ""
