"""Parses JSON bodies of any size in bounded time.

The parser lets no other thread run meanwhile, and what it costs is a matter of how many values it makes, not of how
many bytes it reads. So values are counted first, and a body with more than any request can mean is refused.
"""

from pydantic_core import from_json

from ..engine.errors import InvalidRequest, TooLarge

MAX_VALUES = 100_000


def parse(raw: bytes) -> object:
    """The value that `raw` is the JSON of; nothing counts as `{}`.

    Raises:
        InvalidRequest: it is not JSON, or not in UTF-8.
        TooLarge: it has more than `MAX_VALUES` values.
    """
    if len(raw) > MAX_VALUES:
        _check_values(raw)
    text = raw.removeprefix(b"\xef\xbb\xbf")
    if not text or text.isspace():
        return {}
    try:
        return from_json(text, allow_inf_nan=False)
    except ValueError as error:
        raise InvalidRequest(
            f"We could not parse the JSON body of your request: {error}."
        ) from None


def _check_values(raw: bytes) -> None:
    if (
        _separators(raw) > MAX_VALUES
        and (values := _separators(_without_strings(raw))) > MAX_VALUES
    ):
        raise TooLarge(
            f"The JSON body has too many values ({values}). Send at most {MAX_VALUES} in one request."
        )


def _separators(raw: bytes) -> int:
    """About as many as there are values, if none of these stands in a string."""
    return raw.count(b",") + raw.count(b"[") + raw.count(b"{")


def _without_strings(raw: bytes) -> bytes:
    return b"".join(raw.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')[::2])
