"""How the bytes of a text file become text, and what is dropped from any text.

It does not guess encodings: the contract knows UTF-8, UTF-16 and ASCII. UTF-16 is known by its mark or, without one, by
the zero in every second byte that Latin letters leave.
"""

import codecs
import re

from .refusals import invalid
from .sniffing import check_text

# NULs break C strings further down, a lone surrogate breaks every UTF-8 encoder.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_LOOKED_AT = 4096  # bytes
_LATIN = 0.4  # share of zeros at odd or at even places from which on bytes are UTF-16


def clean(text: str) -> str:
    """`text` without what neither SQLite nor JSON can carry."""
    return _UNSTORABLE.sub("", text)


def decode(data: bytes, suffix: str = ".txt") -> str:
    """The text of a file's bytes; `suffix` is the ending of its name.

    Raises:
        InvalidRequest: no text, or neither UTF-8 (ASCII with it) nor UTF-16.
    """
    check_text(data, suffix)
    try:
        return clean(data.decode(_encoding(data)))
    except UnicodeDecodeError:
        raise invalid(
            "its text is neither UTF-8, UTF-16 nor ASCII; save it as UTF-8 and upload it again"
        ) from None


def _encoding(data: bytes) -> str:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    head = data[:_LOOKED_AT]
    even, odd = head[::2].count(0), head[1::2].count(0)
    if len(data) % 2 == 0 and max(even, odd) >= _LATIN * len(head) / 2 and min(even, odd) == 0:
        return "utf-16-be" if even else "utf-16-le" if odd else "utf-8-sig"
    return "utf-8-sig"
