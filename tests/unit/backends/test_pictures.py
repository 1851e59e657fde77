"""Pictures from strangers: what is let through to the native decoder, by size and content."""

import base64
import struct
import zlib
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_assistants.backends.llama_cpp.pictures import MOST_BYTES, check_picture, read_picture
from local_assistants.engine.errors import InvalidRequest
from tests.support.toy_vision import png, png_saying

PNG = png(1, 2, 3)


def data_url(data: bytes) -> str:
    """As it comes with a message."""
    return "data:image/png;base64," + base64.b64encode(data).decode()


def checked(url: str) -> bytes:
    """The picture behind an address, if it may be decoded."""
    data = read_picture(url)
    check_picture(data)
    return data


def jpeg(width: int, height: int, before: bytes = b"") -> bytes:
    """The head of a JPEG of this size."""
    frame = struct.pack(">BHHB", 8, height, width, 3) + bytes(9)
    return b"\xff\xd8" + before + b"\xff\xc0" + struct.pack(">H", len(frame) + 2) + frame


@pytest.mark.parametrize(
    "data",
    [
        PNG,
        jpeg(640, 480, b"\xff\xe0\x00\x04ab"),
        jpeg(640, 480, b"\xff\xff\xfe\x00\x02"),
    ],
    ids=["png", "jpeg", "padded jpeg"],
)
def test_a_picture_passes_as_it_is(data: bytes, tmp_path: Path) -> None:
    """As a data URL and as a file of this host."""
    (tmp_path / "picture").write_bytes(data)

    assert data == checked(data_url(data))
    assert data == checked(str(tmp_path / "picture"))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "neither PNG nor JPEG"),
        (b"GIF89a" + bytes(99), "neither PNG nor JPEG"),
        (b"RIFF\0\0\0\0WAVEfmt ", "neither PNG nor JPEG"),
        (PNG[:20], "damaged"),
        (PNG.replace(b"IDAT", b"IDOT"), "damaged"),
        (png_saying(20, 12, b"no zlib"), "damaged"),
        (png_saying(1 << 20, 1, zlib.compress(b"")), "1048576 x 1 pixels is too large"),
        (png_saying(16000, 16000, zlib.compress(b"")), "16000 x 16000 pixels is too large"),
        (png_saying(0, 5, zlib.compress(b"")), "0 x 5 pixels"),
        (png_saying(4, 4, zlib.compress(bytes(9 << 20))), "more than its size says"),
        (jpeg(65535, 65535), "65535 x 65535 pixels is too large"),
        (b"\xff\xd8\xff", "damaged"),
        (b"\xff\xd8\xff\xe0\xff\xff", "damaged"),
        (b"\xff\xd8\xff\xda\x00\x02", "damaged"),
    ],
)
def test_anything_else_is_refused(data: bytes, said: str) -> None:
    """Before it is decoded, with one sentence."""
    with pytest.raises(InvalidRequest, match=said):
        checked(data_url(data))


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("data:image/png,abc", "not of the form"),
        ("data:image/png;base64", "not of the form"),
        ("data:image/png;base64,???", "no base64"),
        ("https://example.org/a.png", "cannot be read"),
        ("/nowhere/a.png", "cannot be read"),
        ("a\0b", "cannot be read"),
        ("data:image/png;base64," + "A" * (MOST_BYTES * 2), "more than 20 MiB"),
    ],
)
def test_an_address_that_holds_no_picture_is_refused(url: str, said: str) -> None:
    """Nothing is fetched."""
    with pytest.raises(InvalidRequest, match=said):
        checked(url)


@given(st.binary(max_size=200), st.sampled_from([b"", b"\xff\xd8\xff", PNG[:8], PNG[:33]]))
def test_no_bytes_are_too_much(data: bytes, begin: bytes) -> None:
    """Whatever comes is a picture or an invalid request."""
    read = b""
    with suppress(InvalidRequest):
        read = checked(data_url(begin + data))

    assert read in (b"", begin + data)
