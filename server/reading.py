"""What a request says: its JSON body, its page query, its ids, its `include[]`.

Everything odd is refused here with the API's own words, so that routes and services see well-formed values only.
"""

import asyncio
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Literal, TypeVar, cast

from pydantic import ValidationError
from starlette.requests import Request

from ..engine.errors import InvalidRequest, TooLarge
from ..engine.feed import Until
from ..engine.ports import PageQuery
from ..engine.requests import Body
from ..engine.services import ExportFormat, Services
from ..engine.settings import CoreSettings
from .bodies import BodyBudget, chunks_of
from .json_body import parse
from .settings import ServerSettings
from .validation import invalid_request, out_of_range, unsupported_value, wrong_type

BodyT = TypeVar("BodyT", bound=Body)

_LARGEST = 10**15  # of a number in a query: no text is so long, no time so late
_LARGE = 256 * 1024  # bytes of a body that the event loop is not kept from its work for
STEP_CONTENT = "step_details.tool_calls[*].file_search.results[*].content"
_ORDERS: Mapping[str, Literal["asc", "desc"]] = {"asc": "asc", "desc": "desc"}
FILE_STATUSES = ("in_progress", "completed", "failed", "cancelled")
ID_PREFIXES = {
    "assistant_id": "asst",
    "thread_id": "thread",
    "message_id": "msg",
    "run_id": "run",
    "step_id": "step",
    "vector_store_id": "vs",
    "batch_id": "vsfb",
    "upload_id": "upload",
}
"""Path parameters whose ids always begin alike. File ids are left out: a wrong one is simply not found."""


def settings_of(request: Request) -> ServerSettings:
    """The settings the application was made with."""
    return cast(ServerSettings, request.app.state.settings)


def limits_of(request: Request) -> CoreSettings:
    """The engine's own limits, so that what it would refuse need not be read first."""
    return cast(Services, request.app.state.services).core.settings


async def well_formed_ids(request: Request) -> None:
    """Refuse path ids that cannot be ids, such as a client's "undefined".

    Raises:
        InvalidRequest: one does not begin as its kind does.
    """
    for name, value in request.path_params.items():
        prefix = ID_PREFIXES.get(name)
        if prefix is not None and not str(value).startswith(prefix):
            raise InvalidRequest(
                f"Invalid '{name}': '{str(value)[:200]}'. Expected an ID that begins with '{prefix}'.",
                code="invalid_value",
                param=name,
            )


# --- bodies ----------------------------------------------------------------------------------------


async def read_body(request: Request, kind: type[BodyT]) -> BodyT:
    """The JSON body as `kind`; an empty one counts as `{}`.

    Raises:
        InvalidRequest: not JSON, or not what `kind` takes.
        TooLarge: longer than the settings or `kind` allow.
        SilentBody: its rest did not come.
        Crowded: the bodies of other requests leave no room for it.
    """
    limit = settings_of(request).max_body_bytes
    with cast(BodyBudget, request.app.state.bodies).share() as hold:
        raw = await _read_limited(request, min(limit, kind.max_bytes or limit), hold)
        if raw and not raw.isspace():
            _check_content_type(request)
        if len(raw) < _LARGE:
            return _checked(kind, raw)
        return await asyncio.to_thread(_checked, kind, raw)


def _checked(kind: type[BodyT], raw: bytes) -> BodyT:
    given = parse(raw)
    try:
        return kind.model_validate({} if given is None else given)
    except ValidationError as error:
        raise invalid_request(error) from None


async def _read_limited(request: Request, limit: int, hold: Callable[[int], None]) -> bytes:
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared[:18]) > limit:
        raise _too_large(limit, int(declared[:18]))
    body = bytearray()
    async for chunk in chunks_of(request, settings_of(request).body_silence):
        body += chunk
        if len(body) > limit:
            raise _too_large(limit, len(body))
        hold(len(body))
    return bytes(body)


def _too_large(limit: int, size: int) -> TooLarge:
    return TooLarge(f"Maximum content size limit ({limit}) exceeded ({size} bytes read)")


def _check_content_type(request: Request) -> None:
    # Not only manners: a page of another site can send text/plain without asking, but not JSON.
    encoding = request.headers.get("content-encoding", "identity")
    if encoding.strip().lower() not in ("", "identity"):
        raise InvalidRequest(
            f"Unsupported content encoding: '{encoding[:200]}'. Send the body uncompressed."
        )
    given = request.headers.get("content-type", "")
    media_type = given.partition(";")[0].strip().lower()
    if given and media_type != "application/json" and not media_type.endswith("+json"):
        raise InvalidRequest(
            f"Unsupported content type: '{given[:200]}'. Send the body as 'application/json'."
        )


# --- query -----------------------------------------------------------------------------------------


def read_page(request: Request, *, limit: int = 20, highest: int = 100) -> PageQuery:
    """limit, order, after and before.

    Raises:
        InvalidRequest: limit is no integer or out of range, order neither asc nor desc.
    """
    query = request.query_params
    given = query.get("order") or "desc"
    order = _ORDERS.get(given)
    if order is None:
        message = unsupported_value(given, tuple(_ORDERS))
        raise InvalidRequest(message, code="invalid_value", param="order")
    return PageQuery(
        limit=_limit(query.get("limit") or str(limit), highest),
        order=order,
        after=query.get("after") or None,
        before=query.get("before") or None,
    )


def read_thread_list(request: Request) -> PageQuery:
    """A page of the list of all threads: `metadata[key]=value`, created_from and created_before narrow it.

    Raises:
        InvalidRequest: no page, a time that is no whole number of seconds, or a key that is given two values.
    """
    pairs: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        key = re.fullmatch(r"metadata\[(.*)\]", name, re.DOTALL)
        if key and pairs.setdefault(key[1], value) != value:
            message = f"Invalid '{name[:200]}': no thread has two values for one key."
            raise InvalidRequest(message, code="invalid_value", param=name[:200])
    return replace(
        read_page(request),
        metadata=pairs,
        created_from=_seconds(request, "created_from"),
        created_before=_seconds(request, "created_before"),
    )


def _seconds(request: Request, param: str) -> int | None:
    given = request.query_params.get(param)
    if not given:
        return None
    if not re.fullmatch(r"[0-9]{1,12}", given):
        message, code = wrong_type(param, "Unix seconds, a whole number", given)
        raise InvalidRequest(message, code=code, param=param)
    return int(given)


def read_export_format(request: Request) -> ExportFormat:
    """How an export is laid out.

    Raises:
        InvalidRequest: there is no such layout.
    """
    given = request.query_params.get("format") or ExportFormat.JSONL
    if given not in tuple(ExportFormat):
        message = unsupported_value(given, tuple(ExportFormat))
        raise InvalidRequest(message, code="invalid_value", param="format")
    return ExportFormat(given)


def _limit(text: str, highest: int) -> int:
    if not re.fullmatch(r"[+-]?[0-9]{1,30}", text):
        message, code = wrong_type("limit", "an integer", text)
        raise InvalidRequest(message, code=code, param="limit")
    number = int(text)
    if not 1 <= number <= highest:
        bound = 1 if number < 1 else highest
        message, code = out_of_range("limit", number, bound, below=number < 1)
        raise InvalidRequest(message, code=code, param="limit")
    return number


def read_include(request: Request) -> bool:
    """Whether `include[]` asks for the content of search results, in any of its spellings.

    Raises:
        InvalidRequest: it asks for something else.
    """
    keys = ("include", "include[]", "include[0]")
    values = [value for key in keys for value in request.query_params.getlist(key)]
    for value in filter(None, values):
        if value != STEP_CONTENT:
            message = unsupported_value(value, (STEP_CONTENT,))
            raise InvalidRequest(message, code="invalid_value", param="include")
    return any(values)


def read_stretch(request: Request) -> tuple[int, int]:
    """`start` and `end`, characters of a text.

    Raises:
        InvalidRequest: one is missing, no whole number or below 0.
    """
    start, end = _whole(request, "start"), _whole(request, "end")
    if start is None or end is None:
        name = "start" if start is None else "end"
        message = f"Missing required parameter: '{name}'."
        raise InvalidRequest(message, code="missing_required_parameter", param=name)
    return start, end


def read_period(request: Request) -> tuple[int, int | None]:
    """`since` (0 when it is not given) and `until`, Unix seconds.

    Raises:
        InvalidRequest: one is no whole number or below 0.
    """
    return _whole(request, "since") or 0, _whole(request, "until")


def _whole(request: Request, name: str) -> int | None:
    given = request.query_params.get(name)
    if not given:
        return None
    if not re.fullmatch(r"[+-]?[0-9]{1,30}", given):
        message, code = wrong_type(name, "an integer", given)
        raise InvalidRequest(message, code=code, param=name)
    number = int(given)
    if not 0 <= number <= _LARGEST:
        bound = 0 if number < 0 else _LARGEST
        message, code = out_of_range(name, number, bound, below=number < 0)
        raise InvalidRequest(message, code=code, param=name)
    return number


def read_until(request: Request) -> Until:
    """How far a subscriber follows a run.

    Raises:
        InvalidRequest: neither to its next pause nor to its end.
    """
    given = request.query_params.get("until") or Until.PAUSE
    if given not in tuple(Until):
        message = unsupported_value(given, tuple(Until))
        raise InvalidRequest(message, code="invalid_value", param="until")
    return Until(given)


def read_position(request: Request) -> int:
    """The number of the last event a subscriber has seen; 0: none.

    The header goes before the query: a browser's EventSource that reconnects repeats its URL and adds the header.

    Raises:
        InvalidRequest: it is no number, or none that an event can have.
    """
    header = request.headers.get("last-event-id")
    param = "Last-Event-ID" if header else "after"
    given = header or request.query_params.get("after") or "0"
    if not re.fullmatch(r"[0-9]{1,18}", given):
        raise InvalidRequest(
            f"Invalid '{param}': '{given[:200]}'. Expected the id of an event of this run, a whole number.",
            code="invalid_value",
            param=param,
        )
    return int(given)


def read_filter(request: Request) -> str | None:
    """The status that vector store files are filtered by.

    Raises:
        InvalidRequest: there is no such status.
    """
    status = request.query_params.get("filter") or None
    if status is not None and status not in FILE_STATUSES:
        message = unsupported_value(status, FILE_STATUSES)
        raise InvalidRequest(message, code="invalid_value", param="filter")
    return status
