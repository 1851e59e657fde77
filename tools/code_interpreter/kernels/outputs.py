"""What a kernel says, turned into plain outputs. All of it was written by untrusted code.

Pure: messages in, values out. It keeps text, PNG and JPEG; html, svg and scripts are never passed on, pictures are
never decoded. It does not know whose call a message belongs to.
"""

import binascii
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_PICTURES = {"image/png": ".png", "image/jpeg": ".jpg"}


@dataclass(frozen=True)
class Text:
    """A piece of text in the order it came. `result` is the value of a cell's last expression."""

    text: str
    kind: Literal["stdout", "stderr", "result", "note"] = "stdout"


@dataclass(frozen=True)
class Picture:
    """An encoded picture; `suffix` is .png or .jpg. Its bytes are whatever the code sent."""

    data: bytes
    suffix: str = ".png"


@dataclass(frozen=True)
class Failure:
    """An exception that ended the code: its class, its message, the whole traceback as text."""

    name: str
    message: str
    traceback: str


@dataclass(frozen=True)
class Lost:
    """The interpreter was restarted; variables are gone, files are kept. `reason` completes "restarted (...)"."""

    reason: str

    @property
    def text(self) -> str:
        """What model and logs are told."""
        return (
            f"The interpreter was restarted ({self.reason}). "
            "Variables and imports are gone; files in /mnt/data are kept."
        )


Output = Text | Picture | Failure | Lost


def reworded(output: Output, change: Callable[[str], str]) -> Output:
    """The same output with `change` made to its text."""
    if isinstance(output, Text):
        return replace(output, text=change(output.text))
    if isinstance(output, Failure):
        return replace(output, message=change(output.message), traceback=change(output.traceback))
    return output


def read(kind: str, content: Mapping[str, Any]) -> Iterator[Output]:
    """The outputs in one iopub message; nothing for kinds and shapes that are not known."""
    if kind == "stream":
        text = content.get("text")
        if isinstance(text, str) and text:
            yield Text(_clean(text), "stderr" if content.get("name") == "stderr" else "stdout")
    elif kind in ("display_data", "execute_result", "update_display_data"):
        yield from _display(_mapping(content.get("data")), kind == "execute_result")
    elif kind == "error":
        lines = content.get("traceback")
        traceback = (
            "\n".join(str(line) for line in cast("list[object]", lines))
            if isinstance(lines, list)
            else ""
        )
        name, message = str(content.get("ename", "")), str(content.get("evalue", ""))
        yield Failure(_clean(name), _clean(message), _clean(_ANSI.sub("", traceback)))


def _display(data: Mapping[str, Any], is_result: bool) -> Iterator[Output]:
    for mime, suffix in _PICTURES.items():
        encoded = data.get(mime)
        if isinstance(encoded, str):
            try:
                yield Picture(binascii.a2b_base64(encoded), suffix)
            except ValueError:
                yield Text("[a picture that cannot be read was left out]\n", "note")
            return
    text = data.get("text/plain")
    if isinstance(text, str) and text:
        yield Text(_clean(text) + "\n", "result" if is_result else "stdout")


def _clean(text: str) -> str:
    """Without the halves of characters that JSON can name and no encoding can write."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _mapping(value: object) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else {}
