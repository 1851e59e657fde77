"""Reads a multipart form with one file as it comes in; the file goes to disk, never into memory as a whole.

Strict where it protects (one file, few and short fields, a closing boundary) and lenient where clients differ (order of
parts, odd encodings of names). Knows nothing of what the form means.
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from ..engine.errors import InvalidRequest

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

MAX_FIELDS = 20
MAX_FIELD_BYTES = 64 * 1024
_GATHER = 1 << 20  # bytes of the file gathered before a thread writes them


@dataclass
class Form:
    """Fields by name, and the file: its name as sent, its bytes, how many they are. Close it."""

    fields: dict[str, str] = field(default_factory=dict[str, str])
    file_field: str | None = None
    filename: str = ""
    file: BinaryIO | None = None
    size: int = 0

    def close(self) -> None:
        """Drop the temporary file."""
        if self.file is not None:
            self.file.close()


async def read_form(
    content_type: str, stream: AsyncIterator[bytes], bare_file: str | None = None
) -> Form:
    """Read `stream` to its end. A part named `bare_file` is the file even without a file name.

    Raises:
        InvalidRequest: no boundary, broken, cut short, more than one file, or too many or too long fields.
    """
    boundary = parse_options_header(content_type)[1].get(b"boundary")
    if not boundary:
        raise _unreadable("the content type names no boundary")
    reader = _Reader(bare_file)
    try:
        await reader.read(MultipartParser(boundary, reader.callbacks()), stream)
    except FormParserError as error:
        reader.form.close()
        raise _unreadable(str(error)) from None
    except BaseException:
        reader.form.close()
        raise
    return reader.form


class _Reader:
    """Takes the parser's calls, in the order of the bytes."""

    def __init__(self, bare_file: str | None) -> None:
        self.form = Form()
        self._bare_file = bare_file
        self._header_name = bytearray()
        self._header_value = bytearray()
        self._disposition = ""
        self._field = ""
        self._text: bytearray | None = None  # of the field being read; None inside the file
        self._gathered = bytearray()
        self._fields = 0
        self._ended = False

    def callbacks(self) -> "MultipartCallbacks":
        """What the parser calls."""
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._name_of_header,
            "on_header_value": self._value_of_header,
            "on_header_end": self._header,
            "on_headers_finished": self._headers,
            "on_part_data": self._data,
            "on_part_end": self._part,
            "on_end": self._end,
        }

    async def read(self, parser: MultipartParser, stream: AsyncIterator[bytes]) -> None:
        """Feed the parser and write the file behind it."""
        async for chunk in stream:
            parser.write(chunk)
            if len(self._gathered) >= _GATHER:
                await self._write()
        await self._write()
        if not self._ended:
            raise _unreadable("it ends before its closing boundary")
        if self.form.file is not None:
            self.form.file.seek(0)

    async def _write(self) -> None:
        if self._gathered and self.form.file is not None:
            gathered, self._gathered = self._gathered, bytearray()
            await asyncio.to_thread(self.form.file.write, gathered)
            self.form.size += len(gathered)

    def _begin(self) -> None:
        self._disposition = ""

    def _name_of_header(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _value_of_header(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _header(self) -> None:
        if bytes(self._header_name).lower() == b"content-disposition":
            self._disposition = self._header_value.decode("latin-1")
        self._header_name.clear()
        self._header_value.clear()

    def _headers(self) -> None:
        options = parse_options_header(self._disposition)[1]
        if b"name" not in options:
            raise _unreadable("a part has no name")
        name = options[b"name"].decode("utf-8", "replace")
        if b"filename" not in options and name != self._bare_file:
            self._fields += 1
            if self._fields > MAX_FIELDS:
                raise _unreadable(f"it has more than {MAX_FIELDS} fields")
            self._field, self._text = name, bytearray()
            return
        if self.form.file is not None:
            raise _unreadable("it has more than one file")
        self._text = None
        self.form.file_field = name
        self.form.filename = options.get(b"filename", b"").decode("utf-8", "replace")
        self.form.file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by Form.close

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._text is None:
            self._gathered += data[start:end]
            return
        self._text += data[start:end]
        if len(self._text) > MAX_FIELD_BYTES:
            raise _unreadable(f"a field is longer than {MAX_FIELD_BYTES} bytes")

    def _part(self) -> None:
        if self._text is not None:
            self.form.fields[self._field] = self._text.decode("utf-8", "replace")

    def _end(self) -> None:
        self._ended = True


def _unreadable(why: str) -> InvalidRequest:
    return InvalidRequest(f"We could not parse the multipart form of your request: {why}.")
