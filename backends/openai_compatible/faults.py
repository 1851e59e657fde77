"""What a server's refusals mean: which errors of ours they become, and which are worth another attempt.

Words of servers are shortened and made one line before they are shown; who shows them takes the key out.
"""

import email.utils
import re
import time
from typing import Any

from ...engine.errors import (
    AssistantsError,
    BackendFault,
    ContextOverflow,
    InvalidRequest,
    RateLimited,
)
from .untrusted import an_object, fields, parsed, plain, string

# The codes of OpenAI, Azure and llama-server; then the words of llama-server, of vLLM and Ollama, of LM Studio.
_OVERFLOW = re.compile(
    r"context[_ ](?:length|size|window)[_ ]?exceeded|exceed_context_size"
    r"|exceeds?(?: the| this model's)?(?: available| maximum)? context|maximum context length"
    r"|(?:prompt|input|request)\b.{0,60}\b(?:too long|longer than|exceeds?)\b.{0,60}\b(?:context|model len)"
    r"|context the overflows|context length of only|greater than the context length",
    re.IGNORECASE,
)
_SCHEMA = re.compile(
    r"json[_ ]?schema|\$ref|grammar|response_format|guided|structured output", re.IGNORECASE
)
_DOWN = frozenset((502, 503, 504))
_PASSING = frozenset((408, 425, 429)) | frozenset(range(500, 600))


class TryAgain(Exception):
    """An attempt failed in a way that another one, or another endpoint, may mend.

    Attributes:
        fault: what to raise when there is no further attempt.
        retry_after: seconds that the server asked to wait, if it did.
        down: whether the endpoint should be left out until it passes a check.
    """

    def __init__(
        self, fault: AssistantsError, *, retry_after: float | None = None, down: bool = False
    ) -> None:
        super().__init__(fault.message)
        self.fault = fault
        self.retry_after = retry_after
        self.down = down


def status_fault(status: int, body: bytes, retry_after: str | None = None) -> Exception:
    """The exception for an answer that is not 200: an error of ours, or TryAgain around one."""
    text = body.decode("utf-8", "replace")
    said = _said(parsed(text) or text)
    if status == 413 or _OVERFLOW.search(said):
        return _overflow(said)
    if status in _PASSING:
        kind = RateLimited if status == 429 else BackendFault
        fault = kind(_with(f"The model's server answered {status}", said))
        return TryAgain(fault, retry_after=_seconds(retry_after), down=status in _DOWN)
    if status in (400, 422) and _SCHEMA.search(said):
        return InvalidRequest(
            _with("The model's server cannot enforce a schema of this request", said)
        )
    return BackendFault(_with(f"The model's server answered {status}", said) + _advice(status))


def stream_fault(chunk: dict[str, Any]) -> Exception:
    """The exception for an error that came as an event of the stream."""
    code = fields(chunk.get("error")).get("code")
    said = _said(chunk)
    if _OVERFLOW.search(said):
        return _overflow(said)
    fault = BackendFault(_with("The model's server reported an error", said))
    passing = isinstance(code, int) and code in _PASSING
    return TryAgain(fault, down=code in _DOWN) if passing else fault


def _overflow(said: str) -> ContextOverflow:
    return ContextOverflow(_with("The prompt does not fit the context of the model's server", said))


def _with(text: str, said: str) -> str:
    return f"{text}: {plain(said)}" if said else f"{text}."


def _advice(status: int) -> str:
    if status in (401, 403):
        return " Give its key by api_key_env or api_key_file."
    if status == 404:
        return " Check the endpoint's URL and the name of the model there."
    if 300 <= status < 400:
        return " Redirects are not followed: give the address where the model is."
    return ""


def _said(answer: object) -> str:
    """The words of an error in any of the usual forms, its code and type first."""
    error = an_object(answer)
    if error is None:
        return string(answer)
    if isinstance(error.get("error"), dict | str):
        return _said(error["error"])
    named = (string(error.get(key)) for key in ("code", "type", "message", "detail"))
    return " ".join(part for part in named if part)


def _seconds(retry_after: str | None) -> float | None:
    """The header's value: seconds, or a date."""
    if not retry_after:
        return None
    if re.fullmatch(r"\d{1,9}(?:\.\d{1,9})?", retry_after.strip()):
        return float(retry_after)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(retry_after).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None
